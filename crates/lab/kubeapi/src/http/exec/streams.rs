//! `exec` over SPDY: the client opens a stream for each channel, then all of them run.

use std::time::Duration;

use bytes::Bytes;

use super::{Sink, feed, forward, outcome};
use crate::http::spdy::{Incoming, Session, Stream};
use crate::runtime::Attachment;

/// How long the client has to open its streams.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Which streams the client opens besides the one for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub resize: bool,
}

#[derive(Default)]
struct Streams {
    error: Option<Stream>,
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    resize: Option<Stream>,
}

impl Streams {
    fn complete(&self, wanted: Wanted) -> bool {
        self.error.is_some()
            && self.stdin.is_some() == wanted.stdin
            && self.stdout.is_some() == wanted.stdout
            && self.stderr.is_some() == wanted.stderr
            && self.resize.is_some() == wanted.resize
    }

    async fn open(session: &mut Session, wanted: Wanted) -> Option<Self> {
        let mut streams = Self::default();
        while !streams.complete(wanted) {
            let Incoming { headers, stream } = session.accept().await?;
            let kind = headers.iter().find(|(name, _)| name == "streamtype");
            let place = match kind.map(|(_, kind)| kind.as_str()) {
                Some("error") => &mut streams.error,
                Some("stdin") => &mut streams.stdin,
                Some("stdout") => &mut streams.stdout,
                Some("stderr") => &mut streams.stderr,
                Some("resize") => &mut streams.resize,
                _ => {
                    stream.reset().await;
                    continue;
                }
            };
            *place = Some(stream);
        }
        Some(streams)
    }
}

pub(super) async fn run(
    mut session: Session,
    attachment: Attachment,
    command: Vec<String>,
    wanted: Wanted,
) {
    let opened = tokio::time::timeout(OPEN_TIMEOUT, Streams::open(&mut session, wanted)).await;
    let Ok(Some(streams)) = opened else {
        return;
    };
    let sink = |stream: Option<Stream>| stream.map(|stream| Sink::Stream(stream.split().1));
    let work = async {
        tokio::join!(
            attachment.exit,
            forward(attachment.stdout, sink(streams.stdout)),
            forward(attachment.stderr, sink(streams.stderr)),
        )
    };
    let input = async {
        if let Some(stdin) = streams.stdin {
            feed(attachment.stdin, stdin.split().0.into_inner()).await;
        }
        std::future::pending::<()>().await;
    };
    let hung_up = async { while session.accept().await.is_some() {} };
    let code = tokio::select! {
        (code, (), ()) = work => code,
        () = input => return,
        () = hung_up => return,
    };
    if let Some(mut error) = streams.error {
        let status = outcome(&command, code).to_string();
        error.send(Bytes::from(status)).await;
        error.finish().await;
    }
    drop(streams.resize);
    session.finish().await;
}
