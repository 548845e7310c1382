//! The watch as a process: rounds until it is told to stop, and what they saw over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use backstay_listen::{Limits, Refusals, Server, exposition, share_of_files};
use backstay_webhook::{Condition, Counters, Counts, RefusalKind, Wake, Webhook, WebhookError};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::round::Watcher;
use crate::status::WatchStatus;
use crate::verification::{self, Verification};

/// A process that has taken no round for so long hangs: whatever a round asks has its deadline.
const MAX_ROUND_AGE: Duration = Duration::from_secs(180);

/// Wakes that wait for the end of a round; more than one wake it no better.
const MAX_QUEUED_WAKES: usize = 1;

/// Connections to what is shown.
const MAX_CONNECTIONS: usize = 128;
/// Files for everything else: alerts that come in, and what the watch itself asks.
const OTHER_FILES: u64 = 512;

/// The last line of an exposition.
const END: &str = "# EOF\n";

/// Why the watch cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address that metrics are to be served at cannot be had.
    #[error("cannot listen on {address}: {source}; name another with --listen")]
    Listen {
        /// The address as given.
        address: SocketAddr,
        /// What the system said.
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
    status: watch::Receiver<WatchStatus>,
    last: Arc<Mutex<Instant>>,
    /// What the last verification had for Prometheus.
    verified: Arc<Mutex<String>>,
    /// What came in as alerts.
    alerts: Option<Arc<Counters>>,
    /// Which connections were refused, here and where alerts come in.
    refusals: Arc<[Refusals]>,
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
    let (sender, status) = watch::channel(WatchStatus::default());
    let last = Arc::new(Mutex::new(Instant::now()));
    let verified = Arc::default();
    let verifying =
        verification.map(|it| tokio::spawn(verification::run(it, Arc::clone(&verified))));
    let (waker, mut wakes) = mpsc::channel(MAX_QUEUED_WAKES);
    let webhook = match webhook {
        Some(options) => Some(Webhook::start(options, waker).await?),
        None => None,
    };
    if let Some(webhook) = &webhook {
        tracing::info!(address = %webhook.address(), "alerts are taken");
    }
    let alerts_at = webhook.as_ref().map(Webhook::address);
    let stop_serving = CancellationToken::new();
    let server = match listen {
        None => {
            listening(None, alerts_at);
            None
        }
        Some(address) => {
            let failed = |source| ServeError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            listening(Some(listener.local_addr().map_err(failed)?), alerts_at);
            let limits = Limits::of(share_of_files(MAX_CONNECTIONS, OTHER_FILES));
            let server = Server::new("watch", limits);
            let shown = Shown {
                metrics: metrics.clone(),
                status,
                last: last.clone(),
                verified,
                alerts: webhook.as_ref().map(Webhook::counters),
                refusals: [
                    Some(server.refusals()),
                    webhook.as_ref().map(Webhook::refusals),
                ]
                .into_iter()
                .flatten()
                .collect(),
            };
            let serving = server.serve(listener, router(shown), stop_serving.clone());
            Some(tokio::spawn(serving))
        }
    };
    let spacing = watcher.spacing();
    tokio::pin!(stop);
    let mut open = true;
    loop {
        let began = Instant::now();
        let (status, pace) = tokio::select! {
            round = watcher.round() => round,
            () = &mut stop => break,
        };
        metrics.show(&status);
        *last.lock() = Instant::now();
        sender.send_replace(status);
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
    stop_serving.cancel();
    if let Some(server) = server {
        // It ends by its own bound.
        let _ = server.await;
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

async fn metrics(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    match shown.metrics.text() {
        Ok(text) => {
            // One exposition has one end (OpenMetrics 1.0, "Overall Structure").
            let mut all = text.trim_end_matches(END).to_owned();
            if let Some(counters) = &shown.alerts {
                all.push_str(&of_alerts(&counters.counts()));
            }
            all.push_str(shown.verified.lock().trim_end_matches(END));
            let refusals: Vec<&Refusals> = shown.refusals.iter().collect();
            all.push_str(END);
            exposition(&headers, &all, &refusals)
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
    match shown.last.lock().elapsed() < MAX_ROUND_AGE {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "no round for long\n"),
    }
}

async fn status(State(shown): State<Shown>) -> Json<WatchStatus> {
    Json(shown.status.borrow().clone())
}

#[cfg(test)]
mod tests;
