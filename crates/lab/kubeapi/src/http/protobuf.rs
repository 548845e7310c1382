//! Bodies in protobuf, which `kubectl create` and `kubectl auth` send for kinds that they have types
//! of. Answers are JSON: they take both. Only the kinds here are understood; all others come as
//! JSON, by `kubectl apply` or `kubectl create -f`. Field numbers are those of `generated.proto` in
//! k8s.io/api and k8s.io/apimachinery.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::{Value, json};

use crate::status::{ApiError, ApiResult};

pub(super) const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";

#[derive(Message)]
struct Envelope {
    #[prost(message, optional, tag = "1")]
    of: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Message)]
struct ObjectMeta {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    generate_name: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(btree_map = "string, string", tag = "11")]
    labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    annotations: BTreeMap<String, String>,
}

/// Namespace, ServiceAccount: what is made of a name.
#[derive(Message)]
struct Named {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
}

#[derive(Message)]
struct Secret {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    data: BTreeMap<String, Vec<u8>>,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(btree_map = "string, string", tag = "4")]
    texts: BTreeMap<String, String>,
}

#[derive(Message)]
struct ConfigMap {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, string", tag = "2")]
    data: BTreeMap<String, String>,
    #[prost(btree_map = "string, bytes", tag = "3")]
    binary: BTreeMap<String, Vec<u8>>,
}

#[derive(Message)]
struct AccessReview {
    #[prost(message, optional, tag = "2")]
    spec: Option<AccessReviewSpec>,
}

#[derive(Message)]
struct AccessReviewSpec {
    #[prost(message, optional, tag = "1")]
    resource: Option<ResourceAttributes>,
}

#[derive(Message)]
struct ResourceAttributes {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    verb: String,
    #[prost(string, tag = "3")]
    group: String,
    #[prost(string, tag = "5")]
    resource: String,
    #[prost(string, tag = "6")]
    subresource: String,
    #[prost(string, tag = "7")]
    name: String,
}

fn metadata(metadata: Option<ObjectMeta>) -> Value {
    let metadata = metadata.unwrap_or_default();
    let mut written = json!({});
    for (field, text) in [
        ("name", metadata.name),
        ("generateName", metadata.generate_name),
        ("namespace", metadata.namespace),
    ] {
        if !text.is_empty() {
            written[field] = json!(text);
        }
    }
    for (field, map) in [
        ("labels", metadata.labels),
        ("annotations", metadata.annotations),
    ] {
        if !map.is_empty() {
            written[field] = json!(map);
        }
    }
    written
}

fn encoded(map: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    map.into_iter()
        .map(|(key, bytes)| (key, STANDARD.encode(bytes)))
        .collect()
}

/// The document as JSON.
pub(super) fn document(bytes: &[u8]) -> ApiResult<Value> {
    let wrong = |error: prost::DecodeError| {
        ApiError::bad_request(format!("the object provided is unrecognized: {error}"))
    };
    let bytes = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        ApiError::bad_request("the object provided is unrecognized: it is not protobuf")
    })?;
    let envelope = Envelope::decode(bytes).map_err(wrong)?;
    let of = envelope.of.unwrap_or_default();
    let raw = envelope.raw.as_slice();
    let mut document = match of.kind.as_str() {
        "Namespace" | "ServiceAccount" | "SelfSubjectReview" => {
            let named = Named::decode(raw).map_err(wrong)?;
            json!({ "metadata": metadata(named.metadata) })
        }
        "Secret" => {
            let secret = Secret::decode(raw).map_err(wrong)?;
            let mut document = json!({
                "metadata": metadata(secret.metadata),
                "data": encoded(secret.data),
            });
            if !secret.kind.is_empty() {
                document["type"] = json!(secret.kind);
            }
            if !secret.texts.is_empty() {
                document["stringData"] = json!(secret.texts);
            }
            document
        }
        "ConfigMap" => {
            let map = ConfigMap::decode(raw).map_err(wrong)?;
            let mut document = json!({
                "metadata": metadata(map.metadata),
                "data": map.data,
            });
            if !map.binary.is_empty() {
                document["binaryData"] = json!(encoded(map.binary));
            }
            document
        }
        "SelfSubjectAccessReview" => {
            let review = AccessReview::decode(raw).map_err(wrong)?;
            let asked = review
                .spec
                .and_then(|spec| spec.resource)
                .unwrap_or_default();
            json!({ "spec": { "resourceAttributes": {
                "namespace": asked.namespace,
                "verb": asked.verb,
                "group": asked.group,
                "resource": asked.resource,
                "subresource": asked.subresource,
                "name": asked.name,
            }}})
        }
        other => {
            let mut error = ApiError::unsupported_media_type(CONTENT_TYPE, &["application/json"]);
            error.message.push_str(&format!(
                "; {other} is taken as JSON only: add `--dry-run=client -o json` and pipe it to `kubectl apply -f -`"
            ));
            return Err(error);
        }
    };
    document["apiVersion"] = json!(of.version);
    document["kind"] = json!(of.kind);
    Ok(document)
}

#[cfg(test)]
mod tests;
