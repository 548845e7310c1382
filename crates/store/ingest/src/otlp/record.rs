//! A log record as an event.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

use super::super::Context;
use super::super::draft::Draft;
use super::super::json::flatten::flatten_member;
use super::pieces::PieceError;
use crate::parse;

/// What a resource says of its records; that it could not be read, at least.
pub(super) fn of_resource(
    mut draft: Draft,
    resource: Result<Option<Resource>, PieceError>,
) -> Draft {
    match resource {
        Ok(resource) => {
            let attributes = resource.map(|it| it.attributes).unwrap_or_default();
            attributes_of("resource", "resource.", &attributes, &mut draft);
        }
        Err(problem) => draft.problem(problem.to_string()),
    }
    draft
}

/// The same of a scope within it.
pub(super) fn of_scope(
    mut draft: Draft,
    scope: Result<Option<InstrumentationScope>, PieceError>,
) -> Draft {
    match scope {
        Ok(Some(scope)) => {
            for (name, value) in [("scope.name", scope.name), ("scope.version", scope.version)] {
                if !value.is_empty() {
                    draft.sent.push(name, &value);
                }
            }
            attributes_of("scope", "scope.", &scope.attributes, &mut draft);
        }
        Ok(None) => {}
        Err(problem) => draft.problem(problem.to_string()),
    }
    draft
}

/// A record with what is common to its scope.
pub(super) fn stored(record: &LogRecord, common: Draft, context: &Context<'_>) -> Draft {
    let mut draft = common;
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    draft.raw = body.map(as_text).unwrap_or_default();
    let is_object = matches!(body, Some(Any::KvlistValue(_)));
    match context.parser {
        Some(parser) if !is_object || parser == parse::JSON => parse::apply(parser, &mut draft),
        _ if is_object => {
            let raw = std::mem::take(&mut draft.raw);
            flatten_member("body", &raw, &mut draft.found);
            draft.raw = raw;
        }
        _ => {}
    }
    let nanos = match (record.time_unix_nano, record.observed_time_unix_nano) {
        (0, observed) => observed,
        (time, _) => time,
    };
    if nanos != 0 {
        draft.set_time(i64::try_from(nanos / 1_000_000).ok(), &nanos.to_string());
    }
    let mut set = |name: &str, text: &str| {
        if !text.is_empty() {
            draft.sent.push(name, text);
        }
    };
    if record.severity_number != 0 {
        set("severity_number", &record.severity_number.to_string());
    }
    set("severity", &record.severity_text);
    set("trace_id", &hex(&record.trace_id));
    set("span_id", &hex(&record.span_id));
    set("event_name", &record.event_name);
    attributes_of("attributes", "", &record.attributes, &mut draft);
    draft
}

/// Attributes as fields; kept as JSON under `name` if they do not all become fields.
fn attributes_of(name: &str, prefix: &str, attributes: &[KeyValue], draft: &mut Draft) {
    let mut fits = true;
    for attribute in attributes {
        let value = attribute.value.as_ref().and_then(|it| it.value.as_ref());
        if let Some(value) = value {
            let name = format!("{prefix}{}", attribute.key);
            fits &= match value {
                Any::ArrayValue(_) | Any::KvlistValue(_) => {
                    flatten_member(&name, &as_text(value), &mut draft.sent)
                }
                value => draft.sent.push(&name, &as_text(value)),
            };
        }
    }
    if !fits {
        let mut json = String::new();
        pairs(attributes, &mut json);
        draft.keep(name, &json);
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A value as the text of an event or a field: what a text says, JSON for what has values in it, in
/// the order that came.
fn as_text(value: &Any) -> String {
    match value {
        Any::StringValue(text) => text.clone(),
        Any::BytesValue(bytes) => hex(bytes),
        other => {
            let mut json = String::new();
            as_json(other, &mut json);
            json
        }
    }
}

/// Protobuf's decoder bounds the nesting (100 levels), and so does `serde_json`'s.
fn as_json(value: &Any, json: &mut String) {
    match value {
        Any::ArrayValue(array) => {
            json.push('[');
            for (at, value) in array.values.iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                any_json(Some(value), json);
            }
            json.push(']');
        }
        Any::KvlistValue(list) => pairs(&list.values, json),
        Any::BytesValue(bytes) => json.push_str(&Value::from(hex(bytes)).to_string()),
        Any::StringValue(text) => json.push_str(&Value::from(text.as_str()).to_string()),
        Any::BoolValue(it) => json.push_str(&it.to_string()),
        Any::IntValue(it) => json.push_str(&it.to_string()),
        Any::DoubleValue(it) => json.push_str(&Value::from(*it).to_string()),
        #[allow(unreachable_patterns)]
        _ => json.push_str("null"),
    }
}

fn any_json(value: Option<&AnyValue>, json: &mut String) {
    match value.and_then(|value| value.value.as_ref()) {
        Some(value) => as_json(value, json),
        None => json.push_str("null"),
    }
}

fn pairs(pairs: &[KeyValue], json: &mut String) {
    json.push('{');
    for (at, pair) in pairs.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        json.push_str(&Value::from(pair.key.as_str()).to_string());
        json.push(':');
        any_json(pair.value.as_ref(), json);
    }
    json.push('}');
}
