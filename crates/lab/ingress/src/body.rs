//! Bodies on their way through. They are passed on as they come, never gathered.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use crate::endpoint::InFlight;
use crate::metrics::Counted;

/// A request's body. It can be lent again as long as nothing of it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Upload(Arc<Mutex<UploadState>>);

#[derive(Debug)]
struct UploadState {
    body: Option<Body>,
    moved: Instant,
    /// Whether the next move is the client's.
    client_is_next: bool,
}

impl Upload {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(UploadState {
            body: Some(body),
            moved: Instant::now(),
            client_is_next: false,
        })))
    }

    /// The body, for one attempt.
    pub(crate) fn lend(&self) -> Lent {
        let state = self.0.lock();
        let (size, ended) = match &state.body {
            None => (SizeHint::default(), false),
            Some(body) => (body.size_hint(), body.is_end_stream()),
        };
        Lent {
            upload: self.clone(),
            body: None,
            size,
            ended,
        }
    }

    /// Whether a part of it may have gone out.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.lock().body.is_none()
    }

    /// When something of it was last asked for or given, and whether the client is to move now.
    pub(crate) fn progress(&self) -> (Instant, bool) {
        let state = self.0.lock();
        (state.moved, state.client_is_next)
    }
}

/// A request's body at an attempt to send it.
#[derive(Debug)]
pub(crate) struct Lent {
    upload: Upload,
    body: Option<Body>,
    size: SizeHint,
    ended: bool,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let mut state = this.upload.0.lock();
        if this.body.is_none() {
            this.body = state.body.take();
        }
        let Some(body) = &mut this.body else {
            // Another attempt has it. The decision whether to send again rules that out.
            return Poll::Ready(Some(Err(axum::Error::new("the body was sent before"))));
        };
        let polled = Pin::new(body).poll_frame(context);
        state.client_is_next = polled.is_pending();
        if polled.is_ready() {
            state.moved = Instant::now();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .map_or(self.ended, HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| self.size, HttpBody::size_hint)
    }
}

/// An endpoint was silent for too long in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint was silent for {0:?} in the middle of its answer")]
pub(crate) struct Silent(Duration);

/// An answer's body. The endpoint counts as busy until it is dropped.
pub(crate) struct Download {
    body: Incoming,
    quiet: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    in_flight: InFlight,
    _counted: Counted,
}

impl Download {
    pub(crate) fn new(
        body: Incoming,
        quiet: Duration,
        in_flight: InFlight,
        counted: Counted,
    ) -> Self {
        Self {
            body,
            quiet,
            waiting: None,
            in_flight,
            _counted: counted,
        }
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("from", &self.in_flight.endpoint().address())
            .finish_non_exhaustive()
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.waiting = None;
            return Poll::Ready(frame.map(|it| it.map_err(axum::Error::new)));
        }
        let quiet = this.quiet;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(quiet)));
        let too_long = waiting.as_mut().poll(context);
        too_long.map(|()| Some(Err(axum::Error::new(Silent(quiet)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
