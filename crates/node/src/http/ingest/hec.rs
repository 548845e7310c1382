//! Splunk's HTTP Event Collector, as LogScale takes it: JSON objects one after another
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>,
//! <https://library.humio.com/logscale-api/log-shippers-hec.html>).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backstay_search::Event;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::{flatten, value_time};
use super::structured::shortened;
use super::unstructured::line;
use super::{Batch, Context, Delivery};
use crate::Engine;
use crate::http::error::ApiError;
use crate::http::parse;

#[derive(Deserialize)]
struct Item {
    event: Value,
    #[serde(default)]
    time: Option<Value>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    sourcetype: Option<String>,
    #[serde(default)]
    fields: Map<String, Value>,
}

/// Splunk's clients read `code` (its table of HEC status codes), not only the HTTP status.
fn refused(error: ApiError) -> Response {
    let code = match error.status() {
        StatusCode::UNAUTHORIZED => 2,
        StatusCode::FORBIDDEN => 4,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => 6,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => 9,
        _ => 8,
    };
    let text = error.to_string();
    let mut response = error.into_response();
    let body = Json(json!({ "text": text, "code": code })).into_response();
    *response.body_mut() = body.into_body();
    response
        .headers_mut()
        .remove(axum::http::header::CONTENT_LENGTH);
    response
}

fn success(count: usize) -> Json<Value> {
    Json(json!({ "text": "Success", "code": 0, "eventCount": count }))
}

pub(super) async fn events(delivery: Delivery) -> Response {
    delivery.take(decode).await.unwrap_or_else(refused)
}

pub(super) async fn raw(delivery: Delivery) -> Response {
    delivery.take(decode_raw).await.unwrap_or_else(refused)
}

pub(super) async fn health(State(engine): State<Engine>) -> Response {
    let status = engine.status();
    if status.ok {
        return Json(json!({ "text": "HEC is healthy", "code": 17 })).into_response();
    }
    let reason = status.reason.unwrap_or_default();
    refused(ApiError::not_ready(reason))
}

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, ApiError> {
    let mut events = Vec::new();
    for item in serde_json::Deserializer::from_slice(body).into_iter::<Item>() {
        let at = events.len();
        let item = item.map_err(|error| {
            ApiError::bad_request(format!(
                "event {at}: {error}; send objects such as {{\"time\":1700000000.5,\"event\":\"…\"}}, one after another"
            ))
        })?;
        let event = event(at, item, context)?;
        context.keep(event, &mut events)?;
    }
    let count = events.len();
    Ok(Batch::new(events, success(count)))
}

fn event(at: usize, item: Item, context: &Context<'_>) -> Result<Event, ApiError> {
    let wrong = |problem: String| ApiError::bad_request(format!("event {at}: {problem}"));
    let time = match &item.time {
        None | Some(Value::Null) => None,
        Some(value) => Some(value_time(value, None).ok_or_else(|| {
            wrong(format!(
                "time: {} is no time; send seconds since 1970, such as 1700000000.5",
                shortened(&value.to_string())
            ))
        })?),
    };
    // The token's parser wins, as it is the administrator's word.
    let parser = context.sender.parser.as_deref().or(item
        .sourcetype
        .as_deref()
        .filter(|name| parse::is_known(name)));
    let mut event = match item.event {
        Value::String(text) => line(text, &[], context.now_ms, parser),
        Value::Object(object) => {
            let raw = Value::Object(object).to_string();
            line(
                raw,
                &[],
                context.now_ms,
                Some(parser.unwrap_or(parse::JSON)),
            )
        }
        Value::Null => return Err(wrong("event: there is none".to_owned())),
        other => line(other.to_string(), &[], context.now_ms, parser),
    };
    // What the shipper says wins over what a parser found.
    if let Some(time) = time {
        event.timestamp_ms = time;
    }
    let given = [
        ("@host", item.host),
        ("@source", item.source),
        ("@sourcetype", item.sourcetype),
    ];
    for (name, value) in given {
        event
            .fields
            .extend(value.map(|value| (name.to_owned(), value)));
    }
    flatten(&item.fields, &mut event.fields)?;
    Ok(event)
}

pub(super) fn decode_raw(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, ApiError> {
    let text = String::from_utf8_lossy(body);
    let parser = context.sender.parser.as_deref();
    let mut events = Vec::new();
    for text in text.lines().filter(|text| !text.trim().is_empty()) {
        let event = line(text.to_owned(), &[], context.now_ms, parser);
        context.keep(event, &mut events)?;
    }
    let count = events.len();
    Ok(Batch::new(events, success(count)))
}
