//! A connection that holds its place among the others, and is patient only for so long.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use crate::Limits;
use crate::places::Place;
use crate::refusals::{Refusal, Refusals};

pub(crate) struct Connection<S> {
    stream: S,
    limits: Limits,
    refusals: Refusals,
    /// Runs while the client takes nothing.
    stalling: Option<Pin<Box<Sleep>>>,
    /// Runs while the client says nothing; at its end it is seen how long that is.
    listening: Pin<Box<Sleep>>,
    place: Arc<Place>,
    _file: OwnedSemaphorePermit,
}

impl<S> Connection<S> {
    pub(crate) fn new(
        stream: S,
        limits: Limits,
        refusals: Refusals,
        place: Arc<Place>,
        file: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream,
            limits,
            refusals,
            stalling: None,
            listening: Box::pin(tokio::time::sleep(tick(&limits))),
            place,
            _file: file,
        }
    }

    fn refuse(&self, refusal: Refusal, why: &str) -> io::Error {
        self.refusals
            .add(refusal, Some(self.place.seat.source), None);
        io::Error::new(io::ErrorKind::TimedOut, why.to_owned())
    }

    /// Fails when what is `written` has not gone on for too long.
    fn patiently<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(patience) = self.limits.stalled else {
            return written;
        };
        if written.is_ready() {
            self.stalling = None;
            return written;
        }
        let stalling = self
            .stalling
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stalling.as_mut().poll(context).map(|()| {
            let why = "the client takes nothing of what it is sent";
            Err(self.refuse(Refusal::Stalled, why))
        })
    }

    /// Fails when a head has not come in time.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if self.listening.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let patience = self.place.seat.patience(&self.limits);
            let (left, refusal) = patience.unwrap_or((self.limits.head, None));
            if left.is_zero() {
                let why = "no request came in time";
                return Poll::Ready(match refusal {
                    Some(refusal) => self.refuse(refusal, why),
                    None => io::Error::new(io::ErrorKind::TimedOut, why),
                });
            }
            // A head may begin soon, and has less time than one that is waited for.
            let next = left.min(tick(&self.limits)).max(Duration::from_millis(1));
            self.listening.as_mut().reset(Instant::now() + next);
        }
    }
}

/// How often it is looked how long a client has said nothing: what it may take for a head and what
/// it may rest differ, and which of them counts changes without a word.
fn tick(limits: &Limits) -> Duration {
    limits.head.min(limits.idle)
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            return self.poll_deadline(context).map(Err);
        }
        if buffer.filled().len() > before {
            self.place.seat.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patiently(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patiently(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.patiently(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.patiently(context, shut)
    }
}
