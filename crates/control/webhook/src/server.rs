//! The server.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::http::{StatusCode, request::Parts};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use backstay_listen::{Limits, Peer, Refusals, Server, Tls};
use backstay_token::FileToken;
use chrono::Utc;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Shown};
use crate::counters::Counters;
use crate::entra::Entra;
use crate::inbox::{Inbox, Outcome, Wake};
use crate::invocation::{Invocation, MAX_INVOCATION_BYTES, done, response};
use crate::message::{MAX_MESSAGE_BYTES, Malformed, Message};
use crate::refusal::{Refusal, RefusalKind};
use crate::rule::Rule;

/// Azure Monitor is one caller; the rest is room for those who should not be there.
const MAX_CONNECTIONS: usize = 128;
/// A token of Entra has 2 KiB.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// The log is told of one kind of refusal no more often; the counters count each.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// To whom it is open.
#[derive(Clone, Debug)]
pub enum Door {
    /// A network. Requests have to show who they are.
    Network {
        /// Where to listen.
        address: SocketAddr,
        /// Without it a secret can be read on the way, so something in front must speak TLS.
        tls: Option<Tls>,
    },
    /// The Azure Functions host that has started this process, on this machine alone: it listens on
    /// 127.0.0.1, as the host's documentation has it. The host is who checks the caller (function
    /// key), so nothing more has to be configured; what is configured, is asked for too.
    Functions {
        /// The host's `FUNCTIONS_CUSTOMHANDLER_PORT`.
        port: u16,
    },
}

/// What a webhook is configured with at its start.
#[derive(Debug)]
pub struct Options {
    /// To whom it is open.
    pub door: Door,
    /// Whose alerts wake.
    pub rule: Rule,
    /// A secret that lets in.
    pub secret: Option<FileToken>,
    /// Tokens that let in.
    pub entra: Option<Entra>,
    /// How long the head of a request may take, and again its body. Azure waits for 10 s.
    pub patience: Duration,
}

impl Options {
    /// With this rule, and nothing yet that lets anybody in.
    pub fn new(door: Door, rule: Rule) -> Self {
        Self {
            door,
            rule,
            secret: None,
            entra: None,
            patience: Duration::from_secs(10),
        }
    }
}

/// Why there is no webhook.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Anybody could wake it.
    #[error(
        "alerts would be taken from anybody: name a file with a secret, or a tenant and an audience for tokens of Entra"
    )]
    Open,
    /// The address cannot be had.
    #[error("cannot listen for alerts on {address}: {source}; is another process there?")]
    Listen {
        /// The address as given.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A running webhook. Dropping it cuts it off.
pub struct Webhook {
    address: SocketAddr,
    counters: Arc<Counters>,
    refusals: Refusals,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// Starts it. Each wake is sent on `on`; where there is no room, one waits already and another
    /// is dropped, so room for one is enough.
    ///
    /// # Errors
    /// When nothing is configured that keeps strangers out, or the address cannot be had.
    pub async fn start(options: Options, on: Sender<Wake>) -> Result<Self, WebhookError> {
        let admission = Admission {
            secret: options.secret,
            entra: options.entra,
        };
        let (address, tls, functions) = match options.door {
            Door::Network { address, tls } => (address, tls, false),
            Door::Functions { port } => (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), None, true),
        };
        if admission.is_open() && !functions {
            return Err(WebhookError::Open);
        }
        let listen = |source| WebhookError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        if tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "alerts are taken without TLS: the secret can be read on the way, unless something \
                 in front speaks TLS"
            );
        }
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared {
            admission,
            inbox: Inbox::new(options.rule, on),
            counters: Arc::clone(&counters),
            patience: options.patience,
            warned: Mutex::default(),
        });
        let limits = Limits {
            handshake: options.patience,
            head: options.patience,
            head_bytes: MAX_HEAD_BYTES,
            stalled: Some(options.patience),
            ..Limits::of(MAX_CONNECTIONS)
        };
        let stop = CancellationToken::new();
        let router = router(shared, functions);
        let server = Server::new("alerts", limits).with_tls(tls);
        let refusals = server.refusals();
        let served = tokio::spawn(server.serve(listener, router, stop.clone()));
        Ok(Self {
            address,
            counters,
            refusals,
            stop,
            served,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Which connections it refuses.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// Takes nothing new, answers what is under way, and ends.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It ends by its own bound.
        let _ = (&mut self.served).await;
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.served.abort();
    }
}

struct Shared {
    admission: Admission,
    inbox: Inbox,
    counters: Arc<Counters>,
    patience: Duration,
    /// When the log was last told of a kind of refusal.
    warned: Mutex<HashMap<RefusalKind, Instant>>,
}

/// The paths: `/api/alert` is what Azure calls, and what the Functions host forwards as it came.
/// When it does not forward, it calls a function by its name.
fn router(shared: Arc<Shared>, functions: bool) -> Router {
    let mut router = Router::new()
        .route("/api/alert", post(alert))
        .route("/healthz", get(|| async { "ok\n" }));
    if functions {
        router = router
            .route("/alert", post(invoked))
            .route("/watch", post(timer));
    }
    router.with_state(shared)
}

/// A webhook's call.
async fn alert(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let taken = async {
        shared.admission.admit(&Shown::of(&parts)).await?;
        let body = shared.read(body, MAX_MESSAGE_BYTES).await?;
        shared.take(&Message::parse(&body)?)
    };
    match shared.judged(&parts, taken.await) {
        Ok(outcome) => outcome.text().into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// The HTTP trigger, when the host does not forward the request. What the caller is to hear is in
/// the answer; its own status says only that the function has run.
async fn invoked(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let parsed = async {
        let body = shared.read(body, MAX_INVOCATION_BYTES).await?;
        Ok(Invocation::parse(&body)?)
    };
    let invocation = match shared.judged(&parts, parsed.await) {
        Ok(invocation) => invocation,
        Err(refusal) => return refused(&refusal),
    };
    let taken = async {
        shared.admission.admit(&invocation.shown()).await?;
        shared.take(&invocation.message()?)
    };
    Json(match shared.judged(&parts, taken.await) {
        Ok(outcome) => response(StatusCode::OK, outcome.text()),
        Err(refusal) => response(refusal.status(), &refusal.to_string()),
    })
    .into_response()
}

/// The timer trigger. What the host tells of its schedule is of no interest.
async fn timer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let woken = async {
        shared.read(body, MAX_INVOCATION_BYTES).await?;
        shared.inbox.wake(Wake::Timer)
    };
    match shared.judged(&parts, woken.await) {
        Ok(()) => {
            shared.counters.timer();
            Json(done()).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

impl Shared {
    async fn read(&self, body: Body, limit: usize) -> Result<Bytes, Refusal> {
        if body.size_hint().lower() > limit as u64 {
            return Err(Refusal::Oversized(limit));
        }
        let reading = Limited::new(body, limit).collect();
        match tokio::time::timeout(self.patience, reading).await {
            Err(_) => Err(Refusal::Slow),
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::Oversized(limit)),
            Ok(Err(_)) => Err(Malformed::new("the message", "it broke off").into()),
        }
    }

    fn take(&self, message: &Message) -> Result<Outcome, Refusal> {
        let outcome = self.inbox.take(message, Utc::now())?;
        self.counters.took(outcome);
        Ok(outcome)
    }

    /// Counts and logs a refusal. The address that was called is not logged: it can hold the
    /// secret.
    fn judged<T>(&self, request: &Parts, taken: Result<T, Refusal>) -> Result<T, Refusal> {
        taken.inspect_err(|refusal| {
            let (kind, why) = (refusal.kind(), refusal.why());
            self.counters.refused(kind);
            let peer = request.extensions.get::<Peer>();
            let peer = peer.map(|it| it.address.to_string());
            let name = kind.as_str();
            if self.is_news(kind) {
                tracing::warn!(peer, kind = name, why, "a message is refused");
            } else {
                tracing::debug!(peer, kind = name, why, "a message is refused");
            }
        })
    }

    /// Whether the log was not told of such a refusal a moment ago: nobody is to fill it.
    fn is_news(&self, kind: RefusalKind) -> bool {
        let mut warned = self.warned.lock();
        let news = warned
            .get(&kind)
            .is_none_or(|it| it.elapsed() >= LOG_INTERVAL);
        if news {
            warned.insert(kind, Instant::now());
        }
        news
    }
}

fn refused(refusal: &Refusal) -> Response {
    let mut response = (refusal.status(), format!("{refusal}\n")).into_response();
    if refusal.kind() == RefusalKind::Unauthenticated {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}
