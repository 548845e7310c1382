//! Get and list.

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::{Call, Target};
use super::view::{Page, View};
use super::{Api, json_response};
use crate::document;
use crate::kind::Kind;
use crate::rules::scale_of;
use crate::selector::Selector;
use crate::status::{ApiError, ApiResult};
use crate::store::{Document, Key, ListQuery};

/// Where a list goes on: of which version, and from which document. Clients pass it back as they
/// got it.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    v: u64,
    namespace: String,
    name: String,
}

pub(crate) fn key_of(kind: &'static Kind, document: &Value) -> Key {
    Key::new(
        kind,
        document::namespace(document),
        document::name(document),
    )
}

/// The document that a path names.
pub(super) fn existing(api: &Api, target: &Target) -> ApiResult<Document> {
    let key = Key::new(target.kind, &target.namespace, &target.name);
    api.store
        .get(&key)
        .ok_or_else(|| ApiError::not_found(target.kind, &target.name))
}

pub(super) fn get(api: &Api, call: &Call, target: &Target) -> ApiResult<Response> {
    let document = existing(api, target)?;
    let body = if target.subresource == "scale" {
        scale_of(&document)
    } else {
        View::of(call)?.document(target.kind, &document)
    };
    Ok(json_response(StatusCode::OK, &body))
}

/// The selectors of the query.
pub(super) fn selector(call: &Call, kind: &Kind) -> ApiResult<Selector> {
    Selector::parse(
        kind,
        call.parameter("labelSelector"),
        call.parameter("fieldSelector"),
    )
}

/// `resourceVersion`, where it is a number above zero.
pub(super) fn version(call: &Call) -> ApiResult<Option<u64>> {
    let text = call.parameter("resourceVersion");
    if text.is_empty() {
        return Ok(None);
    }
    let version: u64 = text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })?;
    Ok((version > 0).then_some(version))
}

pub(super) fn list(api: &Api, call: &Call, target: &Target) -> ApiResult<Response> {
    let view = View::of(call)?;
    let selector = selector(call, target.kind)?;
    let limit = call.number("limit")?.unwrap_or(0);
    let token = match call.parameter("continue") {
        "" => None,
        token => Some(parse_continue(token)?),
    };
    let asked = version(call)?;
    if let Some(asked) = asked
        && asked > api.store.version()
    {
        return Err(ApiError::version_in_future(asked, api.store.version()));
    }
    let exact = call.parameter("resourceVersionMatch") == "Exact";
    let at = match &token {
        Some(token) => Some(token.v),
        None if exact => asked,
        None => None,
    };
    let listed = api.store.list(&ListQuery {
        kind: target.kind,
        namespace: &target.namespace,
        selector: &selector,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        from: token
            .as_ref()
            .map(|token| (token.namespace.as_str(), token.name.as_str())),
        at,
    })?;
    let mut page = Page {
        version: listed.version,
        ..Page::default()
    };
    if let Some((namespace, name, remaining)) = listed.rest {
        page.next = Some(write_continue(&Continue {
            v: listed.version,
            namespace,
            name,
        }));
        // As kube-apiserver, which does not count what a selector leaves out.
        page.remaining = selector.is_empty().then_some(remaining);
    }
    let documents: Vec<&Value> = listed.documents.iter().map(AsRef::as_ref).collect();
    let body = view.list(target.kind, &documents, &page);
    Ok(json_response(StatusCode::OK, &body))
}

fn write_continue(token: &Continue) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

fn parse_continue(token: &str) -> ApiResult<Continue> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| {
            ApiError::bad_request("invalid continue token: it is not one of this server")
        })
}
