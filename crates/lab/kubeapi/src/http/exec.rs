//! `exec`: over WebSocket, where each message begins with the number of its channel
//! (`k8s.io/kubelet/pkg/cri/streaming/remotecommand`); or over SPDY for `kubectl` before 1.31, with
//! a stream for each channel. Version 5 of the protocol adds to version 4 that a WebSocket client
//! can close a channel.

mod streams;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::SplitSink;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Api;
use super::pod::container;
use super::read::existing;
use super::request::{Call, Target};
use super::spdy;
use crate::runtime::{Attachment, ExecRequest, Input, Output, RuntimeError};
use crate::status::{ApiError, ApiResult};

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const CLOSE: u8 = 255;

const CHUNK_BYTES: usize = 32 << 10;
/// The largest message that is taken.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Messages that wait for a slow reader, each way.
const MAX_QUEUED_MESSAGES: usize = 16;

pub(super) async fn exec(
    api: &Api,
    call: &Call,
    target: &Target,
    mut parts: Parts,
) -> ApiResult<Response> {
    let pod = existing(api, target)?;
    let container = container(&pod, call.parameter("container"))?;
    let command = call.parameters("command");
    if command.is_empty() {
        return Err(ApiError::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    let tty = call.flag("tty");
    let request = ExecRequest {
        command,
        stdin: call.flag("stdin"),
        tty,
    };
    let (wants_stdout, wants_stderr) = (call.flag("stdout"), call.flag("stderr"));
    if let Some(spdy) = spdy::Upgrade::of(&mut parts, &[V4])? {
        let attachment = api.runtime.exec(&container, request.clone()).await?;
        let wanted = streams::Wanted {
            stdin: request.stdin,
            stdout: wants_stdout,
            stderr: wants_stderr && !tty,
            resize: tty,
        };
        let run = move |session| streams::run(session, attachment, request.command, wanted);
        return Ok(spdy.serve(api.stopping.clone(), run));
    }
    let upgrade = upgrade(&mut parts).await?.protocols([V5, V4]);
    if upgrade.selected_protocol().is_none() {
        return Err(ApiError::bad_request(format!(
            "unable to upgrade: the protocols served are {V5} and {V4}"
        )));
    }
    let attachment = api.runtime.exec(&container, request.clone()).await?;
    let stopping = api.stopping.clone();
    Ok(upgrade.on_upgrade(move |socket| async move {
        let outputs = (wants_stdout, wants_stderr && !tty);
        let run = run(socket, attachment, request.command, outputs);
        stopping.run_until_cancelled(run).await;
    }))
}

/// The request as the beginning of a WebSocket.
pub(super) async fn upgrade(parts: &mut Parts) -> ApiResult<WebSocketUpgrade> {
    WebSocketUpgrade::from_request_parts(parts, &())
        .await
        .map(|upgrade| {
            upgrade
                .max_message_size(MAX_MESSAGE_BYTES)
                .max_frame_size(MAX_MESSAGE_BYTES)
        })
        .map_err(|error| ApiError::bad_request(format!("unable to upgrade: {error}")))
}

/// Sends each message, and closes in order when there will be no more.
pub(super) async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut messages: mpsc::Receiver<Bytes>,
) {
    while let Some(message) = messages.recv().await {
        if sink.send(Message::Binary(message)).await.is_err() {
            return;
        }
    }
    let close = CloseFrame {
        code: 1000,
        reason: "".into(),
    };
    let _ = sink.send(Message::Close(Some(close))).await;
}

async fn run(
    socket: WebSocket,
    attachment: Attachment,
    command: Vec<String>,
    (wants_stdout, wants_stderr): (bool, bool),
) {
    let (sink, mut source) = socket.split();
    let (out, outgoing) = mpsc::channel::<Bytes>(MAX_QUEUED_MESSAGES);
    let (input, incoming) = mpsc::channel::<Bytes>(MAX_QUEUED_MESSAGES);
    let hung_up = CancellationToken::new();

    let reads = {
        let hung_up = hung_up.clone();
        async move {
            let mut input = Some(input);
            while let Some(Ok(message)) = source.next().await {
                let Message::Binary(bytes) = message else {
                    continue;
                };
                match bytes.first() {
                    Some(&STDIN) if bytes.len() > 1 => {
                        // A command that reads nothing holds up only its own input.
                        if let Some(to) = &input
                            && to.send(bytes.slice(1..)).await.is_err()
                        {
                            input = None;
                        }
                    }
                    Some(&CLOSE) if bytes.get(1) == Some(&STDIN) => input = None,
                    _ => {}
                }
            }
            hung_up.cancel();
        }
    };
    let writes = write(sink, outgoing);
    let feed = feed(attachment.stdin, incoming);
    let exit = attachment.exit;
    let finish = {
        let to = |wanted: bool, channel| wanted.then(|| Sink::Channel(channel, out.clone()));
        let stdout = forward(attachment.stdout, to(wants_stdout, STDOUT));
        let stderr = forward(attachment.stderr, to(wants_stderr, STDERR));
        async move {
            let (code, (), ()) = tokio::join!(exit, stdout, stderr);
            let status = outcome(&command, code).to_string();
            let _ = out.send(message(ERROR, status.as_bytes())).await;
        }
    };
    // Everything that writes holds a sender; when the command is done, the last one goes.
    let work = async {
        tokio::join!(writes, async {
            tokio::select! {
                () = finish => {}
                () = hung_up.cancelled() => {}
            }
        });
    };
    let talk = async {
        tokio::join!(reads, feed);
        // The client is gone or quiet; the work decides when it is over.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = work => {}
        () = talk => {}
    }
}

async fn feed(stdin: Option<Input>, mut incoming: mpsc::Receiver<Bytes>) {
    let Some(mut stdin) = stdin else {
        return;
    };
    while let Some(bytes) = incoming.recv().await {
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
        let _ = stdin.flush().await;
    }
    let _ = stdin.shutdown().await;
}

/// Where the output of a command goes.
enum Sink {
    Channel(u8, mpsc::Sender<Bytes>),
    Stream(spdy::To),
}

impl Sink {
    /// Whether there is still somebody who takes it.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Channel(channel, to) => to.send(message(*channel, bytes)).await.is_ok(),
            Self::Stream(to) => to.send(Bytes::copy_from_slice(bytes)).await,
        }
    }
}

/// Carries a command's output to its end; what nobody wants is read all the same.
async fn forward(mut output: Output, mut to: Option<Sink>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        let read = buffer.get(..count).unwrap_or_default();
        if let Some(to) = &mut to
            && !to.send(read).await
        {
            return;
        }
    }
}

fn message(channel: u8, bytes: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Bytes::from(message)
}

/// What `kubectl` makes its exit code from. The program is named, its arguments are not.
fn outcome(command: &[String], code: Result<i32, RuntimeError>) -> Value {
    match code {
        Ok(0) => json!({ "metadata": {}, "status": "Success" }),
        Ok(code) => {
            let program = command.first().map(String::as_str).unwrap_or_default();
            json!({
                "metadata": {},
                "status": "Failure",
                "message": format!(
                    "command terminated with non-zero exit code: error executing command [{program} …], exit code {code}"
                ),
                "reason": "NonZeroExitCode",
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
            })
        }
        Err(error) => json!({
            "metadata": {},
            "status": "Failure",
            "message": error.to_string(),
            "reason": "InternalError",
            "code": 500,
        }),
    }
}
