//! What a document must be like.

use serde_json::{Value, json};

use crate::definition;
use crate::document::{self, MAX_DEPTH, finalizers, text};
use crate::kind::Kind;
use crate::schema::Schema;
use crate::selector::{SUBDOMAIN_RULE, check_label_key, check_label_value, is_subdomain};
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::Key;

/// As kube-apiserver's `TotalAnnotationSizeLimitB`.
const MAX_ANNOTATION_BYTES: usize = 256 << 10;

pub(super) fn name(kind: &Kind, name: &str) -> ApiResult<()> {
    if is_subdomain(name) {
        return Ok(());
    }
    let cause = Cause::invalid("metadata.name", &json!(name), SUBDOMAIN_RULE);
    Err(ApiError::invalid(kind, name, &[cause]))
}

pub(super) fn no_name() -> Cause {
    Cause {
        message: "Required value: name or generateName is required".to_owned(),
        ..Cause::required("metadata.name")
    }
}

pub(super) fn no_version() -> Cause {
    Cause {
        message: "Invalid value: 0x0: must be specified for an update".to_owned(),
        ..Cause::invalid("metadata.resourceVersion", &Value::Null, "")
    }
}

pub(super) fn changed_name(name: &str) -> Cause {
    Cause::invalid("metadata.name", &json!(name), "field is immutable")
}

pub(super) fn replicas(key: &Key, replicas: &Value) -> ApiResult<()> {
    if replicas.as_i64().is_some_and(|count| count >= 0) {
        return Ok(());
    }
    let why = "must be greater than or equal to 0";
    let cause = Cause::invalid("spec.replicas", replicas, why);
    Err(ApiError::invalid(key.kind, &key.name, &[cause]))
}

/// Everything about a document that can be wrong.
pub(super) fn document(
    kind: &Kind,
    name: &str,
    document: &Value,
    old: Option<&Value>,
) -> ApiResult<()> {
    if !document::is_shallow(document, MAX_DEPTH) {
        return Err(ApiError::bad_request(format!(
            "the object is nested deeper than {MAX_DEPTH} levels"
        )));
    }
    let mut causes = Vec::new();
    for pointer in kind.required {
        if document.pointer(pointer).is_none_or(is_nothing) {
            causes.push(Cause::required(dotted(pointer)));
        }
    }
    if let Some(old) = old {
        for pointer in kind.immutable {
            let now = document.pointer(pointer);
            if now != old.pointer(pointer) {
                let now = now.unwrap_or(&Value::Null);
                let why = "field is immutable";
                causes.push(Cause::invalid(dotted(pointer), now, why));
            }
        }
        if document::is_deleting(old) {
            let before = finalizers(old);
            let new: Vec<&str> = finalizers(document)
                .into_iter()
                .filter(|finalizer| !before.contains(finalizer))
                .collect();
            if !new.is_empty() {
                let why = format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers {new:?}"
                );
                causes.push(Cause::forbidden("metadata.finalizers", &why));
            }
        }
    }
    metadata(document, &mut causes);
    if let Some(defined) = kind.defined {
        custom(&defined.schema, document, old, &mut causes);
    }
    if kind.defines() {
        definition::check(document, old, &mut causes);
    }
    if kind.group == "apps" {
        template_labels(document, &mut causes);
    }
    if kind.scale
        && let Some(replicas) = document.pointer("/spec/replicas")
        // Whether it is a number at all is said by the schema.
        && replicas.as_i64().is_some_and(|count| count < 0)
    {
        let why = if kind.custom {
            "should be a non-negative integer"
        } else {
            "must be greater than or equal to 0"
        };
        causes.push(Cause::invalid("spec.replicas", replicas, why));
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(kind, name, &causes))
    }
}

/// What the schema of a custom kind says. What was wrong before and is as it was may stay so, as
/// since Kubernetes 1.30 (`CRDValidationRatcheting`).
fn custom(schema: &Schema, document: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let mut found = Vec::new();
    schema.check(document, "", &mut found);
    if let Some(old) = old.filter(|_| !found.is_empty()) {
        let mut before = Vec::new();
        schema.check(old, "", &mut before);
        found.retain(|cause| !before.contains(cause));
    }
    causes.append(&mut found);
}

/// A workload makes pods that it selects itself.
fn template_labels(document: &Value, causes: &mut Vec<Cause>) {
    let Some(Value::Object(wanted)) = document.pointer("/spec/selector/matchLabels") else {
        return;
    };
    let labels = document.pointer("/spec/template/metadata/labels");
    let has = |(key, value): (&String, &Value)| labels.and_then(|l| l.get(key)) == Some(value);
    if wanted.iter().all(has) {
        return;
    }
    let labels: Vec<String> = labels
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key:?}:{value}"))
        .collect();
    causes.push(Cause {
        message: format!(
            "Invalid value: map[string]string{{{}}}: `selector` does not match template `labels`",
            labels.join(", ")
        ),
        ..Cause::invalid("spec.template.metadata.labels", &Value::Null, "")
    });
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn metadata(document: &Value, causes: &mut Vec<Cause>) {
    for field in ["labels", "annotations"] {
        let place = format!("metadata.{field}");
        let map = match document.pointer(&format!("/metadata/{field}")) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(map)) => map,
            Some(other) => {
                causes.push(Cause::invalid(place, other, "must be a map of strings"));
                continue;
            }
        };
        let mut bytes = 0;
        for (key, value) in map {
            if let Err(why) = check_label_key(key) {
                causes.push(Cause::invalid(&place, &json!(key), &why));
            }
            let Some(text) = value.as_str() else {
                causes.push(Cause::invalid(&place, value, "must be a string"));
                continue;
            };
            bytes += key.len() + text.len();
            if field == "labels"
                && let Err(why) = check_label_value(text)
            {
                causes.push(Cause::invalid(&place, value, &why));
            }
        }
        if field == "annotations" && bytes > MAX_ANNOTATION_BYTES {
            causes.push(Cause {
                reason: "FieldValueTooLong",
                field: place,
                message: format!("Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes"),
            });
        }
    }
    for (index, owner) in document::array(document, "/metadata/ownerReferences")
        .iter()
        .enumerate()
    {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &format!("/{field}")).is_empty() {
                let place = format!("metadata.ownerReferences[{index}].{field}");
                causes.push(Cause {
                    message: "Invalid value: \"\": must not be empty".to_owned(),
                    ..Cause::invalid(place, &Value::Null, "")
                });
            }
        }
    }
}
