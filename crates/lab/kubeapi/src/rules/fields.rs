//! Fields that a kind does not have, and values of other types than its fields: found before a
//! document is written, and told to its sender (`fieldValidation`,
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>).

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::Writer;
use crate::definition::in_version;
use crate::kind::Kind;
use crate::schema::built_in;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::Key;

/// What becomes of fields that the kind does not have: they are never kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Validation {
    /// The request is refused.
    Strict,
    /// The sender is told.
    #[default]
    Warn,
    /// Nobody is told.
    Ignore,
}

impl Validation {
    /// From the parameter `fieldValidation`.
    pub(crate) fn parse(text: &str) -> ApiResult<Self> {
        match text {
            "" | "Warn" => Ok(Self::Warn),
            "Strict" => Ok(Self::Strict),
            "Ignore" => Ok(Self::Ignore),
            other => Err(ApiError::unprocessable(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// What goes into `Warning` headers. Clones share it: the writer is at work elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn add(&self, more: impl IntoIterator<Item = String>) {
        self.0.lock().extend(more);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A whole document, as it was sent.
pub(super) fn of_body(kind: &Kind, body: &mut Value, writer: &Writer) -> ApiResult<()> {
    let Some(problem) = problem(kind, body, writer) else {
        return Ok(());
    };
    Err(ApiError::bad_request(format!(
        "{0} in version {1:?} cannot be handled as a {0}: {problem}",
        kind.kind, kind.version
    )))
}

/// A document after a patch of it.
pub(super) fn of_patched(kind: &Kind, body: &mut Value, writer: &Writer) -> ApiResult<()> {
    let Some(problem) = problem(kind, body, writer) else {
        return Ok(());
    };
    // kube-apiserver repeats the whole document here. This does not: it may be a secret.
    let cause = Cause {
        message: format!("Invalid value: {problem}"),
        ..Cause::invalid("patch", &Value::Null, "")
    };
    Err(ApiError::invalid_patch(&cause))
}

/// Removes the fields that the kind does not have. Answers with what is wrong where the document is to
/// be refused.
fn problem(kind: &Kind, body: &mut Value, writer: &Writer) -> Option<String> {
    mistyped(kind, body).or_else(|| strict(&pruned(kind, body), writer))
}

/// What server-side apply is to make of a document. It knows no `fieldValidation`: a field that its
/// schema lacks has no owner.
pub(super) fn of_applied(key: &Key, wanted: &mut Value, writer: &Writer) -> ApiResult<()> {
    let kind = key.kind;
    let mut problems: Vec<String> = mistyped(kind, wanted).into_iter().collect();
    problems.extend(
        pruned(kind, wanted)
            .into_iter()
            .map(|place| format!(".{place}: field not declared in schema")),
    );
    if problems.is_empty() {
        return Ok(());
    }
    if kind.custom {
        writer.warnings.add(problems);
        return Ok(());
    }
    let problems = match problems.as_slice() {
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let name = match key.namespace.as_str() {
        "" => key.name.clone(),
        namespace => format!("{namespace}/{}", key.name),
    };
    Err(ApiError::untyped(format!(
        "failed to create typed patch object ({name}; {}, Kind={}): {problems}",
        kind.api_version(),
        kind.kind
    )))
}

/// The first value that is of another type than its field. Of custom resources only metadata is
/// decoded; their own fields are checked with all else that their schema says.
fn mistyped(kind: &Kind, body: &Value) -> Option<String> {
    if kind.custom {
        let metadata = built_in("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")?;
        return metadata.mistyped("ObjectMeta", body.get("metadata")?, "metadata");
    }
    kind.schema()?.mistyped(kind.kind, body, "")
}

/// Removes the fields that the kind does not have, and names them.
fn pruned(kind: &Kind, body: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    match kind.schema() {
        Some(schema) if kind.custom => schema.prune_document(body, &mut unknown),
        Some(schema) => schema.prune(body, &mut unknown),
        None => {}
    }
    unknown
}

/// A document as its kind has it now: its definition may have changed since it was written.
pub(super) fn as_known(kind: &Kind, document: &Value) -> Value {
    let mut document = in_version(kind, document);
    if kind.custom {
        pruned(kind, &mut document);
    }
    document
}

/// Tells the sender of unknown fields; answers with the error where that is one.
fn strict(unknown: &[String], writer: &Writer) -> Option<String> {
    let told = |place: &String| format!("unknown field {place:?}");
    match writer.validation {
        _ if unknown.is_empty() => None,
        Validation::Ignore => None,
        Validation::Warn => {
            writer.warnings.add(unknown.iter().map(told));
            None
        }
        Validation::Strict => {
            let all: Vec<String> = unknown.iter().map(told).collect();
            Some(format!("strict decoding error: {}", all.join(", ")))
        }
    }
}
