//! The watch as a process: rounds until it is told to stop, and what they saw over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use backstay_webhook::{Condition, Counters, Counts, RefusalKind, Wake, Webhook, WebhookError};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::metrics::Metrics;
use crate::picture::Picture;
use crate::round::Watcher;
use crate::verification::{self, Verification};

/// The type that Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A process that has taken no round for so long hangs: whatever a round asks has its deadline.
const SILENT: Duration = Duration::from_secs(180);

/// Wakes that wait for the end of a round; more than one wake it no better.
const WAKES: usize = 1;

/// The last line of an exposition.
const END: &str = "# EOF\n";

/// Why the watch cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its address.
    #[error("cannot listen on {address}: {source}; name another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The door for alerts.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
}

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    picture: watch::Receiver<Picture>,
    last: Arc<Mutex<Instant>>,
    /// What the last verification had for Prometheus.
    verified: Arc<Mutex<String>>,
    /// What came in as alerts.
    alerts: Arc<Mutex<Option<Arc<Counters>>>>,
}

/// Watches until `stop` ends. With `webhook`, an alert begins a round at once. Beside that the
/// standby is verified by a schedule. With an address, `/metrics`, `/healthz` and `/status` are served
/// there; `listening` is told where, and where alerts are taken.
///
/// # Errors
/// When an address cannot be used, or anybody could send alerts.
pub async fn serve(
    mut watcher: Watcher,
    listen: Option<SocketAddr>,
    webhook: Option<backstay_webhook::Options>,
    verification: Option<Verification>,
    listening: impl FnOnce(Option<SocketAddr>, Option<SocketAddr>),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let metrics = Arc::new(Metrics::new());
    let (sender, picture) = watch::channel(Picture::default());
    let shown = Shown {
        metrics: metrics.clone(),
        picture,
        last: Arc::new(Mutex::new(Instant::now())),
        verified: Arc::default(),
        alerts: Arc::default(),
    };
    let (last, counted) = (shown.last.clone(), shown.alerts.clone());
    let verifying =
        verification.map(|it| tokio::spawn(verification::run(it, shown.verified.clone())));
    let (waker, mut wakes) = mpsc::channel(WAKES);
    let webhook = match webhook {
        Some(options) => Some(Webhook::start(options, waker).await?),
        None => None,
    };
    if let Some(webhook) = &webhook {
        tracing::info!(address = %webhook.address(), "alerts are taken");
        *counted.lock() = Some(webhook.counters());
    }
    let alerts_at = webhook.as_ref().map(Webhook::address);
    let server = match listen {
        None => {
            listening(None, alerts_at);
            None
        }
        Some(address) => {
            let failed = |source| ServeError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            listening(Some(listener.local_addr().map_err(failed)?), alerts_at);
            Some(tokio::spawn(
                axum::serve(listener, router(shown)).into_future(),
            ))
        }
    };
    let spacing = watcher.spacing();
    tokio::pin!(stop);
    let mut open = true;
    loop {
        let began = Instant::now();
        let (picture, pace) = tokio::select! {
            round = watcher.round() => round,
            () = &mut stop => break,
        };
        metrics.show(&picture);
        *last.lock() = Instant::now();
        sender.send_replace(picture);
        let pause = pace.pause(spacing.saturating_sub(began.elapsed()));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            wake = wakes.recv(), if open => match wake {
                Some(Wake::Alert(alert)) if alert.condition == Condition::Fired => {
                    watcher.alerted();
                }
                Some(Wake::Alert(_) | Wake::Timer) => {}
                None => open = false,
            },
            () = &mut stop => break,
        }
    }
    if let Some(server) = server {
        server.abort();
    }
    if let Some(verifying) = verifying {
        verifying.abort();
    }
    if let Some(webhook) = webhook {
        webhook.stop().await;
    }
    watcher.stop().await;
    Ok(())
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/status", get(status))
        .with_state(shown)
}

async fn metrics(State(shown): State<Shown>) -> Response {
    match shown.metrics.text() {
        Ok(text) => {
            // One exposition has one end (OpenMetrics 1.0, "Overall Structure").
            let mut all = text.trim_end_matches(END).to_owned();
            if let Some(counters) = &*shown.alerts.lock() {
                all.push_str(&of_alerts(&counters.counts()));
            }
            all.push_str(shown.verified.lock().trim_end_matches(END));
            all.push_str(END);
            ([(CONTENT_TYPE, OPENMETRICS)], all).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What came in as alerts, for Prometheus.
fn of_alerts(counts: &Counts) -> String {
    let name = "backstay_webhook_messages";
    let mut text =
        format!("# HELP {name} Messages, by what became of them.\n# TYPE {name} counter\n");
    let taken = [
        ("woke", counts.woke),
        ("replayed", counts.replayed),
        ("ignored", counts.ignored),
        ("tested", counts.tested),
        ("timer", counts.timer),
    ];
    let refused = RefusalKind::ALL
        .into_iter()
        .map(|kind| (kind.as_str(), counts.refused_as(kind)));
    for (result, count) in taken.into_iter().chain(refused) {
        text.push_str(&format!("{name}_total{{result=\"{result}\"}} {count}\n"));
    }
    text
}

/// Whether rounds are taken. One that hangs is ended from outside, and another goes on.
async fn health(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    match shown.last.lock().elapsed() < SILENT {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "no round for long\n"),
    }
}

async fn status(State(shown): State<Shown>) -> Json<Picture> {
    Json(shown.picture.borrow().clone())
}
