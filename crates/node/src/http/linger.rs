//! Answers that arrive.
//!
//! A request that is refused before its body was read (too large, no token, no room) is answered
//! while the client still sends. If the connection were closed then, the client's system would
//! answer its next piece with a reset, and often throw the answer away: a shipper would see
//! "broken pipe", not "413, send smaller batches", and send the same again for ever. So what is
//! left of a body is read and thrown away, within bounds, after the answer: what nginx calls
//! [`lingering_close`](https://nginx.org/en/docs/http/ngx_http_core_module.html#lingering_close).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// What is read of a refused body.
const MOST: usize = 256 << 20;
/// For how long.
const LONGEST: Duration = Duration::from_secs(30);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(5);

/// Lets the body of a request linger.
pub(super) fn linger(request: Request) -> Request {
    let (parts, body) = request.into_parts();
    // Who waits to be told to go on sends nothing once it has been refused.
    let waits = parts.headers.contains_key(EXPECT);
    let body = Lingering {
        body,
        wanted: !waits,
        ended: false,
    };
    Request::from_parts(parts, Body::new(body))
}

/// A body whose rest is read when nobody wants it any more.
struct Lingering {
    body: Body,
    /// Whether the client sends.
    wanted: bool,
    ended: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        self.wanted = true;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.ended || !self.wanted || self.body.is_end_stream() {
            return;
        }
        let rest = std::mem::take(&mut self.body);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(LONGEST, discard(rest)));
        }
    }
}

async fn discard(body: Body) {
    let mut pieces = body.into_data_stream();
    let mut read = 0;
    while read < MOST {
        match timeout(SILENCE, pieces.next()).await {
            Ok(Some(Ok(piece))) => read += piece.len(),
            _ => return,
        }
    }
}
