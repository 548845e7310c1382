//! The forms in which documents go out: as they are, as rows of a table for people, or only their
//! metadata.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::request::Call;
use crate::definition::in_version;
use crate::kind::Kind;
use crate::status::{ApiError, ApiResult};

/// How documents are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Plain,
    Table(Include),
    Metadata,
}

/// What of the document goes along with its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// Where a list's page stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub version: u64,
    pub next: Option<String>,
    pub remaining: Option<usize>,
}

impl Page {
    fn metadata(&self) -> Value {
        let mut metadata = json!({ "resourceVersion": self.version.to_string() });
        if let Some(next) = &self.next {
            metadata["continue"] = json!(next);
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        metadata
    }
}

impl View {
    /// The first form that the client accepts and that is known.
    pub(crate) fn of(call: &Call) -> ApiResult<Self> {
        let include = match call.parameter("includeObject") {
            "" | "Metadata" => Include::Metadata,
            "None" => Include::None,
            "Object" => Include::Object,
            other => {
                return Err(ApiError::bad_request(format!(
                    "includeObject: Unsupported value: {other:?}: supported values: \"Metadata\", \"None\", \"Object\""
                )));
            }
        };
        for accepted in call.accept.split(',') {
            let mut parts = accepted.split(';').map(str::trim);
            if !matches!(parts.next(), Some("application/json")) {
                continue;
            }
            let mut form = "";
            let mut group = "";
            for part in parts {
                match part.split_once('=') {
                    Some(("as", name)) => form = name,
                    Some(("g", name)) => group = name,
                    _ => {}
                }
            }
            match (form, group) {
                ("", _) => return Ok(Self::Plain),
                ("Table", "meta.k8s.io") => return Ok(Self::Table(include)),
                ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io") => {
                    return Ok(Self::Metadata);
                }
                _ => {}
            }
        }
        Ok(Self::Plain)
    }

    /// One document.
    pub(crate) fn document(self, kind: &Kind, document: &Value) -> Value {
        match self {
            Self::Plain => in_version(kind, document),
            Self::Metadata => partial(document),
            Self::Table(include) => {
                let version = document.pointer("/metadata/resourceVersion");
                let metadata = json!({ "resourceVersion": version });
                table(kind, &[document], include, metadata, true)
            }
        }
    }

    /// One document of a watch. The headings go with the first.
    pub(crate) fn event(self, kind: &Kind, document: &Value, first: bool) -> Value {
        match self {
            Self::Table(include) => table(kind, &[document], include, json!({}), first),
            _ => self.document(kind, document),
        }
    }

    /// A document that only says how far a watch has come.
    pub(crate) fn bookmark(self, kind: &Kind, version: u64, initial_end: bool) -> Value {
        let mut metadata = json!({
            "resourceVersion": version.to_string(),
            "creationTimestamp": null,
        });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        match self {
            Self::Plain => json!({
                "kind": kind.kind,
                "apiVersion": kind.api_version(),
                "metadata": metadata,
            }),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
            }),
            Self::Table(_) => json!({
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": { "resourceVersion": version.to_string() },
                "columnDefinitions": null,
                "rows": [],
            }),
        }
    }

    /// A list of documents.
    pub(crate) fn list(self, kind: &Kind, documents: &[&Value], page: &Page) -> Value {
        match self {
            Self::Plain => json!({
                "kind": format!("{}List", kind.kind),
                "apiVersion": kind.api_version(),
                "metadata": page.metadata(),
                "items": documents.iter().map(|d| in_version(kind, d)).collect::<Vec<_>>(),
            }),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": page.metadata(),
                "items": documents.iter().map(|d| partial(d)).collect::<Vec<_>>(),
            }),
            Self::Table(include) => table(kind, documents, include, page.metadata(), true),
        }
    }
}

fn partial(document: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": document.get("metadata"),
    })
}

fn table(
    kind: &Kind,
    documents: &[&Value],
    include: Include,
    metadata: Value,
    headings: bool,
) -> Value {
    let now = Utc::now();
    let rows: Vec<Value> = documents
        .iter()
        .map(|document| row(kind, document, include, now))
        .collect();
    let columns: Value = if headings {
        kind.all_columns()
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": if column.name == "Name" { "name" } else { "" },
                    "description": "",
                    "priority": i32::from(column.wide),
                })
            })
            .collect()
    } else {
        Value::Null
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn row(kind: &Kind, document: &Value, include: Include, now: DateTime<Utc>) -> Value {
    let cells: Vec<Value> = kind
        .all_columns()
        .map(|column| column.cell.show(document, now))
        .collect();
    let mut row = json!({ "cells": cells });
    match include {
        Include::None => {}
        Include::Metadata => row["object"] = partial(document),
        Include::Object => row["object"] = document.clone(),
    }
    row
}
