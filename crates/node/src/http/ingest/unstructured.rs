//! `humio-unstructured`: lines that a parser takes apart
//! (<https://library.humio.com/logscale-api/api-ingest-unstructured-data.html>).

use std::collections::BTreeMap;

use axum::Json;
use axum::response::Response;
use backstay_search::Event;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::flatten;
use super::{Batch, Context, Delivery};
use crate::http::error::ApiError;
use crate::http::parse;

#[derive(Deserialize)]
struct Group {
    #[serde(default, alias = "parser")]
    r#type: Option<String>,
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    messages: Vec<String>,
}

pub(super) async fn take(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(decode).await
}

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, ApiError> {
    let groups: Vec<Group> = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!(
            "the body is no humio-unstructured JSON: {error}; send [{{\"fields\":{{…}},\"messages\":[\"…\"]}}]"
        ))
    })?;
    let mut events = Vec::with_capacity(groups.iter().map(|group| group.messages.len()).sum());
    for group in groups {
        let tags: Vec<(String, String)> = group.tags.into_iter().collect();
        let mut given = Vec::new();
        flatten(&group.fields, &mut given)?;
        // The token's parser wins, as it is the administrator's word.
        let parser = context.sender.parser.as_deref().or(group.r#type.as_deref());
        for raw in group.messages {
            let mut event = line(raw, &tags, context.now_ms, parser);
            // "Fields that should be added to events after parsing."
            event.fields.extend_from_slice(&given);
            context.keep(event, &mut events)?;
        }
    }
    Ok(Batch::new(events, Json(json!({}))))
}

/// A line, taken apart by its parser if it has one. Its time is now unless the parser finds one.
pub(super) fn line(
    raw: String,
    tags: &[(String, String)],
    now_ms: i64,
    parser: Option<&str>,
) -> Event {
    let mut event = Event {
        timestamp_ms: now_ms,
        raw,
        id: String::new(),
        tags: tags.to_vec(),
        fields: Vec::new(),
    };
    if let Some(parser) = parser {
        parse::apply(parser, &mut event, now_ms);
    }
    event
}
