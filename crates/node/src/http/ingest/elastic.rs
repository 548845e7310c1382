//! Elasticsearch's bulk API, as Beats, Fluent Bit and Vector speak it
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>).

use axum::Json;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use backstay_search::Event;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::fields::{flatten, value_time};
use super::{Batch, Context, Delivery};
use crate::http::error::ApiError;
use crate::http::parse;
use crate::http::peers::ELASTIC_PRODUCT;

/// The version whose bulk API this is. Beats refuse to send to one that is older than they are.
const ELASTIC: &str = "8.15.0";

fn elastic(body: Value) -> Response {
    let mut response = Json(body).into_response();
    // The official clients refuse to talk to a server that does not say this.
    let product = HeaderValue::from_static("Elasticsearch");
    response.headers_mut().insert(ELASTIC_PRODUCT, product);
    response
}

/// What a shipper asks before it sends.
pub(super) async fn about() -> Response {
    elastic(json!({
        "name": "backstay",
        "cluster_name": "backstay",
        "version": { "number": ELASTIC, "build_flavor": "default" },
        "tagline": "You Know, for Search",
    }))
}

/// What Beats ask too.
pub(super) async fn license() -> Response {
    elastic(json!({ "license": { "status": "active", "type": "basic", "mode": "basic" } }))
}

pub(super) async fn bulk(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(decode).await
}

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, ApiError> {
    let mut events = Vec::new();
    let mut items = Vec::new();
    let mut lines = body
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty());
    while let Some((at, line)) = lines.next() {
        let wrong = |problem: String| ApiError::bad_request(format!("line {at}: {problem}"));
        let action: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| wrong(format!("no action: {error}")))?;
        let Some((verb, target)) = action.into_iter().next() else {
            return Err(wrong("an empty action; send {\"create\":{}}".to_owned()));
        };
        if verb != "create" && verb != "index" {
            return Err(wrong(format!(
                "`{verb}` cannot be done to a log; send only create and index"
            )));
        }
        let (_, document) = lines
            .next()
            .ok_or_else(|| wrong(format!("`{verb}` has no document behind it")))?;
        let document: Map<String, Value> = serde_json::from_slice(document)
            .map_err(|error| wrong(format!("the document behind it: {error}")))?;
        let event = event(document, context)?;
        context.keep(event, &mut events)?;
        let done = json!({
            "_index": target.get("_index"),
            "_id": target.get("_id"),
            "status": 201,
            "result": "created",
        });
        items.push(json!({ verb: done }));
    }
    let answer = elastic(json!({ "took": 0, "errors": false, "items": items }));
    Ok(Batch::new(events, answer))
}

fn event(document: Map<String, Value>, context: &Context<'_>) -> Result<Event, ApiError> {
    let time = document
        .get("@timestamp")
        .and_then(|it| value_time(it, None));
    let mut fields = Vec::new();
    flatten(&document, &mut fields)?;
    fields.retain(|(name, _)| name != "@timestamp" && name != "message");
    let message = document.get("message").and_then(Value::as_str);
    let mut event = Event {
        timestamp_ms: context.now_ms,
        raw: message.map_or_else(
            || Value::Object(document.clone()).to_string(),
            str::to_owned,
        ),
        id: String::new(),
        tags: Vec::new(),
        fields: Vec::new(),
    };
    if let Some(parser) = context.sender.parser.as_deref() {
        parse::apply(parser, &mut event, context.now_ms);
    }
    event.timestamp_ms = time.unwrap_or(event.timestamp_ms);
    event.fields.extend(fields);
    Ok(event)
}
