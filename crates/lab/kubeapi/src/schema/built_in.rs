//! The schemas of Kubernetes' own types, as it publishes them: `api/openapi-spec/swagger.json` of
//! Kubernetes 1.32 (Apache License 2.0), reduced to what the kinds that are served reach, without
//! the descriptions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::{Form, Schema, parse};

const TEXT: &str = include_str!("kubernetes.json");

/// The schema of this name, `io.k8s.api.core.v1.EnvVar`.
pub(crate) fn built_in(name: &str) -> Option<&'static Schema> {
    static ALL: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(read);
    ALL.get(name)
}

/// The schema of this name as JSON, with the names of those that it holds.
pub(crate) fn built_in_json(name: &str) -> Option<&'static Value> {
    JSON.get(name)
}

/// The names of all, for those that refer to one.
pub(super) fn name_of(name: &str) -> Option<&'static str> {
    NAMES.get(name).map(String::as_str)
}

/// The JSON of all, without their references resolved.
pub(crate) static JSON: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    // `tests` read it, so nothing is lost here.
    serde_json::from_str(TEXT).unwrap_or_default()
});

static NAMES: LazyLock<std::collections::BTreeSet<String>> =
    LazyLock::new(|| JSON.keys().cloned().collect());

fn read() -> BTreeMap<String, Schema> {
    JSON.iter()
        .map(|(name, json)| (name.clone(), special(name).unwrap_or_else(|| parse(json).0)))
        .collect()
}

/// The types that Go decodes by code of their own, of which the published schema says less or
/// something else.
fn special(name: &str) -> Option<Schema> {
    let form = match name.rsplit('.').next()? {
        "Quantity" => Form::Quantity,
        "IntOrString" => Form::IntOrString,
        "JSON"
        | "JSONSchemaPropsOrArray"
        | "JSONSchemaPropsOrBool"
        | "JSONSchemaPropsOrStringArray"
        | "FieldsV1" => Form::Any,
        _ => return None,
    };
    Some(Schema {
        form,
        preserve: true,
        ..Schema::default()
    })
}
