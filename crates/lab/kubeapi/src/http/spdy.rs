//! The part of SPDY/3.1 that `port-forward` speaks
//! (<https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>), server side. Streams
//! are opened by the client. There is no flow control, as in the library of `kubectl`
//! (`moby/spdystream`): a stream that nobody reads holds up its session.

mod frame;
mod headers;
mod upgrade;

use std::collections::HashMap;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use frame::{Frame, read_frame};
use headers::{Compressor, Decompressor};
pub(super) use upgrade::Upgrade;

/// Streams at a time.
const MAX_STREAMS: usize = 512;
/// Chunks that wait, of each stream and of the whole session.
const MAX_QUEUED_CHUNKS: usize = 16;

/// A stream that the client has opened.
pub(super) struct Incoming {
    pub headers: Vec<(String, String)>,
    pub stream: Stream,
}

/// One stream.
pub(super) struct Stream {
    id: u32,
    received: mpsc::Receiver<Bytes>,
    out: mpsc::Sender<Out>,
}

/// The receiving half of a stream.
pub(super) struct From(mpsc::Receiver<Bytes>);

/// The sending half of a stream.
pub(super) struct To {
    id: u32,
    out: mpsc::Sender<Out>,
}

enum Out {
    Reply(u32),
    Data(u32, Bytes),
    Finish(u32),
    Reset(u32),
    Pong(u32),
}

impl Stream {
    pub(super) async fn send(&mut self, bytes: Bytes) -> bool {
        self.out.send(Out::Data(self.id, bytes)).await.is_ok()
    }

    /// Says that nothing more is sent.
    pub(super) async fn finish(self) {
        let _ = self.out.send(Out::Finish(self.id)).await;
    }

    /// Refuses it.
    pub(super) async fn reset(self) {
        let _ = self.out.send(Out::Reset(self.id)).await;
    }

    pub(super) fn split(self) -> (From, To) {
        let to = To {
            id: self.id,
            out: self.out,
        };
        (From(self.received), to)
    }
}

impl From {
    pub(super) fn into_inner(self) -> mpsc::Receiver<Bytes> {
        self.0
    }

    /// The next bytes; none where the client has finished.
    pub(super) async fn receive(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

impl To {
    /// Whether the session still takes bytes.
    pub(super) async fn send(&mut self, bytes: Bytes) -> bool {
        self.out.send(Out::Data(self.id, bytes)).await.is_ok()
    }

    /// Says that nothing more is sent.
    pub(super) async fn finish(&mut self) {
        let _ = self.out.send(Out::Finish(self.id)).await;
    }
}

/// One connection with its streams.
pub(super) struct Session {
    accepted: mpsc::Receiver<Incoming>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Session {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Session {
    pub(super) fn start(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (read, write) = tokio::io::split(io);
        let (accept, accepted) = mpsc::channel(MAX_QUEUED_CHUNKS);
        let (out, outgoing) = mpsc::channel(MAX_QUEUED_CHUNKS);
        let reading = tokio::spawn(async move {
            if let Err(error) = receive(read, accept, out).await {
                tracing::debug!(%error, "a port-forward session has ended");
            }
        });
        let writing = tokio::spawn(async move {
            if let Err(error) = transmit(write, outgoing).await {
                tracing::debug!(%error, "a port-forward session cannot be written to");
            }
        });
        Self {
            accepted,
            tasks: [reading, writing],
        }
    }

    /// Sends what is waiting, and ends. All streams must be finished or dropped.
    pub(super) async fn finish(mut self) {
        let [reading, writing] = &mut self.tasks;
        reading.abort();
        let _ = reading.await;
        self.accepted.close();
        while self.accepted.try_recv().is_ok() {}
        let _ = writing.await;
    }

    /// The next stream that the client opens; none once the session is over.
    pub(super) async fn accept(&mut self) -> Option<Incoming> {
        self.accepted.recv().await
    }
}

async fn receive<R: AsyncRead>(
    mut read: ReadHalf<R>,
    accept: mpsc::Sender<Incoming>,
    out: mpsc::Sender<Out>,
) -> std::io::Result<()> {
    let mut decompressor = Decompressor::new();
    let mut streams: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    while let Some(frame) = read_frame(&mut read).await? {
        match frame {
            Frame::SynStream {
                id,
                finished,
                block,
            } => {
                let headers = decompressor.headers(&block)?;
                streams.retain(|_, stream| !stream.is_closed());
                if streams.len() >= MAX_STREAMS {
                    let _ = out.send(Out::Reset(id)).await;
                    continue;
                }
                let (sender, received) = mpsc::channel(MAX_QUEUED_CHUNKS);
                if !finished {
                    streams.insert(id, sender);
                }
                let _ = out.send(Out::Reply(id)).await;
                let stream = Stream {
                    id,
                    received,
                    out: out.clone(),
                };
                if accept.send(Incoming { headers, stream }).await.is_err() {
                    return Ok(());
                }
            }
            Frame::Data {
                id,
                finished,
                bytes,
            } => {
                if !bytes.is_empty()
                    && let Some(stream) = streams.get(&id)
                    && stream.send(bytes).await.is_err()
                {
                    // Nobody reads it any more.
                    streams.remove(&id);
                }
                if finished {
                    streams.remove(&id);
                }
            }
            Frame::Reset { id } => {
                streams.remove(&id);
            }
            Frame::Ping { id } => {
                let _ = out.send(Out::Pong(id)).await;
            }
            Frame::Headers { block } => {
                // Its meaning is nothing to us, but the compression carries on over it.
                decompressor.headers(&block)?;
            }
            Frame::GoAway => return Ok(()),
            Frame::Other => {}
        }
    }
    Ok(())
}

async fn transmit<W: AsyncWrite>(
    mut write: WriteHalf<W>,
    mut outgoing: mpsc::Receiver<Out>,
) -> std::io::Result<()> {
    let mut compressor = Compressor::new()?;
    while let Some(out) = outgoing.recv().await {
        let bytes = match out {
            Out::Reply(id) => frame::reply(id, &compressor.no_headers()?),
            Out::Data(id, bytes) => frame::data(id, false, &bytes),
            Out::Finish(id) => frame::data(id, true, &[]),
            Out::Reset(id) => frame::reset(id),
            Out::Pong(id) => frame::ping(id),
        };
        write.write_all(&bytes).await?;
        write.flush().await?;
    }
    write.shutdown().await
}

#[cfg(test)]
mod tests;
