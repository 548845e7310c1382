//! Azure's Resource Manager API, as much of it as a failover needs: Traffic Manager with external
//! endpoints, metric alerts on them, action groups, the alerts that have fired, and the keys of
//! storage accounts.
//!
//! Sources: <https://learn.microsoft.com/rest/api/trafficmanager/>,
//! <https://learn.microsoft.com/rest/api/monitor/metric-alerts>,
//! <https://learn.microsoft.com/rest/api/monitor/action-groups>,
//! <https://learn.microsoft.com/rest/api/monitor/alertsmanagement/alerts>,
//! <https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list-keys>, and for what is
//! common to all resources
//! <https://learn.microsoft.com/rest/api/azure/#components-of-a-rest-api-requestresponse> and
//! <https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md> (errors, ETags).

mod alerts;
mod configured;
mod error;
mod etag;
mod frame;
mod notify;
mod path;
mod profiles;
mod storage;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use backstay_token::FileToken;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::alerts::{ActionGroup, Alerts, MetricAlert};
use crate::manager::Manager;
use crate::profile::shown;
use crate::resource::{Kind, Scope};
use crate::storage::Accounts;
use error::ArmError;
use frame::{Done, on};
use path::{Place, parse};

/// The largest body: two hundred endpoints with eight long headers each fit.
const BODY: usize = 8 << 20;

/// What the API is about.
#[derive(Clone)]
pub(crate) struct Arm {
    pub(crate) manager: Arc<Manager>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) accounts: Accounts,
    pub(crate) token: Arc<FileToken>,
}

/// The API.
pub(crate) fn router(arm: Arm) -> Router {
    Router::new().fallback(handle).with_state(arm)
}

async fn handle(State(arm): State<Arm>, request: Request) -> Response {
    let response = match answer(&arm, request).await {
        Ok(done) => done.into_response(),
        Err(error) => error.into_response(),
    };
    arm.manager.metrics().requested(response.status().as_u16());
    response
}

async fn answer(arm: &Arm, request: Request) -> Result<Done, ArmError> {
    authenticate(&arm.token, request.headers())?;
    let place = parse(request.uri().path())?;
    let query = Query::of(request.uri().query().unwrap_or_default());
    query.check_version(&place)?;
    let method = request.method().clone();
    match place {
        Place::Subscriptions => only(&method, Method::GET, || Ok(subscriptions(arm))),
        Place::Collection(kind, scope) => {
            only(&method, Method::GET, || Ok(list(arm, kind, &scope)))
        }
        Place::Resource(Kind::Profile, id) => on(profiles::ProfileAt(id), arm, request).await,
        Place::Endpoint(id, endpoint) => on(profiles::EndpointAt(id, endpoint), arm, request).await,
        Place::Resource(Kind::MetricAlert, id) => {
            on(configured::At::<MetricAlert>::new(id), arm, request).await
        }
        Place::Resource(Kind::ActionGroup, id) => {
            on(configured::At::<ActionGroup>::new(id), arm, request).await
        }
        Place::Resource(Kind::StorageAccount, id) => only(&method, Method::GET, || {
            storage::get(&arm.accounts.now(), &id)
        }),
        Place::ListKeys(id) => only(&method, Method::POST, || {
            storage::keys(&arm.accounts.now(), &id)
        }),
        Place::Notify(id) if method == Method::POST => {
            notify::send(&arm.alerts, id, request.into_body(), &query).await
        }
        Place::Notify(_) => Err(ArmError::method(&method)),
        Place::Notified(id, trial) => only(&method, Method::GET, || {
            notify::told(&arm.alerts, &id, &trial, &query)
        }),
        Place::Alerts(subscription) => only(&method, Method::GET, || {
            alerts::list(&arm.alerts, &subscription, &query)
        }),
        Place::Alert(subscription, id, about) => {
            alerts::one(&arm.alerts, &subscription, &id, about, &method, &query).await
        }
    }
}

/// Answers one method, and says of any other that it is not allowed.
fn only(
    method: &Method,
    wanted: Method,
    answer: impl FnOnce() -> Result<Done, ArmError>,
) -> Result<Done, ArmError> {
    if *method == wanted {
        answer()
    } else {
        Err(ArmError::method(method))
    }
}

/// The subscriptions in which there is anything: what a client lists when it logs in.
fn subscriptions(arm: &Arm) -> Done {
    let mut ids: BTreeSet<String> = BTreeSet::new();
    let profiles = arm.manager.profiles(|_| true);
    ids.extend(
        profiles
            .iter()
            .map(|(it, _)| it.subscription.to_ascii_lowercase()),
    );
    let (state, accounts) = (arm.alerts.state(), arm.accounts.now());
    let rules = state.rules.values().map(|it| &it.id);
    let configured = rules
        .chain(state.groups.values().map(|it| &it.id))
        .chain(accounts.all().map(|it| &it.id));
    ids.extend(configured.map(|it| it.subscription.to_ascii_lowercase()));
    let shown = ids.iter().map(|id| {
        json!({
            "id": format!("/subscriptions/{id}"),
            "subscriptionId": id,
            "displayName": id,
            "state": "Enabled",
        })
    });
    Done::list(shown.collect())
}

fn list(arm: &Arm, kind: Kind, scope: &Scope) -> Done {
    match kind {
        Kind::Profile => profiles::list(&arm.manager, scope),
        Kind::MetricAlert => configured::list::<MetricAlert>(&arm.alerts, scope),
        Kind::ActionGroup => configured::list::<ActionGroup>(&arm.alerts, scope),
        Kind::StorageAccount => storage::list(&arm.accounts.now(), scope),
    }
}

/// The token comes first: who has none learns nothing, not even what there is.
fn authenticate(token: &FileToken, headers: &HeaderMap) -> Result<(), ArmError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(ArmError::unauthorized(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        ));
    };
    let given = value.to_str().ok().and_then(|it| it.trim().split_once(' '));
    match given {
        Some((scheme, given))
            if scheme.eq_ignore_ascii_case("bearer") && token.matches(given.trim()) =>
        {
            Ok(())
        }
        _ => Err(ArmError::unauthorized(
            "InvalidAuthenticationToken",
            "The access token is invalid: give the one of the token file as 'Authorization: Bearer'.",
        )),
    }
}

/// The parameters of a request, by their names in lower case.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(
            pairs
                .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
                .collect(),
        )
    }

    /// The value of a parameter, whose name is given in lower case; an empty one is none.
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(it, _)| it == name);
        found
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|it| !it.is_empty())
    }

    fn check_version(&self, place: &Place) -> Result<(), ArmError> {
        let Some(version) = self.get("api-version") else {
            return Err(ArmError::bad(
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            ));
        };
        match place.versions() {
            Some((kind, known)) if !known.iter().any(|it| it.eq_ignore_ascii_case(version)) => {
                let (provider, name) = kind.split_once('/').unwrap_or_default();
                Err(ArmError::bad(
                    "InvalidResourceType",
                    format!(
                        "The resource type '{name}' could not be found in the namespace \
                         '{provider}' for api version '{}'. The supported api-versions are '{}'.",
                        shown(version),
                        known.join(",")
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

async fn body(body: Body) -> Result<Value, ArmError> {
    let bytes = to_bytes(body, BODY).await.map_err(|_| {
        ArmError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestContentTooLarge",
            format!("The request body cannot be read, or has more than {BODY} bytes."),
        )
    })?;
    let invalid = |what: String| {
        ArmError::bad(
            "InvalidRequestContent",
            format!("The request content was invalid and could not be deserialized: '{what}'."),
        )
    };
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(invalid("it is not a JSON object".to_owned()))
    }
}

#[cfg(test)]
mod tests;
