//! The body of a request: how slowly it may come, and what becomes of the part that nobody reads.
//!
//! Who refuses a request without reading it, and closes, makes the system answer what is still
//! coming with a reset, which can overtake the refusal: the client sees a broken connection and
//! never learns why. A shipper would send the same again for ever. So what a handler leaves of a
//! body is read and thrown away for a while, what nginx calls
//! [`lingering_close`](https://nginx.org/en/docs/http/ngx_http_core_module.html#lingering_close).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Bytes, HttpBody};
use axum::http::{Request, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::Sleep;

use crate::LeastRate;
use crate::rate::Allowance;
use crate::seat::UnderWay;

/// A client that goes on sending for longer after it was answered is cut off.
const MAX_LINGER: Duration = Duration::from_secs(30);
/// So is one that sends more.
const MAX_LINGER_BYTES: usize = 256 << 20;
/// So is one that sends nothing for so long.
const MAX_LINGER_SILENCE: Duration = Duration::from_secs(5);
/// One that was too slow has shown that it has nothing more to say.
const MAX_LINGER_OF_SLOW: Duration = Duration::from_secs(1);

/// Why a body ends.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It broke off.
    Broken(hyper::Error),
    /// It came too slowly.
    Slow(LeastRate),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::Slow(rate) => write!(
                f,
                "it came too slowly: less than {} bytes a second, after {} s for a start",
                rate.bytes_per_second,
                rate.pause.as_secs_f32()
            ),
        }
    }
}

impl std::error::Error for BodyError {}

/// Whether a request's body was too slow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slow(Arc<AtomicBool>);

impl Slow {
    pub(crate) fn is_so(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Rest {
    body: Option<Incoming>,
    /// Whether there is, or soon will be, something on its way.
    coming: bool,
    allowance: Allowance,
    rate: LeastRate,
    waiting: Option<Pin<Box<Sleep>>>,
    slow: Slow,
    under_way: Option<UnderWay>,
    /// It is the part that nobody wants.
    lingers: bool,
}

impl Rest {
    pub(crate) fn of(
        request: Request<Incoming>,
        rate: LeastRate,
        slow: &Slow,
        under_way: Option<UnderWay>,
    ) -> Request<Self> {
        // Who asks first sends nothing until it is told to.
        let asks = request.headers().contains_key(header::EXPECT);
        request.map(|body| Self {
            coming: !asks,
            body: Some(body),
            allowance: Allowance::new(rate),
            rate,
            waiting: None,
            slow: slow.clone(),
            under_way,
            lingers: false,
        })
    }

    /// Whether the client has had its time.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() {
            let deadline = self.allowance.wait(Instant::now());
            let sleep = tokio::time::sleep_until(deadline.into());
            self.waiting = Some(Box::pin(sleep));
        }
        match &mut self.waiting {
            Some(waiting) => waiting.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.coming = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(frame) => {
                let bytes = match &frame {
                    Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                    _ => 0,
                };
                self.allowance.came(Instant::now(), bytes);
                self.waiting = None;
                Poll::Ready(frame.map(|it| it.map_err(BodyError::Broken)))
            }
            Poll::Pending => self.poll_deadline(context).map(|()| {
                self.slow.0.store(true, Relaxed);
                Some(Err(BodyError::Slow(self.rate)))
            }),
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
        let Some(body) = self.body.take() else {
            return;
        };
        if self.lingers || !self.coming || body.is_end_stream() {
            return;
        }
        // Outside of a runtime there is no connection either.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (longest, pause) = match self.slow.is_so() {
            true => (MAX_LINGER_OF_SLOW, MAX_LINGER_OF_SLOW),
            false => (MAX_LINGER, MAX_LINGER_SILENCE.min(self.rate.pause)),
        };
        let rate = LeastRate { pause, ..self.rate };
        let rest = Self {
            coming: true,
            body: Some(body),
            allowance: Allowance::new(rate),
            rate,
            waiting: None,
            slow: Slow::default(),
            under_way: self.under_way.take(),
            lingers: true,
        };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(longest, rest.discard()).await;
        });
    }
}

impl Rest {
    async fn discard(mut self) {
        let mut read = 0;
        let mut next = |context: &mut Context<'_>| Pin::new(&mut self).poll_frame(context);
        while read < MAX_LINGER_BYTES
            && let Some(Ok(frame)) = std::future::poll_fn(&mut next).await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }
}
