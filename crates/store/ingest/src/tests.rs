//! Whatever comes, no decoder panics, and no line is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_events;
mod batches;
mod bounds;
mod fidelity;

use backstay_search::Event;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};

use super::*;

/// What a node of 1 GiB has for bodies and their events, in bytes.
const MEMORY_BYTES: usize = (1 << 30) / 64 * 19;
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// The formats that [`around`] has bodies of, with their content types.
const FORMATS: [(IngestFormat, &str); 6] = [
    (IngestFormat::Structured, JSON),
    (IngestFormat::Unstructured, JSON),
    (IngestFormat::Hec, JSON),
    (IngestFormat::ElasticBulk, JSON),
    (IngestFormat::Otlp, JSON),
    (IngestFormat::Otlp, PROTOBUF),
];

/// So many bytes, and no more.
struct Bounded(usize);

impl Memory for Bounded {
    fn take(&mut self, bytes: usize) -> Result<(), NoMemory> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or_else(|| NoMemory::Never(format!("{bytes} bytes are too many")))?;
        Ok(())
    }

    fn give(&mut self, bytes: usize) {
        self.0 += bytes;
    }
}

/// 2026-11-24T03:00:00Z.
const NOW_MS: i64 = 1_795_489_200_000;

/// A request, as a decoder sees it.
struct Request {
    kind: &'static str,
    query: Option<&'static str>,
    parser: Option<String>,
    max_fields: usize,
}

impl Request {
    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            query: None,
            parser: None,
            max_fields: 1000,
        }
    }

    fn decode(&self, format: IngestFormat, body: impl Into<Bytes>) -> Result<Batch, BodyError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let mut context = Context {
            headers: &headers,
            query: self.query,
            parser: self.parser.as_deref(),
            now_ms: NOW_MS,
            max_fields: self.max_fields,
            memory: &mut Bounded(MEMORY_BYTES),
        };
        format.decode(&body.into(), &mut context)
    }
}

fn decoded(
    format: IngestFormat,
    kind: &'static str,
    body: Vec<u8>,
    parser: Option<&str>,
) -> Result<Vec<Event>, BodyError> {
    let request = Request {
        parser: parser.map(str::to_owned),
        ..Request::of(kind)
    };
    Ok(request.decode(format, body)?.events)
}

/// The status that a node answers with.
fn status(error: &BodyError) -> u16 {
    match error {
        BodyError::Malformed(_) => 400,
        BodyError::Memory(NoMemory::Now(_)) => 429,
        BodyError::Memory(NoMemory::Never(_)) => 413,
    }
}

/// The status and the body of the answer to a batch.
fn answer(batch: Batch) -> (u16, Bytes) {
    (batch.response.status().as_u16(), batch.response.into_body())
}

fn answer_json(batch: Batch) -> (u16, Value) {
    let (status, body) = answer(batch);
    (status, serde_json::from_slice(&body).unwrap())
}

/// Bytes of one event for each decoder, around a line; the last reads it as it is.
fn around(line: &str) -> Vec<(IngestFormat, &'static str, Vec<u8>)> {
    let records = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![LogRecord {
                    body: Some(AnyValue {
                        value: Some(Any::StringValue(line.to_owned())),
                    }),
                    ..LogRecord::default()
                }],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let bulk = format!("{{\"index\":{{}}}}\n{}\n", json!({ "message": line }));
    let bodies = [
        json!([{ "events": [{ "timestamp": 1, "rawstring": line }] }]).to_string(),
        json!([{ "messages": [line] }]).to_string(),
        json!({ "event": line }).to_string(),
        bulk,
        json!({ "resourceLogs": [{ "scopeLogs": [{
            "logRecords": [{ "body": { "stringValue": line } }] }] }] })
        .to_string(),
    ];
    let bodies = bodies.into_iter().map(String::into_bytes);
    let bodies = bodies.chain([records.encode_to_vec()]);
    FORMATS
        .into_iter()
        .zip(bodies)
        .map(|((format, kind), body)| (format, kind, body))
        .collect()
}

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let names = prop_oneof![
            Just("events".to_owned()),
            Just("timestamp".to_owned()),
            Just("rawstring".to_owned()),
            Just("attributes".to_owned()),
            Just("tags".to_owned()),
            Just("fields".to_owned()),
            Just("messages".to_owned()),
            Just("event".to_owned()),
            Just("time".to_owned()),
            Just("message".to_owned()),
            Just("@timestamp".to_owned()),
            Just("index".to_owned()),
            Just("resourceLogs".to_owned()),
            Just("scopeLogs".to_owned()),
            Just("logRecords".to_owned()),
            Just("body".to_owned()),
            Just("timezone".to_owned()),
            ".{0,6}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn any_parser() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec![
        "json",
        "kv",
        "accesslog",
        "syslog",
        "nonesuch",
    ]))
}

proptest! {
    #[test]
    fn no_decoder_panics_on_any_bytes(
        body in prop::collection::vec(any::<u8>(), 0..300),
        parser in any_parser(),
    ) {
        for (format, kind) in FORMATS {
            let _ = decoded(format, kind, body.clone(), parser);
        }
        let _ = decoded(IngestFormat::HecRaw, "text/plain", body, parser);
    }

    #[test]
    fn no_decoder_panics_on_any_json(documents in prop::collection::vec(any_json(), 1..4), parser in any_parser()) {
        let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
        for (format, kind) in FORMATS {
            let _ = decoded(format, kind, lines.join("\n").into_bytes(), parser);
            let _ = decoded(format, kind, format!("[{}]", lines.join(",")).into_bytes(), parser);
        }
    }

    #[test]
    fn no_decoder_panics_on_a_body_with_flipped_bytes(
        line in ".{0,40}",
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        parser in any_parser(),
    ) {
        for (format, kind, mut body) in around(&line) {
            for (at, with) in &flips {
                let at = at.index(body.len());
                body[at] = *with;
            }
            let _ = decoded(format, kind, body, parser);
        }
    }

    #[test]
    fn every_line_is_kept_as_it_came(line in "(?s).{0,80}", parser in any_parser()) {
        for (at, (format, kind, body)) in around(&line).into_iter().enumerate() {
            // Splunk refuses an event without text.
            if line.is_empty() && format == IngestFormat::Hec {
                continue;
            }
            let events = decoded(format, kind, body, parser);
            let events = events.map_err(|error| TestCaseError::fail(format!("{at}: {error}")))?;
            prop_assert_eq!(events.len(), 1);
            prop_assert_eq!(&events[0].raw, &line, "{}", at);
        }
    }

    #[test]
    fn every_raw_line_is_kept(lines in prop::collection::vec("[^\r\n]{1,40}", 0..5), parser in any_parser()) {
        let lines: Vec<String> = lines.into_iter().filter(|it| !it.trim().is_empty()).collect();
        let events = decoded(IngestFormat::HecRaw, "text/plain", lines.join("\n").into_bytes(), parser);
        let raw: Vec<String> = events.unwrap().into_iter().map(|it| it.raw).collect();
        prop_assert_eq!(raw, lines);
    }
}

/// A message with one field of these bytes.
fn wrapped(field: u8, inner: &[u8]) -> Vec<u8> {
    let mut message = vec![field << 3 | 2];
    prost::encoding::encode_varint(inner.len() as u64, &mut message);
    message.extend_from_slice(inner);
    message
}

fn otlp(scope_logs: &[u8]) -> Vec<u8> {
    wrapped(1, &wrapped(2, scope_logs))
}

#[test]
fn two_bytes_a_record_are_refused_before_they_are_gigabytes() {
    let kind = "application/x-protobuf";
    let empty = wrapped(2, b"");
    let many = otlp(&empty.repeat(4 << 20));
    let error = decoded(IngestFormat::Otlp, kind, many, None).err().unwrap();
    assert_eq!(status(&error), 413, "{error}");
    // As attributes of one record.
    let many = wrapped(6, b"").repeat(1 << 20);
    let error = decoded(IngestFormat::Otlp, kind, otlp(&wrapped(2, &many)), None)
        .err()
        .unwrap();
    assert_eq!(status(&error), 400, "{error}");
    assert!(
        error.to_string().contains("a log record has 2097152 bytes"),
        "{error}"
    );
    let few = otlp(&empty.repeat(3));
    assert_eq!(
        decoded(IngestFormat::Otlp, kind, few, None).unwrap().len(),
        3
    );
}

#[test]
fn what_records_have_in_common_may_stand_behind_them() {
    let record = LogRecord {
        body: Some(AnyValue {
            value: Some(Any::StringValue("a line".to_owned())),
        }),
        ..LogRecord::default()
    };
    // {"name": "late"} behind the record, and a resource with an attribute behind its scope.
    let scope_logs = [
        wrapped(2, &record.encode_to_vec()),
        wrapped(1, &wrapped(1, b"late")),
    ]
    .concat();
    let value = wrapped(2, &wrapped(1, b"west"));
    let attribute = [wrapped(1, b"region"), value].concat();
    let resource_logs = [wrapped(2, &scope_logs), wrapped(1, &wrapped(1, &attribute))].concat();
    let body = wrapped(1, &resource_logs);
    let events = decoded(IngestFormat::Otlp, "application/x-protobuf", body, None).unwrap();
    let fields: Vec<(&str, &str)> = events[0]
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(events[0].raw, "a line");
    assert_eq!(
        fields,
        [("resource.region", "west"), ("scope.name", "late")]
    );
}

#[test]
fn a_message_that_ends_early_says_so() {
    let whole = otlp(&wrapped(2, b"\x3a\x00"));
    for length in 1..whole.len() {
        let cut = whole[..length].to_vec();
        let error = decoded(IngestFormat::Otlp, "application/x-protobuf", cut, None);
        let error = error.err().unwrap();
        assert_eq!(status(&error), 400, "{length}: {error}");
    }
}
