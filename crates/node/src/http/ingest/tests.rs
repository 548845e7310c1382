//! Whatever comes, no decoder panics, and no line is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_events;
mod batches;
mod bounds;
mod fidelity;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::memory::{MemoryBudget, MemoryUse};

type Decode = fn(&Bytes, &mut Context<'_>) -> Result<Batch, ApiError>;

/// The formats that [`around`] has bodies of.
const FORMATS: [IngestFormat; 6] = [
    IngestFormat::Structured,
    IngestFormat::Unstructured,
    IngestFormat::Hec,
    IngestFormat::ElasticBulk,
    IngestFormat::OtlpJson,
    IngestFormat::OtlpProtobuf,
];

fn decoders() -> impl Iterator<Item = (Decode, &'static str)> {
    let formats = FORMATS.into_iter();
    formats.map(|format| (format.decoder() as Decode, format.content_type()))
}

/// 2026-11-24T03:00:00Z.
const NOW_MS: i64 = 1_795_489_200_000;

/// A request, as a decoder sees it.
struct Request {
    kind: &'static str,
    query: Option<&'static str>,
    parser: Option<String>,
    most_fields: usize,
}

impl Request {
    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            query: None,
            parser: None,
            most_fields: 1000,
        }
    }

    fn decode(&self, decode: Decode, body: impl Into<Bytes>) -> Result<Batch, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let sender = Sender {
            repository: crate::RepositoryName::new("logs"),
            parser: self.parser.clone(),
        };
        let mut context = Context {
            headers: &headers,
            query: self.query,
            sender: &sender,
            now_ms: NOW_MS,
            most_fields: self.most_fields,
            held: &mut batch_memory(),
        };
        decode(&body.into(), &mut context)
    }
}

fn decoded(
    decode: Decode,
    kind: &'static str,
    body: Vec<u8>,
    parser: Option<&str>,
) -> Result<Vec<Event>, ApiError> {
    let request = Request {
        parser: parser.map(str::to_owned),
        ..Request::of(kind)
    };
    Ok(request.decode(decode, body)?.events)
}

/// The status and the body of the answer to a batch.
fn answer(batch: Batch) -> (u16, Bytes) {
    let status = batch.response.status().as_u16();
    let body = axum::body::to_bytes(batch.response.into_body(), usize::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    (status, runtime.unwrap().block_on(body).unwrap())
}

fn answer_json(batch: Batch) -> (u16, Value) {
    let (status, body) = answer(batch);
    (status, serde_json::from_slice(&body).unwrap())
}

/// Bytes of one event for each decoder, around a line; the last reads it as it is.
fn around(line: &str) -> Vec<(Decode, &'static str, Vec<u8>)> {
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
    decoders()
        .zip(bodies)
        .map(|((decode, kind), body)| (decode, kind, body))
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
        for (decode, kind) in decoders() {
            let _ = decoded(decode, kind, body.clone(), parser);
        }
        let _ = decoded(hec::decode_raw, "text/plain", body, parser);
    }

    #[test]
    fn no_decoder_panics_on_any_json(documents in prop::collection::vec(any_json(), 1..4), parser in any_parser()) {
        let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
        for (decode, kind) in decoders() {
            let _ = decoded(decode, kind, lines.join("\n").into_bytes(), parser);
            let _ = decoded(decode, kind, format!("[{}]", lines.join(",")).into_bytes(), parser);
        }
    }

    #[test]
    fn no_decoder_panics_on_a_body_with_flipped_bytes(
        line in ".{0,40}",
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        parser in any_parser(),
    ) {
        for (decode, kind, mut body) in around(&line) {
            for (at, with) in &flips {
                let at = at.index(body.len());
                body[at] = *with;
            }
            let _ = decoded(decode, kind, body, parser);
        }
    }

    #[test]
    fn every_line_is_kept_as_it_came(line in "(?s).{0,80}", parser in any_parser()) {
        for (at, (decode, kind, body)) in around(&line).into_iter().enumerate() {
            // Splunk refuses an event without text.
            if line.is_empty() && FORMATS[at] == IngestFormat::Hec {
                continue;
            }
            let alone = FORMATS[at].decode(&body.clone().into(), parser, NOW_MS, &MemoryBudget::new(1 << 30));
            let events = decoded(decode, kind, body, parser);
            let events = events.map_err(|error| TestCaseError::fail(format!("{at}: {error}")))?;
            prop_assert_eq!(&alone.unwrap(), &events);
            prop_assert_eq!(events.len(), 1);
            prop_assert_eq!(&events[0].raw, &line, "{}", at);
        }
    }

    #[test]
    fn every_raw_line_is_kept(lines in prop::collection::vec("[^\r\n]{1,40}", 0..5), parser in any_parser()) {
        let lines: Vec<String> = lines.into_iter().filter(|it| !it.trim().is_empty()).collect();
        let events = decoded(hec::decode_raw, "text/plain", lines.join("\n").into_bytes(), parser);
        let raw: Vec<String> = events.unwrap().into_iter().map(|it| it.raw).collect();
        prop_assert_eq!(raw, lines);
    }

    #[test]
    fn unpacking_never_panics_and_gives_back_what_was_packed(
        plain in prop::collection::vec(any::<u8>(), 0..500),
        name in prop::sample::select(vec!["gzip", "deflate", "zstd", "br", "identity"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let unpack = |encoding: &'static str, body: Vec<u8>| {
            let mut headers = HeaderMap::new();
            headers.insert("Content-Encoding", HeaderValue::from_static(encoding));
            let held = batch_memory();
            runtime.block_on(body::unpack(&headers, body.into(), held)).map(|(plain, _)| plain)
        };
        let _ = unpack(name, plain.clone());
        let packed = zstd::encode_all(plain.as_slice(), 1).unwrap();
        prop_assert_eq!(unpack("zstd", packed).unwrap(), plain);
    }
}

/// The memory of a batch, within a budget of the usual size.
fn batch_memory() -> BatchMemory {
    UnpackLimiter::default().batch_memory(&MemoryBudget::new(1 << 30))
}

#[test]
fn room_is_given_back_and_what_no_batch_can_have_is_refused() {
    let limiter = UnpackLimiter::default();
    let memory = MemoryBudget::new(1 << 30);
    let share = memory.share(MemoryUse::Ingest);
    let status = |result: Result<(), ApiError>| result.map_err(|error| error.status().as_u16());
    let mut first = limiter.batch_memory(&memory);
    assert_eq!(status(first.take(share / 4 * 3)), Ok(()));
    assert_eq!(status(first.take(share / 2)), Err(413));
    let mut second = limiter.batch_memory(&memory);
    assert_eq!(status(second.take(share / 2)), Err(429));
    first.give(share / 2);
    assert_eq!(status(second.take(share / 2)), Ok(()));
    drop((first, second));
    assert_eq!(status(limiter.batch_memory(&memory).take(share)), Ok(()));
    // The refused one asks again.
    assert_eq!(
        status(limiter.batch_memory(&memory).take(share + 1)),
        Err(413)
    );
}

#[test]
fn what_is_announced_takes_no_memory_and_what_unpacks_is_counted_as_it_comes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let memory = MemoryBudget::new(crate::memory::MIN_BUDGET_BYTES);
    let limiter = UnpackLimiter::default();
    let mut headers = HeaderMap::new();
    headers.insert("Content-Length", HeaderValue::from_static("33554432"));
    let mut quiet = limiter.batch_memory(&memory);
    let (_sender, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = futures::stream::unfold(body, |mut body| async { Some((body.recv().await?, body)) });
    let trickling = body::read(&headers, Body::from_stream(body), &mut quiet);
    let waited = std::time::Duration::from_millis(1);
    runtime
        .block_on(async { tokio::time::timeout(waited, trickling).await })
        .unwrap_err();
    assert_eq!(memory.used(MemoryUse::Ingest), 0);
    // 30 MiB of nothing in a few KiB: more than there is.
    let packed = zstd::encode_all(&vec![0; 30 << 20][..], 1).unwrap();
    headers.insert("Content-Encoding", HeaderValue::from_static("zstd"));
    let unpacked = body::unpack(&headers, packed.into(), limiter.batch_memory(&memory));
    let refused = runtime.block_on(unpacked).map(|_| ()).unwrap_err();
    assert_eq!(refused.status().as_u16(), 413);
    assert_eq!(memory.used(MemoryUse::Ingest), 0);
}

#[test]
fn events_are_counted_as_they_are_in_memory() {
    let memory = MemoryBudget::new(1 << 30);
    let mut held = UnpackLimiter::default().batch_memory(&memory);
    let body = format!(r#"[{{"messages":[{}]}}]"#, vec![r#""""#; 100_000].join(","));
    let events = {
        let headers = HeaderMap::new();
        let sender = Sender {
            repository: crate::RepositoryName::new("logs"),
            parser: None,
        };
        let mut context = Context {
            headers: &headers,
            query: None,
            sender: &sender,
            now_ms: NOW_MS,
            most_fields: 1000,
            held: &mut held,
        };
        unstructured::decode(&body.into(), &mut context)
            .unwrap()
            .events
    };
    let truly: usize = events.iter().map(crate::memory::of_event).sum();
    let told = memory.used(MemoryUse::Ingest);
    assert!(told >= truly && told <= truly * 3, "{told} {truly}");
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
    let error = decoded(otlp::decode, kind, many, None).err().unwrap();
    assert_eq!(error.status(), 413, "{error}");
    // As attributes of one record.
    let many = wrapped(6, b"").repeat(1 << 20);
    let error = decoded(otlp::decode, kind, otlp(&wrapped(2, &many)), None)
        .err()
        .unwrap();
    assert_eq!(error.status(), 400, "{error}");
    assert!(
        error.to_string().contains("a log record has 2097152 bytes"),
        "{error}"
    );
    let few = otlp(&empty.repeat(3));
    assert_eq!(decoded(otlp::decode, kind, few, None).unwrap().len(), 3);
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
    let events = decoded(otlp::decode, "application/x-protobuf", body, None).unwrap();
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
        let error = decoded(otlp::decode, "application/x-protobuf", cut, None);
        let error = error.err().unwrap();
        assert_eq!(error.status(), 400, "{length}: {error}");
    }
}
