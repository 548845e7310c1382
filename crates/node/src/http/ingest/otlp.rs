//! OpenTelemetry logs over HTTP, as protobuf or JSON
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use backstay_search::Event;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::{Map, Value};

mod pieces;

use super::fields::{TooMuch, put};
use super::{Batch, Context, Delivery};
use crate::http::error::ApiError;
use crate::http::parse;
use pieces::{pieces, whole};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

pub(super) async fn take(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(decode).await
}

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, ApiError> {
    let kind = context
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or(PROTOBUF);
    let mut events = Vec::new();
    let (kind, answer) = if kind.starts_with(JSON) {
        from_json(body, context, &mut events)?;
        (JSON, b"{}".to_vec())
    } else if kind.starts_with(PROTOBUF) {
        from_protobuf(body, context, &mut events)?;
        (
            PROTOBUF,
            ExportLogsServiceResponse::default().encode_to_vec(),
        )
    } else {
        return Err(ApiError::bad_request(format!(
            "header Content-Type: send {PROTOBUF} or {JSON}"
        )));
    };
    Ok(Batch::new(events, ([(CONTENT_TYPE, kind)], answer)))
}

fn from_json(
    body: &Bytes,
    context: &mut Context<'_>,
    events: &mut Vec<Event>,
) -> Result<(), ApiError> {
    // A request is an object; what reads it would take an array of its members too.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::bad_request(
            "the body is no OTLP JSON: it is an array; send {\"resourceLogs\":[…]}",
        ));
    }
    let request: ExportLogsServiceRequest = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body is no OTLP JSON: {error}")))?;
    for resource in request.resource_logs {
        let of_resource = of_resource(resource.resource)?;
        for scope in resource.scope_logs {
            let common = of_scope(&of_resource, scope.scope);
            for record in scope.log_records {
                let event = event(record, &common, context)?;
                context.keep(event, events)?;
            }
        }
    }
    Ok(())
}

/// The numbers are those of the fields in `logs.proto` and `logs_service.proto`
/// (<https://github.com/open-telemetry/opentelemetry-proto>).
fn from_protobuf(
    body: &Bytes,
    context: &mut Context<'_>,
    events: &mut Vec<Event>,
) -> Result<(), ApiError> {
    pieces(body, 1, |resource_logs| {
        // What is common may stand behind what it is common to.
        let mut about = None;
        pieces(&resource_logs, 1, |it| {
            about = Some(whole::<Resource>("resource", it)?);
            Ok(())
        })?;
        let of_resource = of_resource(about)?;
        pieces(&resource_logs, 2, |scope_logs| {
            let mut about = None;
            pieces(&scope_logs, 1, |it| {
                about = Some(whole::<InstrumentationScope>("scope", it)?);
                Ok(())
            })?;
            let common = of_scope(&of_resource, about);
            pieces(&scope_logs, 2, |record| {
                let event = event(whole("log record", record)?, &common, context)?;
                context.keep(event, events)
            })
        })
    })
}

fn of_resource(resource: Option<Resource>) -> Result<Vec<(String, String)>, ApiError> {
    let mut fields = Vec::new();
    if let Some(resource) = resource {
        attributes("resource.", &resource.attributes, &mut fields)?;
    }
    Ok(fields)
}

fn of_scope(
    of_resource: &[(String, String)],
    scope: Option<InstrumentationScope>,
) -> Vec<(String, String)> {
    let mut fields = of_resource.to_vec();
    if let Some(name) = scope.map(|it| it.name).filter(|it| !it.is_empty()) {
        fields.push(("scope.name".to_owned(), name));
    }
    fields
}

fn event(
    record: LogRecord,
    common: &[(String, String)],
    context: &Context<'_>,
) -> Result<Event, ApiError> {
    let nanos = match (record.time_unix_nano, record.observed_time_unix_nano) {
        (0, 0) => None,
        (0, observed) => Some(observed),
        (time, _) => Some(time),
    };
    let body = record.body.as_ref().map(value).unwrap_or_default();
    let mut event = Event {
        timestamp_ms: context.now_ms,
        raw: match &body {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        },
        id: String::new(),
        tags: Vec::new(),
        fields: Vec::new(),
    };
    match (&context.sender.parser, &body) {
        (Some(parser), _) => parse::apply(parser, &mut event, context.now_ms),
        (None, Value::Object(_)) => put("body".to_owned(), &body, &mut event.fields)?,
        _ => {}
    }
    if let Some(nanos) = nanos {
        event.timestamp_ms = i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX);
    }
    let fields = &mut event.fields;
    fields.extend_from_slice(common);
    attributes("", &record.attributes, fields)?;
    let mut set = |name: &str, text: String| {
        if !text.is_empty() {
            fields.push((name.to_owned(), text));
        }
    };
    if record.severity_number != 0 {
        set("severity_number", record.severity_number.to_string());
    }
    set("severity", record.severity_text);
    set("trace_id", hex(&record.trace_id));
    set("span_id", hex(&record.span_id));
    Ok(event)
}

fn attributes(
    prefix: &str,
    of: &[KeyValue],
    fields: &mut Vec<(String, String)>,
) -> Result<(), TooMuch> {
    for attribute in of {
        if let Some(given) = &attribute.value {
            put(format!("{prefix}{}", attribute.key), &value(given), fields)?;
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Protobuf's decoder bounds the nesting (100 levels), and so does `serde_json`'s.
fn value(given: &AnyValue) -> Value {
    match &given.value {
        None => Value::Null,
        Some(Any::StringValue(text)) => Value::String(text.clone()),
        Some(Any::BoolValue(it)) => Value::Bool(*it),
        Some(Any::IntValue(it)) => Value::from(*it),
        Some(Any::DoubleValue(it)) => Value::from(*it),
        Some(Any::BytesValue(bytes)) => Value::String(hex(bytes)),
        Some(Any::ArrayValue(array)) => array.values.iter().map(value).collect(),
        Some(Any::KvlistValue(list)) => {
            let pairs = list.values.iter().map(|pair| {
                let inner = pair.value.as_ref().map(value).unwrap_or_default();
                (pair.key.clone(), inner)
            });
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        #[allow(unreachable_patterns)]
        Some(_) => Value::Null,
    }
}
