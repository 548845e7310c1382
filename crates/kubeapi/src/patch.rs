//! The ways to change a document by sending only the change.

mod strategic;

use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::status::{ApiError, ApiResult};

/// More operations than this are refused, as kube-apiserver does
/// (`maxJSONPatchOperations`).
const MAX_OPERATIONS: usize = 10_000;

/// A patch, by its `Content-Type`. Server-side apply is not one: it needs the owners of fields
/// (`managed`).
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(Value),
    /// Kubernetes' own, which knows lists that are maps.
    Strategic(Value),
}

impl Patch {
    /// `document` with the patch.
    pub(crate) fn apply(&self, kind: &Kind, document: &Value) -> ApiResult<Value> {
        match self {
            Self::Merge(patch) => {
                if !patch.is_object() {
                    return Err(ApiError::bad_request(
                        "error decoding patch: a merge patch is an object",
                    ));
                }
                let mut document = document.clone();
                merge(&mut document, patch);
                Ok(document)
            }
            Self::Json(patch) => apply_json(patch, document),
            Self::Strategic(patch) => strategic::apply(kind, document, patch),
        }
    }
}

/// RFC 7386.
pub(crate) fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(document) = document else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            document.remove(key);
        } else {
            merge(document.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

fn apply_json(patch: &Value, document: &Value) -> ApiResult<Value> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if operations.0.len() > MAX_OPERATIONS {
        return Err(ApiError::too_large(MAX_OPERATIONS));
    }
    let mut document = document.clone();
    json_patch::patch(&mut document, &operations).map_err(|error| {
        let mut refused = ApiError::unprocessable(format!(
            "the server rejected our request due to an error in our request: {error}"
        ));
        // Without a kind in them, `kubectl` prints the message.
        refused.details = Some(Value::Object(Map::new()));
        refused
    })?;
    Ok(document)
}

#[cfg(test)]
mod tests;
