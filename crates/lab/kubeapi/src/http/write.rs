//! Create, update, patch and delete.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use chrono::Utc;
use serde_json::Value;

use super::read::selector;
use super::request::{Call, Target};
use super::view::{Page, View};
use super::{Api, bytes_of, json_of, json_response, yaml_of};
use crate::document::text;
use crate::patch::Patch;
use crate::rules::{
    self, Deleted, Deletion, Part, Preconditions, Propagation, Validation, Wanted, Warnings,
    Writer, scale_of,
};
use crate::status::{ApiError, ApiResult};
use crate::store::{Document, Key};

const APPLY: &str = "application/apply-patch+yaml";
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY,
];
const CUSTOM_PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    APPLY,
];

pub(super) async fn write(
    api: &Api,
    call: &Call,
    target: &Target,
    body: Body,
) -> ApiResult<Response> {
    let part = match target.subresource.as_str() {
        "status" => Part::Status,
        "scale" => Part::Scale,
        _ => Part::Main,
    };
    let writer = Writer {
        manager: call.manager(part.subresource()),
        now: Utc::now(),
        validation: Validation::parse(call.parameter("fieldValidation"))?,
        warnings: Warnings::default(),
    };
    let warnings = writer.warnings.clone();
    let one = !target.name.is_empty();
    let (status, document) = match call.method {
        Method::POST if !one => {
            let made = create(api, call, target, writer, body).await?;
            (StatusCode::CREATED, made)
        }
        Method::PUT if one => {
            let updated = update(api, call, target, part, writer, body).await?;
            (StatusCode::OK, updated)
        }
        Method::PATCH if one => patch(api, call, target, part, writer, body).await?,
        Method::DELETE if part == Part::Main => {
            return delete(api, call, target, body).await;
        }
        ref other => return Err(ApiError::method_not_allowed(other.as_str())),
    };
    let shown = if part == Part::Scale {
        scale_of(&document)
    } else {
        View::of(call)?.document(target.kind, &document)
    };
    let mut response = json_response(status, &shown);
    for warning in warnings.take() {
        // As RFC 7234 writes it: the code of all else, no agent, the text in quotes.
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    Ok(response)
}

async fn create(
    api: &Api,
    call: &Call,
    target: &Target,
    writer: Writer,
    body: Body,
) -> ApiResult<Document> {
    let (kind, namespace) = (target.kind, target.namespace.clone());
    let body = json_of(call, body).await?;
    if kind.namespaced && namespace.is_empty() {
        return Err(ApiError::method_not_allowed(
            "an object is made within a namespace",
        ));
    }
    api.store
        .write(call.dry_run()?, move |transaction| {
            rules::create(transaction, kind, &namespace, body, &writer)
        })
        .await
}

async fn update(
    api: &Api,
    call: &Call,
    target: &Target,
    part: Part,
    writer: Writer,
    body: Body,
) -> ApiResult<Document> {
    let key = Key::new(target.kind, &target.namespace, &target.name);
    let body = json_of(call, body).await?;
    api.store
        .write(call.dry_run()?, move |transaction| {
            rules::update(transaction, &key, part, body, &writer)
        })
        .await
}

async fn patch(
    api: &Api,
    call: &Call,
    target: &Target,
    part: Part,
    writer: Writer,
    body: Body,
) -> ApiResult<(StatusCode, Document)> {
    let key = Key::new(target.kind, &target.namespace, &target.name);
    let accepted = if target.kind.custom {
        CUSTOM_PATCHES
    } else {
        PATCHES
    };
    if !accepted.contains(&call.content_type.as_str()) {
        return Err(ApiError::unsupported_media_type(
            &call.content_type,
            accepted,
        ));
    }
    let bytes = bytes_of(body).await?;
    // Only server-side apply takes YAML, of which JSON is a part.
    let value: Value = if call.content_type == APPLY {
        yaml_of(&bytes)
            .map_err(|why| ApiError::bad_request(format!("error decoding YAML: {why}")))?
    } else {
        serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::bad_request(format!("error decoding patch: it is not JSON: {error}"))
        })?
    };
    let dry_run = call.dry_run()?;
    let patch = match call.content_type.as_str() {
        "application/json-patch+json" => Patch::Json(value),
        "application/merge-patch+json" => Patch::Merge(value),
        "application/strategic-merge-patch+json" => Patch::Strategic(value),
        _ => {
            if call.parameter("fieldManager").is_empty() {
                return Err(ApiError::bad_request(
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                ));
            }
            let wanted = Wanted {
                document: value,
                force: call.flag("force"),
            };
            let (document, new) = api
                .store
                .write(dry_run, move |transaction| {
                    rules::apply(transaction, &key, part, wanted, &writer)
                })
                .await?;
            let status = if new {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            return Ok((status, document));
        }
    };
    let document = api
        .store
        .write(dry_run, move |transaction| {
            rules::patch(transaction, &key, part, &patch, &writer)
        })
        .await?;
    Ok((StatusCode::OK, document))
}

/// Options are in the body, or in the query.
fn deletion(call: &Call, body: &Value) -> ApiResult<Deletion> {
    let grace = match body.get("gracePeriodSeconds").and_then(Value::as_i64) {
        Some(seconds) => Some(seconds),
        None => call
            .number("gracePeriodSeconds")?
            .map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
    };
    let policy = match text(body, "/propagationPolicy") {
        "" => call.parameter("propagationPolicy"),
        policy => policy,
    };
    let orphans = body["orphanDependents"] == true || call.flag("orphanDependents");
    let propagation = match policy {
        "" if orphans => Propagation::Orphan,
        "" | "Background" => Propagation::Background,
        "Foreground" => Propagation::Foreground,
        "Orphan" => Propagation::Orphan,
        other => {
            return Err(ApiError::unprocessable(format!(
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\""
            )));
        }
    };
    let precondition = |field: &str| {
        let value = text(body, &format!("/preconditions/{field}"));
        (!value.is_empty()).then(|| value.to_owned())
    };
    Ok(Deletion {
        grace,
        propagation,
        preconditions: Preconditions {
            uid: precondition("uid"),
            version: precondition("resourceVersion"),
        },
        now: Utc::now(),
    })
}

async fn delete(api: &Api, call: &Call, target: &Target, body: Body) -> ApiResult<Response> {
    let options = json_of(call, body).await?;
    let deletion = deletion(call, &options)?;
    let dry_run = call.dry_run()? || options["dryRun"][0] == "All";
    if !target.name.is_empty() {
        let key = Key::new(target.kind, &target.namespace, &target.name);
        let answered = key.clone();
        let deleted = api
            .store
            .write(dry_run, move |transaction| {
                rules::delete(transaction, &key, &deletion)
            })
            .await?;
        let answer = match &deleted {
            Deleted::Marked(document) => View::of(call)?.document(target.kind, document),
            Deleted::Gone(_) => deleted.answer(&answered),
        };
        return Ok(json_response(StatusCode::OK, &answer));
    }

    let selector = selector(call, target.kind)?;
    let (kind, namespace) = (target.kind, target.namespace.clone());
    let documents = api
        .store
        .write(dry_run, move |transaction| {
            let mut documents = Vec::new();
            for (key, document) in transaction.list(kind, &namespace) {
                // A deletion may have taken this one with it.
                if !selector.matches(&document) || transaction.get(&key).is_none() {
                    continue;
                }
                documents.push(match rules::delete(transaction, &key, &deletion)? {
                    Deleted::Gone(document) | Deleted::Marked(document) => document,
                });
            }
            Ok(documents)
        })
        .await?;
    let page = Page {
        version: api.store.version(),
        ..Page::default()
    };
    let documents: Vec<&Value> = documents.iter().map(AsRef::as_ref).collect();
    let body = View::of(call)?.list(kind, &documents, &page);
    Ok(json_response(StatusCode::OK, &body))
}
