//! One event of a batch that is bad in any way is that one alone, and it is named.

use super::*;

const KIND: &str = "application/json";

fn raws(batch: &Batch) -> Vec<&str> {
    batch
        .events
        .iter()
        .map(|event| event.raw.as_str())
        .collect()
}

fn field<'a>(event: &'a Event, name: &str) -> &'a str {
    let found = event.fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).unwrap_or_default()
}

#[test]
fn hec_names_the_first_bad_event_and_stores_the_others() {
    let cases = [
        (r#"{"event":"#, 6),
        (r#"{"event":"b",}"#, 6),
        (r#"{"event":"b"#, 6),
        (r#"{"event":"b"c"}"#, 6),
        (r#"{"event":b}"#, 6),
        ("[[[", 0),
        ("7", 6),
        (r#""text""#, 6),
        ("nonsense", 6),
        ("{}", 12),
        (r#"{"message":"b"}"#, 12),
        (r#"{"event":null}"#, 12),
        (r#"{"event":""}"#, 13),
    ];
    for (bad, code) in cases {
        let body = format!("{{\"event\":\"a\"}}\n{bad}\n{{\"event\":\"c\"}} {{\"event\":\"d\"}}");
        let batch = Request::of(KIND).decode(IngestFormat::Hec, body).unwrap();
        assert_eq!(raws(&batch), ["a", "c", "d"], "{bad}");
        let (status, answer) = answer_json(batch);
        assert_eq!(answer["code"], code, "{bad}: {answer}");
        assert_eq!(answer["eventCount"], 3, "{bad}");
        if code == 0 {
            assert_eq!(status, 200, "{bad}");
        } else {
            assert_eq!(status, 400, "{bad}");
            assert_eq!(answer["invalid-event-number"], 1, "{bad}: {answer}");
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.starts_with("event 1: "), "{detail}");
        }
    }
}

#[test]
fn hec_takes_arrays_as_batches() {
    let bodies = [
        r#"[{"event":"a","host":"h"},{"event":"b"}]"#,
        "[{\"event\":\"a\",\"host\":\"h\"}]\n[{\"event\":\"b\"}]",
        "\u{feff} [ {\"event\":\"a\",\"host\":\"h\"} ] {\"event\":\"b\"}",
        "[\n  {\n    \"event\": \"a\",\n    \"host\": \"h\"\n  },\n  {\n    \"event\": \"b\"\n  }\n]",
    ];
    for body in bodies {
        let batch = Request::of(KIND).decode(IngestFormat::Hec, body).unwrap();
        assert_eq!(raws(&batch), ["a", "b"], "{body}");
        assert_eq!(field(&batch.events[0], "@host"), "h", "{body}");
        assert_eq!(answer_json(batch).0, 200);
    }
    // A broken one within.
    let body = r#"[{"event":"a"},{"event":"b",},{"event":oops},{"event":"c"}]"#;
    let batch = Request::of(KIND).decode(IngestFormat::Hec, body).unwrap();
    assert_eq!(raws(&batch), ["a", "c"]);
    assert_eq!(answer_json(batch).1["invalid-event-number"], 1);
}

#[test]
fn a_bulk_answers_for_each_item() {
    let ok = r#"{"index":{"_index":"logs","_id":"1","pipeline":"p","unknown":[1]}}"#;
    let cases: [(&[&str], &str, &str, Option<&str>); 12] = [
        (
            &[r#"{"create":{}}"#, "[1]"],
            "create",
            "document_parsing_exception",
            Some("not an object"),
        ),
        (
            &[r#"{"create":{}}"#, "{\"a\":"],
            "create",
            "document_parsing_exception",
            None,
        ),
        (
            &[r#"{"create":{}}"#, ""],
            "create",
            "document_parsing_exception",
            Some("empty"),
        ),
        (
            &[r#"{"create":{}}"#, "{} {}"],
            "create",
            "document_parsing_exception",
            None,
        ),
        (
            &[r#"{"delete":{"_id":"7"}}"#],
            "delete",
            "illegal_argument_exception",
            Some("`delete`"),
        ),
        (
            &[r#"{"update":{"_id":"7"}}"#, r#"{"doc":{}}"#],
            "update",
            "illegal_argument_exception",
            None,
        ),
        (
            &["nonsense", r#"{"message":"lost"}"#],
            "index",
            "illegal_argument_exception",
            None,
        ),
        (&["nonsense"], "index", "illegal_argument_exception", None),
        (
            &["{}", r#"{"message":"lost"}"#],
            "index",
            "illegal_argument_exception",
            Some("empty action"),
        ),
        (
            &[r#"{"purge":{}}"#, r#"{"message":"lost"}"#],
            "index",
            "illegal_argument_exception",
            Some("purge"),
        ),
        (
            &[r#"{"index":7}"#, r#"{"message":"lost"}"#],
            "index",
            "illegal_argument_exception",
            None,
        ),
        (
            &["[]", r#"{"message":"lost"}"#],
            "index",
            "illegal_argument_exception",
            None,
        ),
    ];
    for (lines, verb, kind, part) in cases {
        let good = |text: &str| [ok.to_owned(), json!({ "message": text }).to_string()].join("\n");
        let body = [good("a"), lines.join("\n"), good("b"), String::new()].join("\n");
        let batch = Request::of(KIND)
            .decode(IngestFormat::ElasticBulk, body)
            .unwrap();
        assert_eq!(raws(&batch), ["a", "b"], "{lines:?}");
        let (status, answer) = answer_json(batch);
        assert_eq!((status, &answer["errors"]), (200, &json!(true)), "{answer}");
        let items = answer["items"].as_array().unwrap();
        assert_eq!(items.len(), 3, "{lines:?}: {answer}");
        for at in [0, 2] {
            assert_eq!(items[at]["index"]["status"], 201, "{lines:?}: {answer}");
            assert_eq!(items[at]["index"]["_id"], "1");
        }
        let item = &items[1][verb];
        assert_eq!(item["status"], 400, "{lines:?}: {answer}");
        assert_eq!(item["error"]["type"], kind, "{lines:?}: {answer}");
        let reason = item["error"]["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("line 3: ") || reason.starts_with("line 4: "),
            "{reason}"
        );
        assert!(part.is_none_or(|part| reason.contains(part)), "{reason}");
    }
    // The last document is missing.
    let body = format!("{ok}\n{{\"message\":\"a\"}}\n{ok}");
    let batch = Request::of(KIND)
        .decode(IngestFormat::ElasticBulk, body)
        .unwrap();
    assert_eq!(raws(&batch), ["a"]);
    let (_, answer) = answer_json(batch);
    assert_eq!(answer["items"][1]["index"]["status"], 400, "{answer}");
}

#[test]
fn humio_formats_store_a_bad_event_as_it_came_and_mark_it() {
    let now = NOW_MS;
    let cases: [(IngestFormat, String, &str, &str); 13] = [
        (
            IngestFormat::Structured,
            "7".to_owned(),
            "7",
            "not an object",
        ),
        (
            IngestFormat::Structured,
            "null".to_owned(),
            "null",
            "not an object",
        ),
        (
            IngestFormat::Structured,
            "oops".to_owned(),
            "oops",
            "not valid JSON",
        ),
        (
            IngestFormat::Structured,
            r#"{"timestamp":1,}"#.to_owned(),
            r#"{"timestamp":1,}"#,
            "not valid JSON",
        ),
        (
            IngestFormat::Structured,
            "{}".to_owned(),
            "{}",
            "no `timestamp`",
        ),
        (
            IngestFormat::Structured,
            r#"{"rawstring":"x"}"#.to_owned(),
            "x",
            "no `timestamp`",
        ),
        (
            IngestFormat::Structured,
            r#"{"timestamp":"soon","rawstring":"x"}"#.to_owned(),
            "x",
            "soon is not a valid time",
        ),
        (
            IngestFormat::Structured,
            format!(r#"{{"timestamp":{now}}}"#),
            r#"{"timestamp":1795489200000}"#,
            "neither",
        ),
        (
            IngestFormat::Structured,
            format!(r#"{{"timestamp":{now},"attributes":[1]}}"#),
            r#"{"timestamp":1795489200000,"attributes":[1]}"#,
            "[0].events[1].attributes",
        ),
        (
            IngestFormat::Unstructured,
            "7".to_owned(),
            "7",
            "[0].messages[1] is not a string",
        ),
        (
            IngestFormat::Unstructured,
            r#"{"a":1.0}"#.to_owned(),
            r#"{"a":1.0}"#,
            "not a string",
        ),
        (
            IngestFormat::Unstructured,
            "oops".to_owned(),
            "oops",
            "not valid JSON",
        ),
        (
            IngestFormat::Unstructured,
            r#""a\qb""#.to_owned(),
            r#""a\qb""#,
            "not valid JSON",
        ),
    ];
    for (format, bad, raw, problem) in cases {
        let body = match format == IngestFormat::Structured {
            true => {
                let good =
                    |text: &str| json!({ "timestamp": NOW_MS, "rawstring": text }).to_string();
                format!(r#"[{{"events":[{},{bad},{}]}}]"#, good("a"), good("b"))
            }
            false => format!(r#"[{{"messages":["a",{bad},"b"]}}]"#),
        };
        let batch = Request::of(KIND).decode(format, body.clone()).unwrap();
        assert_eq!(raws(&batch), ["a", raw, "b"], "{body}");
        assert_eq!(field(&batch.events[1], "@error"), "true", "{body}");
        let message = field(&batch.events[1], "@error_msg");
        assert!(message.contains(problem), "{body}: {message}");
        for at in [0, 2] {
            assert_eq!(field(&batch.events[at], "@error"), "", "{body}");
        }
        assert_eq!(answer_json(batch), (200, json!({})));
    }
}

#[test]
fn otlp_rejects_a_bad_record_alone() {
    let record = |text: &str| json!({ "body": { "stringValue": text } }).to_string();
    let around = |records: &str| {
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#)
    };
    let cases = [
        (r#"{"body":{"stringValue":7}}"#, "a log record is not valid"),
        ("7", "not an object"),
        ("[]", "not an object"),
        (r#"{"body":}"#, ""),
        ("oops", ""),
        (r#"{"traceId":"xyz"}"#, "a log record is not valid"),
        (r#"{"time_unix_nano":"1"}"#, "`time_unix_nano`"),
        (r#"{"body":{"string_value":"x"}}"#, "`string_value`"),
    ];
    for (bad, part) in cases {
        let body = around(&[&record("a"), bad, &record("b")].join(","));
        let batch = Request::of(KIND).decode(IngestFormat::Otlp, body).unwrap();
        assert_eq!(raws(&batch), ["a", "b"], "{bad}");
        let (status, answer) = answer_json(batch);
        assert_eq!(status, 200);
        let partial = &answer["partialSuccess"];
        assert_eq!(partial["rejectedLogRecords"], "1", "{bad}: {answer}");
        let message = partial["errorMessage"].as_str().unwrap();
        assert!(
            message.starts_with("event 1: ") && message.contains(part),
            "{message}"
        );
    }
    // A name in an attribute is no member.
    let fine = around(
        r#"{"body":{"stringValue":"string_value"},"attributes":[{"key":"trace_id","value":{"stringValue":"x"}}]}"#,
    );
    let batch = Request::of(KIND).decode(IngestFormat::Otlp, fine).unwrap();
    assert_eq!(answer_json(batch), (200, json!({})));

    let good = |text: &str| {
        let body = wrapped(5, &wrapped(1, text.as_bytes()));
        wrapped(2, &body)
    };
    let body = otlp(&[good("a"), wrapped(2, b"\x0a\xff"), good("b")].concat());
    let batch = Request::of("application/x-protobuf")
        .decode(IngestFormat::Otlp, body)
        .unwrap();
    assert_eq!(raws(&batch), ["a", "b"]);
    let answer = ExportLogsServiceResponse::decode(answer(batch).1).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_log_records, 1);
}

/// Nothing of these could be stored: an error that names the member.
#[test]
fn names_that_a_format_does_not_have_are_an_error_that_names_them() {
    let cases: [(IngestFormat, &str, &str); 13] = [
        (
            IngestFormat::Structured,
            r#"[{"messages":["x"]}]"#,
            "[0].messages",
        ),
        (
            IngestFormat::Structured,
            r#"[{"tags":{},"events":[]},{"evnts":[{"timestamp":1}]}]"#,
            "[1].evnts",
        ),
        (
            IngestFormat::Unstructured,
            r#"[{"events":[{"timestamp":1}]}]"#,
            "[0].events",
        ),
        (
            IngestFormat::Unstructured,
            r#"[{"lines":["x"]}]"#,
            "[0].lines",
        ),
        (IngestFormat::Unstructured, "[{}]", "no `messages`"),
        (IngestFormat::Structured, r#"[{"tags":{}}]"#, "no `events`"),
        (
            IngestFormat::Unstructured,
            r#"[{"messages":"x"}]"#,
            "[0].messages",
        ),
        (
            IngestFormat::Otlp,
            r#"{"resource_logs":[]}"#,
            "`resource_logs`",
        ),
        (
            IngestFormat::Otlp,
            r#"{"resourceLogs":[{"scope_logs":[]}]}"#,
            "`scope_logs`",
        ),
        (
            IngestFormat::Otlp,
            r#"{"resourceLogs":[{"scopeLogs":[{"log_records":[]}]}]}"#,
            "`log_records`",
        ),
        (
            IngestFormat::Otlp,
            r#"{"resourceLogs":[{"instrumentationLibraryLogs":[]}]}"#,
            "`instrumentationLibraryLogs`",
        ),
        (
            IngestFormat::Otlp,
            r#"{"resourceSpans":[]}"#,
            "`resourceSpans`",
        ),
        (
            IngestFormat::Otlp,
            r#"{"resourceLogs":{}}"#,
            "`resourceLogs`",
        ),
    ];
    for (format, body, part) in cases {
        let error = Request::of(KIND).decode(format, body).err().unwrap();
        assert_eq!(status(&error), 400, "{body}");
        assert!(error.to_string().contains(part), "{body}: {error}");
    }
}

#[test]
fn what_is_no_text_is_replaced_in_that_event_alone() {
    let bulk = |line: &[u8]| [b"{\"index\":{}}\n".as_slice(), line, b"\n"].concat();
    let cases: [(IngestFormat, Vec<u8>); 8] = [
        (IngestFormat::Hec, b"{\"event\":\"a\"}{\"event\":\"b\xff\xfe\"}".to_vec()),
        (IngestFormat::Hec, br#"{"event":"a"}{"event":"b\ud800"}"#.to_vec()),
        (IngestFormat::Hec, br#"{"event":"a"}{"event":"b","fields":{"x\udc00":"y\ud800z"}}"#.to_vec()),
        (IngestFormat::HecRaw, b"a\nb\xff".to_vec()),
        (IngestFormat::Unstructured, b"[{\"messages\":[\"a\",\"b\xff\"]}]".to_vec()),
        (IngestFormat::Unstructured, br#"[{"messages":["a","b\udfff\ud83d"]}]"#.to_vec()),
        (
            IngestFormat::Structured,
            br#"[{"events":[{"timestamp":1795489200000,"rawstring":"a"},{"timestamp":1795489200000,"rawstring":"b\ud800"}]}]"#.to_vec(),
        ),
        (IngestFormat::ElasticBulk, [bulk(b"{\"message\":\"a\"}"), bulk(b"{\"message\":\"b\xff\"}")].concat()),
    ];
    for (format, body) in cases {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let batch = Request::of(KIND).decode(format, body).unwrap();
        assert_eq!(batch.events.len(), 2, "{shown}");
        assert_eq!(field(&batch.events[0], "@error"), "", "{shown}");
        let bad = &batch.events[1];
        assert_eq!(bad.raw.trim_end_matches('\u{fffd}'), "b", "{shown}");
        assert_eq!(field(bad, "@error"), "true", "{shown}");
        assert!(field(bad, "@error_msg").contains("U+FFFD"), "{shown}");
    }
    // A pair is one character, and a replacement that came is not ours.
    for (json, text) in [
        (r#""\ud83d\ude00""#, "\u{1f600}"),
        ("\"\u{fffd}\"", "\u{fffd}"),
    ] {
        let body = format!(r#"{{"event":{json}}}"#);
        let batch = Request::of(KIND).decode(IngestFormat::Hec, body).unwrap();
        assert_eq!(batch.events[0].raw, text);
        assert_eq!(field(&batch.events[0], "@error"), "");
    }
}

/// Collectors that read files of other bytes send what they read.
#[test]
fn protobuf_of_bytes_that_are_no_text_is_taken() {
    let text = |bytes: &[u8]| wrapped(1, bytes);
    let pair = |key: &[u8], value: Vec<u8>| [text(key), wrapped(2, &value)].concat();
    let array = wrapped(
        5,
        &[wrapped(1, &text(b"a\xff")), wrapped(1, &text(b"b"))].concat(),
    );
    let list = wrapped(6, &wrapped(1, &pair(b"k\xff", text(b"v\xff"))));
    let record = [
        vec![2 << 3, 9],
        wrapped(3, b"WARN\xff"),
        wrapped(5, &text(b"line \xff\xfe.")),
        wrapped(6, &pair(b"plain", text(b"p\xff"))),
        wrapped(6, &pair(b"array", array)),
        wrapped(6, &pair(b"list", list)),
    ]
    .concat();
    let good = wrapped(2, &wrapped(5, &text(b"good")));
    let body = otlp(&[wrapped(2, &record), good].concat());
    let batch = Request::of("application/x-protobuf")
        .decode(IngestFormat::Otlp, body)
        .unwrap();
    assert_eq!(raws(&batch), ["line \u{fffd}\u{fffd}.", "good"]);
    let event = &batch.events[0];
    let fields = [
        ("severity", "WARN\u{fffd}"),
        ("severity_number", "9"),
        ("plain", "p\u{fffd}"),
        ("array[0]", "a\u{fffd}"),
        ("array[1]", "b"),
        ("list.k\u{fffd}", "v\u{fffd}"),
        ("@error", "true"),
    ];
    for (name, value) in fields {
        assert_eq!(field(event, name), value, "{name}: {event:?}");
    }
    assert_eq!(field(&batch.events[1], "@error"), "");
    assert_eq!(answer(batch), (200, Bytes::new()));
}

/// The times of events that cannot be: what came is kept, and the event is of when it came.
#[test]
fn a_time_that_cannot_be_is_now_and_kept() {
    let item = |time: &str| format!(r#"{{"event":"x","time":{time}}}"#);
    let bulk =
        |time: &str| format!("{{\"index\":{{}}}}\n{{\"message\":\"x\",\"@timestamp\":{time}}}\n");
    let structured =
        |time: &str| format!(r#"[{{"events":[{{"timestamp":{time},"rawstring":"x"}}]}}]"#);
    let line = |time: &str| {
        json!([{ "type": "json", "messages": [format!(r#"{{"ts":{time}}}"#)] }]).to_string()
    };
    let nanos = |time: &str| {
        json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "timeUnixNano": time }] }] }] })
            .to_string()
    };
    let cases: [(IngestFormat, String, &str); 17] = [
        (IngestFormat::Hec, item("0"), "0"),
        (IngestFormat::Hec, item("-1"), "-1"),
        (IngestFormat::Hec, item("1e300"), "1e300"),
        (IngestFormat::Hec, item(r#""yesterday""#), "yesterday"),
        (IngestFormat::Hec, item("{}"), "{}"),
        (IngestFormat::Hec, item("true"), "true"),
        (IngestFormat::Hec, item("6942758400"), "6942758400"),
        (IngestFormat::Hec, item("1795489211"), "1795489211"),
        (
            IngestFormat::ElasticBulk,
            bulk(r#""2100-01-01T00:00:00Z""#),
            "2100-01-01T00:00:00Z",
        ),
        (IngestFormat::ElasticBulk, bulk("0"), "0"),
        (IngestFormat::ElasticBulk, bulk("[1]"), "[1]"),
        (IngestFormat::Structured, structured("0"), "0"),
        (
            IngestFormat::Structured,
            structured("-9223372036854775808"),
            "-9223372036854775808",
        ),
        (
            IngestFormat::Structured,
            structured(r#""+262142-12-31T23:59:59Z""#),
            "+262142-12-31T23:59:59Z",
        ),
        (IngestFormat::Unstructured, line("4102444800"), "4102444800"),
        (IngestFormat::Otlp, nanos("1"), "1"),
        (
            IngestFormat::Otlp,
            nanos("18446744073709551615"),
            "18446744073709551615",
        ),
    ];
    for (format, body, given) in cases {
        let batch = Request::of(KIND).decode(format, body.clone()).unwrap();
        let event = &batch.events[0];
        assert_eq!(event.timestamp_ms, NOW_MS, "{body}");
        assert_eq!(field(event, "@error"), "true", "{body}");
        assert!(field(event, "@error_msg").contains("the time "), "{body}");
        assert_eq!(field(event, "@timestamp.given"), given, "{body}");
        assert_eq!(answer(batch).0, 200, "{body}");
    }
    // As far ahead as clocks are.
    for (time, ms) in [
        ("1795489210", NOW_MS + 10_000),
        ("31536000", 31_536_000_000),
    ] {
        let batch = Request::of(KIND)
            .decode(IngestFormat::Hec, item(time))
            .unwrap();
        assert_eq!(batch.events[0].timestamp_ms, ms);
        assert_eq!(field(&batch.events[0], "@error"), "");
    }
}
