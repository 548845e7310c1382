//! What a handler leaves of a request is read and thrown away for a while.
//!
//! Who refuses a request without reading it, and closes, makes the system answer what is still
//! coming with a reset, which can overtake the refusal: the client sees a broken connection and
//! never learns why.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::http::{Request, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;

/// A client that goes on sending for longer after it was answered is cut off.
const LINGER: Duration = Duration::from_secs(5);

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Rest {
    body: Option<Incoming>,
    /// Whether there is, or soon will be, something on its way.
    coming: bool,
}

impl Rest {
    pub(crate) fn of(request: Request<Incoming>) -> Request<Self> {
        // Who asks first sends nothing until it is told to.
        let asks = request.headers().contains_key(header::EXPECT);
        request.map(|body| Self {
            coming: !asks,
            body: Some(body),
        })
    }
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.coming = true;
        match &mut self.body {
            None => Poll::Ready(None),
            Some(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else {
            return;
        };
        if !self.coming || body.is_end_stream() {
            return;
        }
        // Outside of a runtime there is no connection either.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let reading = async {
                let mut next = |context: &mut Context<'_>| Pin::new(&mut body).poll_frame(context);
                while let Some(Ok(_)) = std::future::poll_fn(&mut next).await {}
            };
            let _ = tokio::time::timeout(LINGER, reading).await;
        });
    }
}
