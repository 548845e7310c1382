//! OpenAPI v2, which `kubectl` still asks, in protobuf, before it sends a `List`: only the patches
//! and their parameters
//! (<https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto>; a `oneof` of messages
//! is on the wire what an optional message is).

use prost::Message;

use super::WRITING;
use crate::kind::{Kind, Served};

/// Clients ask for `…v2@v1.0+protobuf`, which is no media type; servers answer with this one.
pub(super) const CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

#[derive(Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
}

#[derive(Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Message)]
struct Paths {
    #[prost(message, repeated, tag = "2")]
    path: Vec<NamedPath>,
}

#[derive(Message)]
struct NamedPath {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<PathItem>,
}

#[derive(Message)]
struct PathItem {
    #[prost(message, optional, tag = "8")]
    patch: Option<Operation>,
}

#[derive(Message)]
struct Operation {
    #[prost(message, repeated, tag = "8")]
    parameters: Vec<ParametersItem>,
    #[prost(message, repeated, tag = "13")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Message)]
struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    parameter: Option<Parameter>,
}

#[derive(Message)]
struct Parameter {
    #[prost(message, optional, tag = "2")]
    non_body: Option<NonBody>,
}

#[derive(Message)]
struct NonBody {
    #[prost(message, optional, tag = "3")]
    query: Option<Query>,
}

#[derive(Message)]
struct Query {
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "6")]
    kind: String,
}

#[derive(Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[derive(Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

pub(super) fn document(kinds: &Served) -> Vec<u8> {
    Document {
        swagger: "2.0".to_owned(),
        info: Some(Info {
            title: "Kubernetes".to_owned(),
            version: "v1.32.0".to_owned(),
        }),
        paths: Some(Paths {
            path: kinds.all().map(path).collect(),
        }),
    }
    .encode_to_vec()
}

fn path(kind: &Kind) -> NamedPath {
    let parameters = WRITING
        .iter()
        .map(|name| ParametersItem {
            parameter: Some(Parameter {
                non_body: Some(NonBody {
                    query: Some(Query {
                        place: "query".to_owned(),
                        name: (*name).to_owned(),
                        kind: "string".to_owned(),
                    }),
                }),
            }),
        })
        .collect();
    let Kind {
        group,
        version,
        kind: name,
        ..
    } = kind;
    let named = NamedAny {
        name: "x-kubernetes-group-version-kind".to_owned(),
        value: Some(Any {
            yaml: format!("group: {group:?}\nkind: {name}\nversion: {version}\n"),
        }),
    };
    NamedPath {
        name: format!("{}/{{name}}", super::collection(kind)),
        value: Some(PathItem {
            patch: Some(Operation {
                parameters,
                vendor_extension: vec![named],
            }),
        }),
    }
}
