//! The ways to change a document by sending only the change.

mod strategic;

use json_patch::PatchOperation;
use serde_json::{Map, Value};

use crate::document::{self, MAX_DEPTH, MAX_DOCUMENT_BYTES};
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
    let refused = |why: &dyn std::fmt::Display| {
        let mut refused = ApiError::unprocessable(format!(
            "the server rejected our request due to an error in our request: {why}"
        ));
        // Without a kind in them, `kubectl` prints the message.
        refused.details = Some(Value::Object(Map::new()));
        refused
    };
    let mut document = document.clone();
    for operation in &operations.0 {
        // One by one, so that no document grows far over its bounds in between.
        json_patch::patch(&mut document, std::slice::from_ref(operation))
            .map_err(|error| refused(&error))?;
        // A copy into itself doubles the document, again and again.
        if !document::is_shallow(&document, MAX_DEPTH) {
            return Err(refused(&"the document becomes too deep"));
        }
        if matches!(operation, PatchOperation::Copy(_))
            && document::size(&document) > MAX_DOCUMENT_BYTES as u64
        {
            return Err(ApiError::too_large(MAX_DOCUMENT_BYTES));
        }
    }
    Ok(document)
}

#[cfg(test)]
pub(crate) mod tests;
