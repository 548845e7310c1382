//! Writes the seeds that are no text into `seeds/`: run it when a format changes, and commit them.
#![forbid(unsafe_code)]

use std::path::Path;

use backstay_fuzz::{NOW_MS, events, segment_of};
use backstay_global::snapshot::{document, sample};
use backstay_journal::{Entry, EntryKind, StreamId, WriterId};
use bytes::Bytes;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

fn main() {
    datagrams();
    entries();
    let mut state = Vec::new();
    document::write(&sample::state(2), &mut state).expect("memory can be written to");
    write("global_snapshot", "two_segments", &state);
    write("segment", "twenty_events", &segment_of(&events()));
    write("segment", "one_event", &segment_of(&events()[..1]));
    write("ingest_otlp_protobuf", "one_record", &records());
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("a file");
}

fn datagrams() {
    let kinds = [
        ("a", "v4.tm.example.", RecordType::A),
        ("any", "name.tm.example.", RecordType::ANY),
        ("soa", "tm.example.", RecordType::SOA),
        ("nowhere", "a.b.tm.example.", RecordType::AAAA),
    ];
    for (file, name, kind) in kinds {
        let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        write("dns_message", file, &message.to_vec().expect("a message"));
        message.edns = Some(Edns::new());
        let with_edns = message.to_vec().expect("a message");
        write("dns_message", &format!("{file}_edns"), &with_edns);
    }
}

fn entries() {
    let record = b"\x05\0\0\0hello\0\0\0\0";
    write("journal_entry", "payload", record);
    let mut entry = Entry {
        stream: StreamId::Partition(7),
        seq: 3,
        term: 2,
        settled: 1,
        writer: WriterId("writer".to_owned()),
        nonce: 42,
        kind: EntryKind::Data,
        payload: Bytes::from_static(record),
    };
    write("journal_entry", "data", &entry.encode().expect("an entry"));
    entry.kind = EntryKind::Seal {
        by: "recovery".into(),
    };
    write("journal_entry", "seal", &entry.encode().expect("an entry"));
}

fn records() -> Vec<u8> {
    let text = |text: &str| {
        Some(AnyValue {
            value: Some(Value::StringValue(text.to_owned())),
        })
    };
    let attribute = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: text(value),
        ..KeyValue::default()
    };
    let record = LogRecord {
        time_unix_nano: NOW_MS.unsigned_abs() * 1_000_000,
        severity_text: "INFO".to_owned(),
        body: text("level=info took 7 ms"),
        attributes: vec![attribute("user", "u1")],
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", "web")],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    // The last byte is the parser's.
    let mut body = request.encode_to_vec();
    body.push(0);
    body
}
