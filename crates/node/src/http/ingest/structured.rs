//! `humio-structured`: events that the client has taken apart itself
//! (<https://library.humio.com/logscale-api/api-ingest-structured-data.html>).

use std::collections::BTreeMap;

use axum::Json;
use axum::response::Response;
use backstay_search::Event;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::{flatten, time};
use super::{Batch, Context, Delivery};
use crate::http::error::ApiError;
use crate::http::parse;

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    events: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    timestamp: Value,
    #[serde(default)]
    timezone: Option<String>,
    #[serde(default)]
    attributes: Option<Map<String, Value>>,
    #[serde(default)]
    rawstring: Option<String>,
}

pub(super) async fn take(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(decode).await
}

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, ApiError> {
    let groups: Vec<Group> = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!(
            "the body is no humio-structured JSON: {error}; send [{{\"tags\":{{…}},\"events\":[{{\"timestamp\":\"…\",\"attributes\":{{…}}}}]}}]"
        ))
    })?;
    let mut events = Vec::with_capacity(groups.iter().map(|group| group.events.len()).sum());
    for (at, group) in groups.into_iter().enumerate() {
        let tags: Vec<(String, String)> = group.tags.into_iter().collect();
        for (item_at, item) in group.events.into_iter().enumerate() {
            let wrong = |problem: String| {
                ApiError::bad_request(format!("[{at}].events[{item_at}].{problem}"))
            };
            let event = event(item, &tags, context, wrong)?;
            context.keep(event, &mut events)?;
        }
    }
    Ok(Batch::new(events, Json(json!({}))))
}

fn event(
    item: Item,
    tags: &[(String, String)],
    context: &Context<'_>,
    wrong: impl Fn(String) -> ApiError,
) -> Result<Event, ApiError> {
    let zone = item.timezone.as_deref();
    // The number is documented to be in ms.
    let timestamp_ms = match &item.timestamp {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|ms| ms as i64)),
        Value::String(text) => time(text, zone),
        _ => None,
    }
    .ok_or_else(|| {
        wrong(format!(
            "timestamp: {} is no time; send ISO 8601 such as \"2026-11-24T03:00:00Z\", or ms since 1970",
            shortened(&item.timestamp.to_string())
        ))
    })?;
    let mut fields = Vec::new();
    if let Some(attributes) = &item.attributes {
        flatten(attributes, &mut fields)?;
    }
    let untouched = item.attributes.is_none();
    let raw = match (item.rawstring, item.attributes) {
        (Some(raw), _) => raw,
        (None, Some(attributes)) => Value::Object(attributes).to_string(),
        (None, None) => {
            let problem = "rawstring: there is neither rawstring nor attributes";
            return Err(wrong(problem.to_owned()));
        }
    };
    if let Some(zone) = item.timezone {
        fields.push(("@timezone".to_owned(), zone));
    }
    let mut event = Event {
        timestamp_ms,
        raw,
        id: String::new(),
        tags: tags.to_vec(),
        fields,
    };
    // What the client has taken apart is not taken apart again.
    if let Some(parser) = context.sender.parser.as_deref().filter(|_| untouched) {
        parse::apply(parser, &mut event, context.now_ms);
    }
    Ok(event)
}

/// Enough of a value to find it in one's own data.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN).collect();
    short.push('…');
    short
}
