//! Refusals as Kubernetes words them: a `Status` with code, reason, message and details. `kubectl`
//! prints the message and decides by the reason, so both are part of the protocol.

use serde_json::{Value, json};

use crate::kind::Kind;

/// A refused request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// Kubernetes' machine-readable reason.
    pub reason: &'static str,
    /// What a person reads.
    pub message: String,
    /// What it is about: kind, name, causes.
    pub details: Option<Value>,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
}

/// The result of handling a request.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

impl Cause {
    pub(crate) fn required(field: impl Into<String>) -> Self {
        Self {
            reason: "FieldValueRequired",
            field: field.into(),
            message: "Required value".to_owned(),
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {value}: {why}"),
        }
    }

    /// `value` is none of the `supported` ones.
    pub(crate) fn unsupported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<Value> = supported.iter().map(|value| json!(value)).collect();
        Self::unsupported_value(field, &json!(value), &supported)
    }

    /// As [`unsupported`](Self::unsupported), of any type.
    pub(crate) fn unsupported_value(
        field: impl Into<String>,
        value: &Value,
        supported: &[Value],
    ) -> Self {
        let supported: Vec<String> = supported
            .iter()
            .map(|value| match value {
                Value::String(text) => format!("{text:?}"),
                // What is no text is written as JSON, in quotes all the same.
                other => format!("{:?}", other.to_string()),
            })
            .collect();
        Self {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                supported.join(", ")
            ),
        }
    }

    pub(crate) fn too_long(field: impl Into<String>, most: u64) -> Self {
        Self {
            reason: "FieldValueTooLong",
            field: field.into(),
            message: format!("Too long: may not be more than {most} bytes"),
        }
    }

    pub(crate) fn too_many(field: impl Into<String>, count: u64, most: u64) -> Self {
        Self {
            reason: "FieldValueTooMany",
            field: field.into(),
            message: format!("Too many: {count}: must have at most {most} items"),
        }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {value}"),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {why}"),
        }
    }
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            retry_after: None,
        }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        let mut details = json!({ "kind": kind.plural });
        if !kind.group.is_empty() {
            details["group"] = json!(kind.group);
        }
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        self.details = Some(details);
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// `what` names the denied act: `User "x" cannot list resource "pods" in …`.
    pub(crate) fn forbidden(kind: &Kind, name: &str, what: &str) -> Self {
        let subject = subject(kind, name);
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {what}")).about(kind, name)
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        let subject = subject(kind, name);
        Self::new(404, "NotFound", format!("{subject} not found")).about(kind, name)
    }

    pub(crate) fn no_such_resource() -> Self {
        let mut error = Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        error.details = Some(json!({}));
        error
    }

    pub(crate) fn method_not_allowed(what: &str) -> Self {
        let mut error = Self::new(
            405,
            "MethodNotAllowed",
            format!("the server does not allow this method on the requested resource: {what}"),
        );
        error.details = Some(json!({}));
        error
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        let subject = subject(kind, name);
        Self::new(409, "AlreadyExists", format!("{subject} already exists")).about(kind, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let subject = subject(kind, name);
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {subject}: {why}"),
        )
        .about(kind, name)
    }

    pub(crate) fn modified(kind: &Kind, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Server-side apply met fields that others own: (manager with its version, field).
    pub(crate) fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let plural = if conflicts.len() == 1 { "" } else { "s" };
        let mut message = format!("Apply failed with {} conflict{plural}: ", conflicts.len());
        let lines: Vec<String> = conflicts
            .iter()
            .map(|(manager, field)| format!("conflict with {manager}: {field}"))
            .collect();
        message.push_str(&lines.join("; "));
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|(manager, field)| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {manager}"),
                    "field": field,
                })
            })
            .collect();
        let mut error = Self::new(409, "Conflict", message);
        error.details = Some(json!({ "causes": causes }));
        error
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    pub(crate) fn unsupported_media_type(given: &str, accepted: &[&str]) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {} (given: {given:?})",
                accepted.join(", ")
            ),
        )
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let mut subject = kind.kind.to_owned();
        if !kind.group.is_empty() {
            subject = format!("{subject}.{}", kind.group);
        }
        let lines: Vec<String> = causes
            .iter()
            .map(|cause| {
                if cause.field.is_empty() {
                    cause.message.clone()
                } else {
                    format!("{}: {}", cause.field, cause.message)
                }
            })
            .collect();
        let text = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut error = Self::new(
            422,
            "Invalid",
            format!("{subject} {name:?} is invalid: {text}"),
        )
        .about(kind, name);
        if let Some(details) = &mut error.details {
            details["kind"] = json!(kind.kind);
            details["causes"] = causes
                .iter()
                .map(|cause| {
                    json!({
                        "reason": cause.reason,
                        "message": cause.message,
                        "field": cause.field,
                    })
                })
                .collect();
        }
        error
    }

    /// A patch whose outcome is no document of its kind.
    pub(crate) fn invalid_patch(cause: &Cause) -> Self {
        let (field, message) = (&cause.field, &cause.message);
        let mut error = Self::new(
            422,
            "Invalid",
            format!(" \"\" is invalid: {field}: {message}"),
        );
        error.details = Some(json!({
            "causes": [{ "reason": cause.reason, "message": message, "field": field }],
        }));
        error
    }

    /// An error that kube-apiserver has no reason for.
    pub(crate) fn untyped(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    pub(crate) fn version_in_future(asked: u64, current: u64) -> Self {
        let mut error = Self::new(
            504,
            "Timeout",
            format!("Too large resource version: {asked}, current: {current}"),
        );
        error.details = Some(json!({
            "causes": [{
                "reason": "ResourceVersionTooLarge",
                "message": "Too large resource version",
            }],
            "retryAfterSeconds": 1,
        }));
        error.retry_after = Some(1);
        error
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let mut error = Self::new(503, "ServiceUnavailable", message);
        error.retry_after = Some(1);
        error
    }

    pub(crate) fn full(limit: u64) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("etcdserver: mvcc: database space exceeded: the limit is {limit} bytes"),
        )
    }

    /// The body.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        body
    }
}

/// The answer to a deletion that took effect at once.
pub(crate) fn deleted(kind: &Kind, name: &str, uid: &str) -> Value {
    let mut details = json!({ "name": name, "kind": kind.plural, "uid": uid });
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}

fn subject(kind: &Kind, name: &str) -> String {
    let resource = kind.resource();
    if name.is_empty() {
        resource
    } else {
        format!("{resource} {name:?}")
    }
}
