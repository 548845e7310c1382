//! What can be seen from outside: metrics, events, and the whole picture for the console.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use backstay_listen::{Refusals, exposition};
use futures::stream::{self, Stream, StreamExt};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::events::Event;
use crate::manager::{Manager, Sample};
use backstay_traffic_profile::profile_json;
use backstay_traffic_profile::status::Health;

/// Those who watch events at the same time.
const MAX_WATCHERS: usize = 64;

#[derive(Clone)]
struct Observe {
    manager: Arc<Manager>,
    registry: Arc<Registry>,
    watchers: Arc<Semaphore>,
    refusals: [Refusals; 3],
    stop: CancellationToken,
}

pub(crate) fn router(
    manager: Arc<Manager>,
    registry: Arc<Registry>,
    refusals: [Refusals; 3],
    stop: CancellationToken,
) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/events", get(events))
        .route("/status", get(status))
        .with_state(Observe {
            manager,
            registry,
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            refusals,
            stop,
        })
}

async fn metrics(State(observe): State<Observe>, headers: HeaderMap) -> Response {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &observe.registry);
    exposition(&headers, &text, &observe.refusals.each_ref())
}

/// Status changes and changes of answers, as they happen; with `Last-Event-ID`, first those that
/// came after it, as far as they are kept.
async fn events(State(observe): State<Observe>, headers: HeaderMap) -> Response {
    let Ok(place) = observe.watchers.try_acquire_owned() else {
        let why = format!("{MAX_WATCHERS} clients watch already; come back later\n");
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let last = headers.get("last-event-id").and_then(|it| it.to_str().ok());
    let last = match last.and_then(|it| it.trim().parse().ok()) {
        Some(last) => last,
        None => observe.manager.events().last(),
    };
    let events = follow(&observe.manager, last, place);
    let until = observe.stop.cancelled_owned();
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Sse::new(events.take_until(until))
        .keep_alive(alive)
        .into_response()
}

fn follow(
    manager: &Manager,
    last: u64,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<SseEvent, Infallible>> + use<> {
    let (before, coming) = manager.events().since(last);
    let coming = stream::unfold((coming, place), |(mut coming, place)| async move {
        let event = match coming.recv().await {
            Ok(event) => as_sse(&event),
            // It took too long to read; the numbers tell what is missing.
            Err(RecvError::Lagged(count)) => {
                SseEvent::default().event("missed").data(count.to_string())
            }
            Err(RecvError::Closed) => return None,
        };
        Some((event, (coming, place)))
    });
    stream::iter(before)
        .map(|it| as_sse(&it))
        .chain(coming)
        .map(Ok)
}

fn as_sse(event: &Event) -> SseEvent {
    let kind = event.what.kind();
    let id = event.sequence.to_string();
    // An event has nothing in it that is not JSON.
    let data = serde_json::to_string(event).unwrap_or_default();
    SseEvent::default().event(kind).id(id).data(data)
}

/// Every profile as the API shows it, and of every endpoint what each vantage point has seen.
async fn status(State(observe): State<Observe>) -> Json<Value> {
    let manager = &observe.manager;
    let zone = &manager.config().zone;
    let points = &manager.config().vantage_points;
    let profiles: Vec<Value> = manager
        .profiles(|_| true)
        .iter()
        .map(|(profile, statuses)| {
            let probes: serde_json::Map<String, Value> = profile
                .endpoints
                .iter()
                .filter_map(|endpoint| {
                    let id = profile.endpoint_id(&endpoint.name);
                    let known = manager.known(&id, |watched| {
                        let agents = watched.agents().iter().zip(points);
                        let agents: Vec<Value> = agents
                            .map(|(agent, point)| {
                                json!({
                                    "vantagePoint": point.name,
                                    "health": agent.health(),
                                    "failures": agent.failures(),
                                })
                            })
                            .collect();
                        let history: Vec<&Sample> = watched.history().collect();
                        json!({
                            "decided": watched.health() != Health::Unknown,
                            "vantagePoints": agents,
                            "latencyMs": history.iter().rev().find(|it| it.error.is_none()).map(|it| it.took_ms),
                            "lastError": watched.last_error(),
                            "history": history,
                        })
                    })?;
                    Some((endpoint.name.clone(), known))
                })
                .collect();
            let mut shown = profile_json(profile, zone, statuses);
            // Headers may hold credentials, and this page asks for no token.
            redact(&mut shown);
            json!({ "profile": shown, "probes": probes })
        })
        .collect();
    Json(json!({
        "zone": zone,
        "lastEvent": manager.events().last(),
        "profiles": profiles,
    }))
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("customHeaders");
            map.values_mut().for_each(redact);
        }
        Value::Array(all) => all.iter_mut().for_each(redact),
        _ => {}
    }
}
