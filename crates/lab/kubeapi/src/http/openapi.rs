//! OpenAPI, as much as `kubectl` reads before it applies or explains: that the kinds exist, that
//! their fields are free, and which parameters a patch takes.
//!
//! The paths do not offer strategic merge patch although it is served: `kubectl` would take the
//! merge keys of lists from these schemas, which have none, instead of from its own types.

mod v2;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::json_response;
use crate::definition::free_schema;
use crate::kind::{Kind, Served, group_path};
use crate::status::{ApiError, ApiResult};

pub(super) fn answer(path: &[String], kinds: &Served) -> ApiResult<Response> {
    let (form, path) = path.split_first().ok_or_else(ApiError::no_such_resource)?;
    if form == "v2" {
        let mut response = (StatusCode::OK, v2::document(kinds)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(v2::CONTENT_TYPE),
        );
        return Ok(response);
    }
    if path.is_empty() {
        let mut paths = Map::new();
        for (group, version) in versions(kinds) {
            let path = group_path(group, version);
            // Clients keep a document for as long as its address is the same.
            let hash = hash(kinds, group, version);
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
        return Ok(json_response(StatusCode::OK, &json!({ "paths": paths })));
    }
    let wanted = path.join("/");
    let (group, version) = versions(kinds)
        .find(|(group, version)| group_path(group, version) == wanted)
        .ok_or_else(ApiError::no_such_resource)?;
    Ok(json_response(
        StatusCode::OK,
        &document(kinds, group, version),
    ))
}

fn versions(kinds: &Served) -> impl Iterator<Item = (&'static str, &'static str)> {
    let groups = kinds.groups().into_iter();
    groups.flat_map(|(group, versions)| versions.into_iter().map(move |version| (group, version)))
}

/// Differs when the document does.
fn hash(kinds: &Served, group: &str, version: &str) -> String {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    for kind in kinds.of(group, version) {
        kind.kind.hash(&mut hasher);
        if let Some(defined) = kind.defined {
            defined.json.hash(&mut hasher);
        }
    }
    format!("{:016X}", hasher.finish())
}

fn document(kinds: &Served, group: &str, version: &str) -> Value {
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
    for kind in kinds.of(group, version) {
        let named = json!({ "group": group, "version": version, "kind": kind.kind });
        schemas.insert(kind.schema_name(), schema(kind, &named));
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

/// What a definition says of its kind. Of a built-in kind only that it has a spec and a status: its
/// fields are checked, but `kubectl explain` finds them in Kubernetes' own reference.
fn schema(kind: &Kind, named: &Value) -> Value {
    let mut schema = match kind.defined {
        Some(defined) => defined
            .json
            .as_object()
            .cloned()
            .unwrap_or_else(free_schema),
        None => {
            let mut free = free_schema();
            free.insert(
                "description".into(),
                json!(format!(
                    "{} of {}; see the reference of Kubernetes for its fields.",
                    kind.kind,
                    kind.api_version(),
                )),
            );
            let part = Value::Object(free_schema());
            free.insert("properties".into(), json!({ "spec": part, "status": part }));
            free
        }
    };
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    properties["apiVersion"] = json!({ "type": "string", "description": "Group and version." });
    properties["kind"] = json!({ "type": "string", "description": "What this is." });
    properties["metadata"] = json!({
        "description": "What every object has.",
        "allOf": [{
            "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        }],
    });
    schema.insert("x-kubernetes-group-version-kind".into(), json!([named]));
    Value::Object(schema)
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
