//! What the controllers want to know of a pod.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::DynamicObject;

use crate::api::text;
use crate::condition;

/// How a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not yet ready, or no more.
    Unready,
    /// Ready to serve.
    Ready,
    /// It has ended by itself and does not come back.
    Finished,
    /// It is being deleted; its processes may still run.
    Terminating,
}

/// How this pod is.
pub(crate) fn life(pod: &DynamicObject) -> Life {
    if pod.metadata.deletion_timestamp.is_some() {
        return Life::Terminating;
    }
    if matches!(phase(pod), "Succeeded" | "Failed") {
        return Life::Finished;
    }
    let ready = pod
        .data
        .get("status")
        .is_some_and(|status| condition::holds(status, "Ready"));
    if ready { Life::Ready } else { Life::Unready }
}

/// Since when it is ready, if it is and says so.
pub(crate) fn ready_since(pod: &DynamicObject) -> Option<chrono::DateTime<chrono::Utc>> {
    let conditions = crate::api::array(&pod.data, "/status/conditions");
    let ready = conditions
        .iter()
        .find(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True")?;
    let since = chrono::DateTime::parse_from_rfc3339(text(ready, "/lastTransitionTime")).ok()?;
    Some(since.to_utc())
}

fn phase(pod: &DynamicObject) -> &str {
    text(&pod.data, "/status/phase")
}

/// When it was made, in seconds.
pub(crate) fn age_rank(pod: &DynamicObject) -> i64 {
    pod.creation_timestamp()
        .map_or(0, |time| time.0.as_second())
}

/// The value of a label, or the empty text.
pub(crate) fn label<'a>(document: &'a DynamicObject, name: &str) -> &'a str {
    named(document.metadata.labels.as_ref(), name)
}

/// The value of an annotation, or the empty text.
pub(crate) fn annotation<'a>(document: &'a DynamicObject, name: &str) -> &'a str {
    named(document.metadata.annotations.as_ref(), name)
}

fn named<'a>(texts: Option<&'a BTreeMap<String, String>>, name: &str) -> &'a str {
    texts
        .and_then(|texts| texts.get(name))
        .map_or("", String::as_str)
}

/// The claims that a pod mounts.
pub(crate) fn claims(pod: &DynamicObject) -> impl Iterator<Item = &str> {
    crate::api::array(&pod.data, "/spec/volumes")
        .iter()
        .map(|volume| text(volume, "/persistentVolumeClaim/claimName"))
        .filter(|name| !name.is_empty())
}

/// Any life, for the property tests of what is planned by it.
#[cfg(test)]
pub(crate) fn any_life() -> impl proptest::strategy::Strategy<Value = Life> {
    proptest::sample::select(vec![
        Life::Ready,
        Life::Ready,
        Life::Unready,
        Life::Finished,
        Life::Terminating,
    ])
}
