//! Calls webhooks, and writes down what came of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backstay_report::with_causes;
use chrono::Utc;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::courier::{Courier, Outcome, Verdict};
use super::store::Alerts;
use super::turn::Notification;

/// A receiver that takes longer has not answered: the first of the times that Azure waits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to sleep when nothing waits; something new ends it.
const IDLE_SLEEP: Duration = Duration::from_secs(3_600);

/// Delivers until it is stopped. What is under way then is delivered again by the next start.
pub async fn run(alerts: Arc<Alerts>, stop: CancellationToken) {
    let begun = Instant::now();
    let mut courier = Courier::default();
    let mut calls = JoinSet::new();
    let mut under_way = HashMap::new();
    let mut client = None;
    loop {
        let state = alerts.state();
        for notification in courier.start(begun.elapsed(), &state.pending) {
            let client = client.get_or_insert_with(new_client).clone();
            let what = Arc::clone(&notification);
            let call = calls.spawn(async move {
                match client {
                    Ok(client) => call(&client, &what).await,
                    Err(reason) => Outcome::Again(reason),
                }
            });
            under_way.insert(call.id(), notification);
        }
        let due = courier.due(&state.pending);
        let pause = due.map_or(IDLE_SLEEP, |it| it.saturating_sub(begun.elapsed()));
        tokio::select! {
            Some(ended) = calls.join_next_with_id() => {
                let (id, outcome) = match ended {
                    Ok(ended) => ended,
                    Err(error) => (error.id(), Outcome::Again(error.to_string())),
                };
                if let Some(notification) = under_way.remove(&id) {
                    let now = begun.elapsed();
                    ended_call(&alerts, &mut courier, now, &notification, outcome).await;
                }
            }
            () = tokio::time::sleep(pause) => {}
            () = alerts.new_notifications.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn ended_call(
    alerts: &Arc<Alerts>,
    courier: &mut Courier,
    now: Duration,
    notification: &Arc<Notification>,
    outcome: Outcome,
) {
    let verdict = courier.ended(now, &notification.uri, &outcome);
    let (alert, receiver) = (notification.alert, &notification.receiver);
    let (event, result, text) = match (&outcome, verdict) {
        (_, Verdict::Delivered) => {
            tracing::info!(%alert, receiver, "webhook called");
            (
                "ActionsTriggered",
                "delivered",
                format!("'{receiver}' was told"),
            )
        }
        (Outcome::Again(reason), Verdict::Later) => {
            tracing::warn!(%alert, receiver, reason, "a webhook did not answer; it is called again");
            alerts.metrics().notified("retried");
            return;
        }
        (Outcome::Again(reason) | Outcome::Refused(reason), _) => {
            tracing::error!(%alert, receiver, reason, "a webhook could not be told");
            let text = format!("'{receiver}' could not be told: {reason}");
            ("ActionsFailed", "given_up", text)
        }
        (Outcome::Taken, _) => return,
    };
    alerts.metrics().notified(result);
    let id = notification.id;
    let receiver_name = receiver.clone();
    let failed = match &outcome {
        Outcome::Taken => None,
        Outcome::Again(reason) | Outcome::Refused(reason) => Some(reason.clone()),
    };
    let written = alerts.change(move |state| {
        state.pending.retain(|it| it.id != id);
        if let Some(alert) = state.alerts.get_mut(&alert) {
            Arc::make_mut(alert).note(event, ["", ""], &text, Utc::now());
        } else if let Some(trial) = state.trials.get_mut(&alert) {
            Arc::make_mut(trial).ended(&receiver_name, failed.as_deref(), Utc::now());
        }
        Ok::<_, Infallible>(())
    });
    if let Err(error) = written.await {
        courier.unwritten(now, &notification.uri);
        tracing::error!(
            %error,
            %alert,
            receiver,
            "what came of a call cannot be written down; it is made again"
        );
    }
}

/// What calls are made with. It reads root certificates, so it is made when it is needed first.
fn new_client() -> Result<Client, String> {
    // Another one may be installed already, which is as good.
    backstay_tls::install_provider();
    let builder = || {
        Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent("backstay-traffic")
    };
    let built = builder().build().or_else(|error| {
        // A machine without any root certificate can still call webhooks without TLS.
        tracing::warn!(
            %error,
            "no webhook can be called over TLS: give root certificates with SSL_CERT_FILE"
        );
        builder().tls_certs_only([]).build()
    });
    built.map_err(|error| with_causes(&error))
}

async fn call(client: &Client, notification: &Notification) -> Outcome {
    let request = client
        .post(&notification.uri)
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .body(notification.body.to_string());
    match request.send().await {
        Ok(response) => judge(response.status()),
        // The URL may hold a credential.
        Err(error) => Outcome::Again(with_causes(&error.without_url())),
    }
}

/// What a status code says, see [`super::courier`].
fn judge(status: StatusCode) -> Outcome {
    let reason = format!("HTTP {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Outcome::Taken,
        408 | 429 | 503 | 504 => Outcome::Again(reason),
        _ => Outcome::Refused(reason),
    }
}

#[cfg(test)]
mod tests;
