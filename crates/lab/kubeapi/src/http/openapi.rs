//! OpenAPI, as much as `kubectl` reads before it applies or explains: that the kinds exist, that
//! their fields are free, and which parameters a patch takes.
//!
//! The paths do not offer strategic merge patch although it is served: `kubectl` would take the
//! merge keys of lists from these schemas, which have none, instead of from its own types.

mod v2;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::json_response;
use crate::kind::{self, KINDS, Kind, group_path};
use crate::status::{ApiError, ApiResult};

pub(super) fn answer(path: &[String]) -> ApiResult<Response> {
    let (form, path) = path.split_first().ok_or_else(ApiError::no_such_resource)?;
    if form == "v2" {
        let mut response = (StatusCode::OK, v2::document()).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(v2::CONTENT_TYPE),
        );
        return Ok(response);
    }
    if path.is_empty() {
        let mut paths = Map::new();
        for (group, version) in kind::groups() {
            let path = group_path(group, version);
            // Clients keep a document for as long as its address is the same.
            let hash = env!("CARGO_PKG_VERSION");
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
        return Ok(json_response(StatusCode::OK, &json!({ "paths": paths })));
    }
    let wanted = path.join("/");
    let (group, version) = kind::groups()
        .into_iter()
        .find(|(group, version)| group_path(group, version) == wanted)
        .ok_or_else(ApiError::no_such_resource)?;
    Ok(json_response(StatusCode::OK, &document(group, version)))
}

fn document(group: &str, version: &str) -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    schemas.insert(
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta".to_owned(),
        json!({
            "type": "object",
            "description": "What every object has: name, namespace, labels, annotations, owners.",
            "properties": {
                "name": { "type": "string", "description": "Unique in its namespace." },
                "namespace": { "type": "string", "description": "Where it lives." },
                "labels": string_map("What it is selected by."),
                "annotations": string_map("What else is to be known of it."),
            },
            "x-kubernetes-preserve-unknown-fields": true,
        }),
    );
    for kind in KINDS
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
    {
        let named = json!({ "group": group, "version": version, "kind": kind.kind });
        schemas.insert(schema_name(kind), schema(kind, &named));
        let collection = collection(kind);
        paths.insert(
            collection.clone(),
            json!({
                "get": operation("list", &named, kind, &[]),
                "post": operation("post", &named, kind, WRITING),
            }),
        );
        paths.insert(
            format!("{collection}/{{name}}"),
            json!({
                "get": operation("get", &named, kind, &[]),
                "put": operation("put", &named, kind, WRITING),
                "patch": patch_operation(&named, kind),
                "delete": operation("delete", &named, kind, &["dryRun"]),
            }),
        );
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "v1.32.0" },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

const WRITING: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];

fn string_map(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "additionalProperties": { "type": "string" },
    })
}

/// The path of all objects of a kind.
fn collection(kind: &Kind) -> String {
    let (path, plural) = (kind.group_path(), kind.plural);
    if kind.namespaced {
        format!("/{path}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("/{path}/{plural}")
    }
}

/// `com.humio.core.v1alpha1.HumioCluster`, `io.k8s.api.apps.v1.Deployment`.
fn schema_name(kind: &Kind) -> String {
    if kind.custom {
        let mut parts: Vec<&str> = kind.group.split('.').collect();
        parts.reverse();
        format!("{}.{}.{}", parts.join("."), kind.version, kind.kind)
    } else {
        let group = kind.group.split('.').next().unwrap_or_default();
        let group = if group.is_empty() { "core" } else { group };
        format!("io.k8s.api.{group}.{}.{}", kind.version, kind.kind)
    }
}

fn schema(kind: &Kind, named: &Value) -> Value {
    let free = |description: &str| {
        json!({
            "type": "object",
            "description": description,
            "x-kubernetes-preserve-unknown-fields": true,
        })
    };
    json!({
        "type": "object",
        "description": format!(
            "{} of {}. This server keeps every field and checks few; see the reference of Kubernetes or of the operator for all of them.",
            kind.kind,
            kind.api_version(),
        ),
        "properties": {
            "apiVersion": { "type": "string", "description": "Group and version." },
            "kind": { "type": "string", "description": "What this is." },
            "metadata": {
                "description": "What every object has.",
                "allOf": [{
                    "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
                }],
            },
            "spec": free("What is wanted."),
            "status": free("What is."),
        },
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-group-version-kind": [named],
    })
}

fn operation(action: &str, named: &Value, kind: &Kind, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }))
        .collect();
    json!({
        "operationId": format!("{action}{}", kind.kind),
        "parameters": parameters,
        "responses": { "200": { "description": "OK" } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": named,
    })
}

fn patch_operation(named: &Value, kind: &Kind) -> Value {
    let mut operation = operation("patch", named, kind, WRITING);
    let anything = json!({ "schema": { "type": "object" } });
    operation["requestBody"] = json!({
        "content": {
            "application/apply-patch+yaml": anything,
            "application/json-patch+json": anything,
            "application/merge-patch+json": anything,
        },
    });
    operation
}
