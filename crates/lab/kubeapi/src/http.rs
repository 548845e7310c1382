//! The requests: who asks, for what, and in which form the answer goes out.
//!
//! - `request`: paths, queries and headers; `view`: plain documents, tables, or metadata only;
//! - `read`: get and list; `watch`; `write`: create, update, patch, delete;
//! - `discovery`, `openapi`: what the server says of itself; `review`: who am I, may I;
//! - `pod`: logs and `exec`; `portforward` over `spdy`; `proxy`.

mod discovery;
mod exec;
mod openapi;
mod pod;
mod portforward;
mod protobuf;
mod proxy;
mod read;
mod request;
mod review;
mod spdy;
mod view;
mod watch;
mod write;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Act};
use crate::definition;
use crate::document::{self, text};
use crate::kind::{self, KINDS};
use crate::managed::Manager;
use crate::rules::{
    self, Deletion, Part, Preconditions, Propagation, Validation, Warnings, Writer,
};
use crate::runtime::PodRuntime;
use crate::selector::Selector;
use crate::server::StartError;
use crate::status::{ApiError, ApiResult};
use crate::store::{Key, ListQuery, Store};
use request::{Call, Route, Target};

/// The largest body that is read, as kube-apiserver's.
pub(crate) const MAX_BODY_BYTES: usize = 3 << 20;

const BODIES: &[&str] = &["application/json", YAML, protobuf::CONTENT_TYPE];
const YAML: &str = "application/yaml";

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Api {
    pub store: Store,
    pub access: Access,
    pub runtime: Arc<dyn PodRuntime>,
    pub stopping: CancellationToken,
}

impl Api {
    pub(crate) fn new(
        store: Store,
        access: Access,
        runtime: Arc<dyn PodRuntime>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            store,
            access,
            runtime,
            stopping,
        }
    }

    /// Makes these namespaces where they are missing.
    pub(crate) async fn make_namespaces(&self, names: &[&str]) {
        let Some(kind) = kind::find("", "v1", "namespaces") else {
            return;
        };
        for name in names {
            let body = json!({ "metadata": { "name": name } });
            let writer = own_writer();
            let made = self
                .store
                .write(false, move |transaction| {
                    rules::create(transaction, kind, "", body, &writer)
                })
                .await;
            if let Err(error) = made
                && error.reason != "AlreadyExists"
            {
                tracing::error!(%error, namespace = name, "cannot make the namespace");
            }
        }
    }
}

impl Api {
    /// Makes a definition, or changes the one of its name to it.
    pub(crate) async fn define(&self, definition: Value) -> Result<(), StartError> {
        let name = document::name(&definition).to_owned();
        let Some(kind) = definition::definitions() else {
            return Ok(());
        };
        let key = Key::new(kind, "", &name);
        let writer = own_writer();
        let defined = self
            .store
            .write(false, move |transaction| match transaction.get(&key) {
                None => rules::create(transaction, kind, "", definition, &writer),
                Some(old) => {
                    let mut changed = Value::clone(&old);
                    changed["spec"] = definition["spec"].clone();
                    rules::update(transaction, &key, Part::Main, changed, &writer)
                }
            })
            .await;
        defined.map(|_| ()).map_err(|error| StartError::Definition {
            name,
            problem: error.message,
        })
    }
}

fn own_writer() -> Writer {
    Writer {
        manager: Manager {
            name: "kube-apiserver".to_owned(),
            subresource: "",
        },
        now: Utc::now(),
        validation: Validation::Strict,
        warnings: Warnings::default(),
    }
}

/// Removes what has outlived its kind's time, until the server stops.
pub(crate) async fn expire(api: Api) {
    const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            () = api.stopping.cancelled() => return,
        }
        for kind in &KINDS {
            let Some(limit) = kind.time_to_live else {
                continue;
            };
            let listed = api.store.list(&ListQuery {
                kind,
                namespace: "",
                selector: &Selector::default(),
                limit: 0,
                from: None,
                at: None,
            });
            let Ok(listed) = listed else { continue };
            let now = Utc::now();
            for document in listed.documents {
                let last = ["/lastTimestamp", "/metadata/creationTimestamp"]
                    .iter()
                    .filter_map(|at| chrono::DateTime::parse_from_rfc3339(text(&document, at)).ok())
                    .max();
                let old = last.is_some_and(|last| {
                    (now - last.to_utc())
                        .to_std()
                        .is_ok_and(|since| since > limit)
                });
                if !old {
                    continue;
                }
                let key = read::key_of(kind, &document);
                let deletion = Deletion {
                    grace: None,
                    propagation: Propagation::Background,
                    preconditions: Preconditions::default(),
                    now,
                };
                let removed = api.store.write(false, move |transaction| {
                    rules::delete(transaction, &key, &deletion)
                });
                // Somebody else may have removed it in between.
                let _ = removed.await;
            }
        }
    }
}

/// All routes.
pub(crate) fn router(api: Api) -> Router {
    Router::new().fallback(handle).with_state(api)
}

async fn handle(State(api): State<Api>, request: Request<Body>) -> Response {
    let method = request.method().clone();
    // Never the query: commands of `exec` are in it, and tokens in those.
    let path = request.uri().path().to_owned();
    let response = match answer(&api, request).await {
        Ok(response) => response,
        Err(error) => refusal(&error),
    };
    tracing::debug!(%method, path, status = response.status().as_u16(), "kubernetes api");
    response
}

async fn answer(api: &Api, request: Request<Body>) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let kinds = api.store.kinds();
    let call = Call::parse(&parts, &kinds)?;
    if call.route == Route::Health {
        return Ok("ok".into_response());
    }
    let user = api
        .access
        .authenticate(call.token.as_deref().unwrap_or_default())
        .ok_or_else(ApiError::unauthorized)?;
    match &call.route {
        Route::Health => Ok("ok".into_response()),
        Route::Version => Ok(json_response(StatusCode::OK, &discovery::version())),
        Route::Discovery(path) => discovery::answer(path, &call, &kinds),
        Route::OpenApi(path) => openapi::answer(path, &kinds),
        Route::Review(kind) => review::answer(&user, kind, &call, body, &kinds).await,
        Route::Unknown => {
            let mut response = (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            Ok(response)
        }
        Route::Resource(target) => {
            for verb in std::iter::once(verb(&call, target)).chain(also(&call, target)) {
                user.check(&Act {
                    verb,
                    kind: target.kind,
                    subresource: &target.subresource,
                    namespace: &target.namespace,
                    name: &target.name,
                })?;
            }
            resource(api, &call, target, parts, body).await
        }
    }
}

/// What the request does, as rules name it.
fn verb(call: &Call, target: &Target) -> &'static str {
    let one = !target.name.is_empty();
    match call.method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if one => "delete",
        Method::DELETE => "deletecollection",
        _ if call.is_watch() => "watch",
        _ if one => "get",
        _ => "list",
    }
}

/// What reaches into a pod by a GET, over a WebSocket, is no mere reading. Kubernetes says so since 1.35
/// (`AuthorizePodWebsocketUpgradeCreatePermission`,
/// <https://github.com/kubernetes/kubernetes/pull/134577>); here it is so already, so that a role which
/// is enough here is enough there.
fn also(call: &Call, target: &Target) -> Option<&'static str> {
    let reaches_in = matches!(target.subresource.as_str(), "exec" | "portforward");
    (reaches_in && call.method == Method::GET).then_some("create")
}

async fn resource(
    api: &Api,
    call: &Call,
    target: &Target,
    parts: axum::http::request::Parts,
    body: Body,
) -> ApiResult<Response> {
    let reaches_in = target.kind.kind == "Pod" && target.kind.group.is_empty();
    match target.subresource.as_str() {
        "log" if reaches_in => return pod::log(api, call, target).await,
        "exec" if reaches_in => return exec::exec(api, call, target, parts).await,
        "portforward" if reaches_in => {
            return portforward::portforward(api, call, target, parts).await;
        }
        "proxy" => return proxy::proxy(api, target, parts, body).await,
        _ => {}
    }
    match call.method {
        Method::GET | Method::HEAD if call.is_watch() => watch::watch(api, call, target),
        Method::GET | Method::HEAD if target.name.is_empty() => read::list(api, call, target),
        Method::GET | Method::HEAD => read::get(api, call, target),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            write::write(api, call, target, body).await
        }
        ref other => Err(ApiError::method_not_allowed(other.as_str())),
    }
}

pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut text = body.to_string();
    text.push('\n');
    let mut response = (status, text).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn refusal(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, &error.body());
    if let Some(seconds) = error.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The body, within its bound.
pub(crate) async fn bytes_of(body: Body) -> ApiResult<bytes::Bytes> {
    axum::body::to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| ApiError::too_large(MAX_BODY_BYTES))
}

/// One document of YAML. JSON, which is a part of YAML, is read as such where it is well-formed.
pub(crate) fn yaml_of(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes)
        .or_else(|_| serde_saphyr::from_slice(bytes).map_err(|error| error.to_string()))
}

/// The body as JSON; an empty one is null.
pub(crate) async fn json_of(call: &Call, body: Body) -> ApiResult<Value> {
    let bytes = bytes_of(body).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    match call.content_type.as_str() {
        // curl and kubectl's `--raw` say nothing or a form; what they send is JSON all the same.
        "" | "application/json" | "application/x-www-form-urlencoded" => {
            serde_json::from_slice(&bytes).map_err(|error| {
                ApiError::bad_request(format!(
                    "the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
                ))
            })
        }
        YAML => yaml_of(&bytes).map_err(|why| {
            ApiError::bad_request(format!(
                "the object provided is unrecognized: couldn't get version/kind; yaml parse error: {why}"
            ))
        }),
        protobuf::CONTENT_TYPE => protobuf::document(&bytes),
        other => Err(ApiError::unsupported_media_type(other, BODIES)),
    }
}
