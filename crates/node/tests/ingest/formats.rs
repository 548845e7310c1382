//! Each format once as its documentation has it, and packed.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::json;

use crate::curl::{
    BULK, HEC, HEC_RAW, OTLP, STRUCTURED, UNSTRUCTURED, assert_event, found, gzip, one, raw_lines,
    send, zstd,
};
use crate::server::Server;

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

#[test]
fn humio_structured() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let body = json!([
        {
            "tags": { "host": "web1", "source": "app" },
            "events": [
                { "timestamp": "2026-11-24T03:00:00+01:00", "attributes": { "a": { "b": 1 }, "c": [true] } },
                { "timestamp": 1_795_489_200_001_i64, "timezone": "+02:00", "rawstring": "second", "attributes": {} },
            ],
        },
        { "events": [{ "timestamp": "2026-11-24T03:00:00.002Z", "rawstring": "third" }] },
    ]);
    let answer = send(
        &server,
        STRUCTURED,
        &token,
        &JSON,
        body.to_string().as_bytes(),
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    let first = one(&server, "a.b=1");
    let fields = [
        ("@rawstring", r#"{"a":{"b":1},"c":[true]}"#),
        ("c[0]", "true"),
        ("#host", "web1"),
        ("#source", "app"),
    ];
    assert_event(&first, 1_795_485_600_000, &fields);
    let second = one(&server, "second");
    assert_event(
        &second,
        1_795_489_200_001,
        &[("@timezone", "+02:00"), ("#host", "web1")],
    );
    assert_event(&one(&server, "third"), 1_795_489_200_002, &[]);
}

#[test]
fn humio_unstructured() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let body = json!([{
        "type": "kv",
        "fields": { "shipper": "curl" },
        "tags": { "host": "web1" },
        "messages": ["ts=2026-11-24T03:00:00Z user=ann", "ts=2026-11-24T03:00:01Z user=bob"],
    }]);
    let answer = send(
        &server,
        UNSTRUCTURED,
        &token,
        &JSON,
        body.to_string().as_bytes(),
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    let fields = [
        ("user", "ann"),
        ("shipper", "curl"),
        ("#host", "web1"),
        ("#type", "kv"),
    ];
    assert_event(&one(&server, "user=ann"), 1_795_489_200_000, &fields);
    assert_event(&one(&server, "user=bob"), 1_795_489_201_000, &[]);
}

#[test]
fn hec() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    for (at, path) in [
        "/api/v1/ingest/hec",
        HEC,
        "/services/collector/event",
        "/services/collector/event/1.0",
    ]
    .into_iter()
    .enumerate()
    {
        // Objects one after another, as the protocol has it: with and without white space.
        let body = format!(
            r#"{{"time":1795489200.5,"host":"web1","source":"/var/log/a","sourcetype":"_json","event":{{"n":"{at}-a"}},"fields":{{"dc":"east"}}}}{{"time":"1795489201","event":"line {at}-b"}}
{{"event":"line {at}-c"}}"#
        );
        let splunk = format!("Authorization: Splunk {token}");
        let answer = crate::curl::post(&server, path, &["-H", &splunk], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.json(),
            json!({ "text": "Success", "code": 0, "eventCount": 3 })
        );
        let fields = [
            ("@host", "web1"),
            ("@source", "/var/log/a"),
            ("@sourcetype", "_json"),
            ("dc", "east"),
        ];
        assert_event(
            &one(&server, &format!("n=\"{at}-a\"")),
            1_795_489_200_500,
            &fields,
        );
        assert_event(
            &one(&server, &format!("\"line {at}-b\"")),
            1_795_489_201_000,
            &[],
        );
        assert_eq!(found(&server, &format!("\"line {at}-c\"")).len(), 1);
    }
    let health = server.call("GET", "/services/collector/health", None, "*/*", "");
    assert_eq!((health.status, &health.json()["code"]), (200, &json!(17)));
}

#[test]
fn hec_raw() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let body = b"first line\r\nsecond line\n\n  \nthird, of \xff no text\n";
    for path in [
        HEC_RAW,
        "/services/collector/raw/1.0",
        "/api/v1/ingest/hec/raw",
    ] {
        let answer = send(&server, path, &token, &[], body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["eventCount"], 3);
    }
    let lines = raw_lines(&server);
    for line in ["first line", "second line", "third, of \u{fffd} no text"] {
        let times = lines.iter().filter(|found| *found == line).count();
        assert_eq!(times, 3, "{line}: {lines:?}");
    }
}

#[test]
fn elastic_bulk() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let body = concat!(
        r#"{"index":{"_index":"logs","_id":"7"}}"#,
        "\n",
        r#"{"@timestamp":"2026-11-24T03:00:00Z","message":"hello","host":{"name":"web1"}}"#,
        "\n",
        r#"{"create":{}}"#,
        "\n",
        r#"{"level":"warn","@timestamp":1795489200001}"#,
        "\n"
    );
    // Beats send Basic, and this type.
    let user = format!("shipper:{token}");
    let more = [
        "--user",
        user.as_str(),
        "-H",
        "Content-Type: application/x-ndjson",
    ];
    let answer = crate::curl::post(&server, BULK, &more, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .head
            .to_lowercase()
            .contains("x-elastic-product: elasticsearch")
    );
    assert_eq!(
        answer.json(),
        json!({ "took": 0, "errors": false, "items": [
            { "index": { "_index": "logs", "_id": "7", "status": 201, "result": "created" } },
            { "create": { "_index": null, "_id": null, "status": 201, "result": "created" } },
        ] })
    );
    let hello = one(&server, "hello");
    assert_event(
        &hello,
        1_795_489_200_000,
        &[("@rawstring", "hello"), ("host.name", "web1")],
    );
    assert_event(&one(&server, "level=warn"), 1_795_489_200_001, &[]);
    for path in [
        "/api/v1/ingest/elastic-bulk",
        "/api/v1/ingest/elastic-bulk/",
    ] {
        let about = server.call("GET", path, None, "*/*", "");
        assert_eq!(about.json()["tagline"], "You Know, for Search");
    }
}

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Any::StringValue(value.to_owned())),
    })
}

fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value,
        ..KeyValue::default()
    }
}

/// Two records of a resource, by the protocol's own types.
fn otlp_request() -> ExportLogsServiceRequest {
    let record = |at: u64, body: &str| LogRecord {
        time_unix_nano: 1_795_489_200_000_000_000 + at * 1_000_000,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: text(body),
        attributes: vec![pair("user", text("ann"))],
        trace_id: vec![0xab; 16],
        ..LogRecord::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: vec![pair("service.name", text("shop"))],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs {
                log_records: vec![record(0, "in protobuf"), record(1, "another")],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

#[test]
fn otlp_as_protobuf_and_as_json() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let kind = ["-H", "Content-Type: application/x-protobuf"];
    let body = otlp_request().encode_to_vec();
    let answer = send(&server, OTLP, &token, &kind, &body);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(answer.head.contains("content-type: application/x-protobuf"));
    let fields = [
        ("@rawstring", "in protobuf"),
        ("resource.service.name", "shop"),
        ("severity", "INFO"),
        ("severity_number", "9"),
        ("user", "ann"),
    ];
    let event = one(&server, "\"in protobuf\"");
    assert_event(&event, 1_795_489_200_000, &fields);
    assert_eq!(event["trace_id"], "ab".repeat(16));

    // As the specification's own example has it: hexadecimal ids, numbers as text.
    let body = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] },
        "scopeLogs": [{
            "scope": { "name": "my.library" },
            "logRecords": [{
                "timeUnixNano": "1795489200000000000",
                "severityNumber": 10,
                "severityText": "Information",
                "traceId": "5B8EFFF798038103D269B633813FC60C",
                "spanId": "EEE19B7EC3C1B174",
                "body": { "stringValue": "in json" },
                "attributes": [{ "key": "n", "value": { "intValue": "10" } }],
            }],
        }],
    }] });
    let answer = send(&server, OTLP, &token, &JSON, body.to_string().as_bytes());
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "{}"),
        "{answer:?}"
    );
    let fields = [
        ("@rawstring", "in json"),
        ("resource.service.name", "shop"),
        ("scope.name", "my.library"),
        ("severity", "Information"),
        ("trace_id", "5b8efff798038103d269b633813fc60c"),
        ("span_id", "eee19b7ec3c1b174"),
        ("n", "10"),
    ];
    assert_event(&one(&server, "\"in json\""), 1_795_489_200_000, &fields);
}

#[test]
fn each_format_is_taken_packed_too() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let otlp = ["-H", "Content-Type: application/x-protobuf"];
    let cases: [(&str, &[&str], Vec<u8>); 6] = [
        (
            STRUCTURED,
            &JSON,
            br#"[{"events":[{"timestamp":1000,"rawstring":"packed structured"}]}]"#.to_vec(),
        ),
        (
            UNSTRUCTURED,
            &JSON,
            br#"[{"messages":["packed unstructured"]}]"#.to_vec(),
        ),
        (HEC, &JSON, br#"{"event":"packed hec"}"#.to_vec()),
        (HEC_RAW, &[], b"packed raw".to_vec()),
        (
            BULK,
            &JSON,
            b"{\"index\":{}}\n{\"message\":\"packed bulk\"}\n".to_vec(),
        ),
        (OTLP, &otlp, otlp_request().encode_to_vec()),
    ];
    for (path, kind, plain) in cases {
        for (encoding, packed) in [
            ("gzip", gzip(&plain)),
            ("x-gzip", gzip(&plain)),
            ("zstd", zstd(&plain)),
            ("ZSTD", zstd(&plain)),
            ("identity", plain.clone()),
        ] {
            let encoding = format!("Content-Encoding: {encoding}");
            let mut more = vec!["-H", encoding.as_str()];
            more.extend_from_slice(kind);
            let answer = send(&server, path, &token, &more, &packed);
            assert_eq!(answer.status, 200, "{path} {encoding}: {answer:?}");
        }
    }
    let lines = raw_lines(&server);
    for line in [
        "packed structured",
        "packed unstructured",
        "packed hec",
        "packed raw",
        "packed bulk",
        "in protobuf",
        "another",
    ] {
        let times = lines.iter().filter(|found| *found == line).count();
        assert_eq!(times, 5, "{line}: {lines:?}");
    }
}

#[test]
fn a_body_without_events_is_taken_and_stores_nothing() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    for (path, body) in [
        (STRUCTURED, "[]"),
        (STRUCTURED, r#"[{"tags":{"a":"b"},"events":[]}]"#),
        (UNSTRUCTURED, r#"[{"messages":[]}]"#),
        (HEC, ""),
        (HEC_RAW, "\n\n"),
        (BULK, "\n"),
    ] {
        let answer = send(&server, path, &token, &JSON, body.as_bytes());
        assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
    }
    assert_eq!(found(&server, "*"), [] as [serde_json::Value; 0]);
}

/// Over the wire, and found by a search: the good events once, the bad one named.
#[test]
fn one_bad_event_does_not_take_its_batch_along() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let body = r#"{"event":"hec a"}{"event":"hec b",}{"event":"hec c"}"#;
    let answer = send(&server, HEC, &token, &JSON, body.as_bytes());
    let told = answer.json();
    assert_eq!((answer.status, &told["code"]), (400, &json!(6)));
    assert_eq!(told["invalid-event-number"], 1);
    let body = "{\"index\":{}}\n{\"message\":\"bulk a\"}\n{\"delete\":{\"_id\":\"1\"}}\n{\"index\":{}}\n{\"message\":\"bulk b\"}\n";
    let answer = send(&server, BULK, &token, &JSON, body.as_bytes());
    let told = answer.json();
    assert_eq!((answer.status, &told["errors"]), (200, &json!(true)));
    assert_eq!(told["items"][1]["delete"]["status"], 400);
    assert!(
        answer
            .head
            .to_lowercase()
            .contains("x-elastic-product: elasticsearch")
    );
    let body = r#"[{"events":[{"timestamp":0,"rawstring":"structured a"},7]}]"#;
    let answer = send(&server, STRUCTURED, &token, &JSON, body.as_bytes());
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    let body = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"otlp a"}},7]}]}]}"#;
    let answer = send(&server, OTLP, &token, &JSON, body.as_bytes());
    let told = answer.json();
    assert_eq!(told["partialSuccess"]["rejectedLogRecords"], "1");
    assert_eq!(
        raw_lines(&server),
        [
            "7",
            "bulk a",
            "bulk b",
            "hec a",
            "hec c",
            "otlp a",
            "structured a"
        ]
    );
    let marked = found(&server, "@error=true");
    assert_eq!(marked.len(), 2, "{marked:?}");
    assert_eq!(one(&server, "\"structured a\"")["@timestamp.given"], "0");
}

#[test]
fn what_is_added_after_parsing_is_found() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let body =
        r#"{"event":{"level":"info","id":12345678901234567890123},"fields":{"level":"error"}}"#;
    let answer = send(&server, HEC, &token, &JSON, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = one(&server, "level=error");
    assert_eq!(
        event["@rawstring"],
        r#"{"level":"info","id":12345678901234567890123}"#
    );
    assert_eq!(event["id"], "12345678901234567890123");
    assert_eq!(found(&server, "level=info"), [] as [serde_json::Value; 0]);
}

#[test]
fn the_version_of_elasticsearch_can_be_set() {
    let version = |server: &Server| {
        let about = server.call("GET", "/api/v1/ingest/elastic-bulk", None, "*/*", "");
        about.json()["version"]["number"].clone()
    };
    assert_eq!(version(&Server::start()), "8.19.0");
    let server = Server::with(&[("BACKSTAY_ELASTIC_VERSION", "9.3.1")]);
    assert_eq!(version(&server), "9.3.1");
}
