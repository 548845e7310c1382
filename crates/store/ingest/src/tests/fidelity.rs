//! What is stored is what came: the text to the byte, numbers to the digit, and of two values of
//! one name the one that the shipper gave.

use super::*;

const NUMBERS: &str = r#"{"z":1.10,"id":12345678901234567890123,"exp":1e5,"d":1,"d":2,"neg":-0}"#;

fn field<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    let mut found = event.fields.iter().filter(|(known, _)| known == name);
    let value = found.next().map(|(_, value)| value.as_str());
    assert_eq!(found.next(), None, "{name} is there twice: {event:?}");
    value
}

fn one(format: IngestFormat, body: &str, parser: Option<&str>) -> Event {
    let mut events = decoded(format, "application/json", body.into(), parser).unwrap();
    assert_eq!(events.len(), 1, "{body}");
    events.remove(0)
}

#[test]
fn numbers_order_and_doubled_names_are_kept() {
    let cases: [(IngestFormat, String); 3] = [
        (IngestFormat::Hec, format!(r#"{{"event":{NUMBERS}}}"#)),
        (
            IngestFormat::ElasticBulk,
            format!("{{\"index\":{{}}}}\n{NUMBERS}\r\n"),
        ),
        (
            IngestFormat::Structured,
            format!(r#"[{{"events":[{{"timestamp":{NOW_MS},"attributes":{NUMBERS}}}]}}]"#),
        ),
    ];
    for (format, body) in cases {
        let event = one(format, &body, None);
        assert_eq!(event.raw, NUMBERS);
        let fields = [
            ("z", "1.10"),
            ("id", "12345678901234567890123"),
            ("exp", "1e5"),
            // JSON's readers take the last of two.
            ("d", "2"),
            ("neg", "-0"),
        ];
        for (name, value) in fields {
            assert_eq!(field(&event, name), Some(value), "{body}");
        }
        assert_eq!(field(&event, "@error"), None, "{event:?}");
    }
}

#[test]
fn numbers_beside_the_text_are_kept_too() {
    let beside = r#"{"dec":1.10,"id":12345678901234567890123,"deep":[{"x":2.50}]}"#;
    let inner = &beside[1..beside.len() - 1];
    let cases: [(IngestFormat, String); 4] = [
        (
            IngestFormat::Hec,
            format!(r#"{{"event":"x","fields":{beside}}}"#),
        ),
        (
            IngestFormat::Unstructured,
            format!(r#"[{{"fields":{beside},"messages":["x"]}}]"#),
        ),
        (
            IngestFormat::Structured,
            format!(
                r#"[{{"events":[{{"timestamp":{NOW_MS},"rawstring":"x","attributes":{beside}}}]}}]"#
            ),
        ),
        (
            IngestFormat::ElasticBulk,
            format!("{{\"index\":{{}}}}\n{{\"message\":\"x\",{inner}}}\n"),
        ),
    ];
    for (format, body) in cases {
        let event = one(format, &body, None);
        assert_eq!(event.raw, "x");
        assert_eq!(field(&event, "dec"), Some("1.10"), "{body}");
        assert_eq!(field(&event, "id"), Some("12345678901234567890123"));
        assert_eq!(field(&event, "deep[0].x"), Some("2.50"));
    }
}

#[test]
fn an_otlp_body_keeps_its_order() {
    let pair = |key: &str, n: i64| json!({ "key": key, "value": { "intValue": n } });
    let list = json!({ "kvlistValue": { "values": [pair("z", 1), pair("a", 2), pair("z", 3)] } });
    let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "body": list }] }] }] });
    let event = one(IngestFormat::Otlp, &body.to_string(), None);
    assert_eq!(event.raw, r#"{"z":1,"a":2,"z":3}"#);
    assert_eq!(field(&event, "body.z"), Some("3"));
}

#[test]
fn what_a_shipper_says_wins_over_what_a_parser_finds() {
    let line = json!(r#"{"level":"info","n":1}"#);
    let cases: [(IngestFormat, String, Option<&str>); 5] = [
        (
            IngestFormat::Hec,
            r#"{"event":{"level":"info","n":1},"fields":{"level":"error"}}"#.to_owned(),
            None,
        ),
        (
            IngestFormat::Hec,
            format!(r#"{{"event":{line},"fields":{{"level":"error"}}}}"#),
            Some("json"),
        ),
        (
            IngestFormat::Unstructured,
            format!(r#"[{{"type":"json","fields":{{"level":"error"}},"messages":[{line}]}}]"#),
            None,
        ),
        (
            IngestFormat::ElasticBulk,
            format!("{{\"index\":{{}}}}\n{{\"message\":{line},\"level\":\"error\"}}\n"),
            Some("json"),
        ),
        (
            IngestFormat::Otlp,
            json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{
                "body": { "stringValue": line },
                "attributes": [{ "key": "level", "value": { "stringValue": "error" } }],
            }] }] }] })
            .to_string(),
            Some("json"),
        ),
    ];
    for (format, body, parser) in cases {
        let event = one(format, &body, parser);
        assert_eq!(field(&event, "level"), Some("error"), "{body}");
        assert_eq!(field(&event, "n"), Some("1"), "{body}");
        // What was found is in the text.
        assert_eq!(event.raw, r#"{"level":"info","n":1}"#);
    }
}

#[test]
fn what_a_request_says_of_its_events_is_kept() {
    let request = Request {
        query: Some("host=h1&source=s%2F1&sourcetype=kv&index=main&channel=c1&other=x"),
        ..Request::of("application/json")
    };
    let body = r#"{"event":"n=1"}{"event":"n=2","host":"h2","sourcetype":"text"}"#;
    let events = request.decode(IngestFormat::Hec, body).unwrap().events;
    let wanted = [
        ("@host", "h1", "h2"),
        ("@source", "s/1", "s/1"),
        ("@sourcetype", "kv", "text"),
        ("@index", "main", "main"),
        ("channel", "c1", "c1"),
    ];
    for (name, first, second) in wanted {
        assert_eq!(field(&events[0], name), Some(first));
        assert_eq!(field(&events[1], name), Some(second));
    }
    // It names the parser, where the event does not.
    assert_eq!(field(&events[0], "n"), Some("1"));
    assert_eq!(field(&events[1], "n"), None);
    let raw = request
        .decode(IngestFormat::HecRaw, "n=3\nn=4")
        .unwrap()
        .events;
    assert_eq!(field(&raw[1], "n"), Some("4"));
    assert_eq!(field(&raw[1], "@host"), Some("h1"));
}

#[test]
fn a_source_type_that_names_a_parser_does_not_spoil_an_object() {
    for (parser, kind) in [(None, "syslog"), (None, "accesslog"), (Some("kv"), "kv")] {
        let body = format!(r#"{{"sourcetype":"{kind}","event":{{"a":{{"b":"c=d"}}}}}}"#);
        let event = one(IngestFormat::Hec, &body, parser);
        assert_eq!(field(&event, "a.b"), Some("c=d"), "{event:?}");
        assert_eq!(field(&event, "@error"), None, "{event:?}");
        assert_eq!(field(&event, "@sourcetype"), Some(kind));
    }
    let body = r#"{"sourcetype":"kv","event":"a=b"}"#;
    assert_eq!(field(&one(IngestFormat::Hec, body, None), "a"), Some("b"));
}

#[test]
fn the_type_of_an_event_is_its_parser_whatever_the_shipper_says() {
    for (tags, parser, kind, excess) in [
        (
            r##"{"#type":"mine"}"##,
            Some("kv"),
            "kv",
            Some(r##"{"#type":"mine"}"##),
        ),
        (
            r#"{"type":"mine"}"#,
            Some("kv"),
            "kv",
            Some(r##"{"#type":"mine"}"##),
        ),
        (r#"{"type":"kv"}"#, Some("kv"), "kv", None),
        (r#"{"host":"web1"}"#, Some("kv"), "kv", None),
        (r#"{"type":"mine"}"#, None, "mine", None),
    ] {
        let body = format!(r#"[{{"tags":{tags},"messages":["n=1"]}}]"#);
        let event = one(IngestFormat::Unstructured, &body, parser);
        assert_eq!(event.get("#type").as_deref(), Some(kind), "{body}");
        assert_eq!(field(&event, "@excess"), excess, "{body}");
    }
}

#[test]
fn what_has_no_place_in_an_event_is_kept_beside_it() {
    let cases: [(IngestFormat, &str, &str); 6] = [
        (
            IngestFormat::Hec,
            r#"{"event":"x","extra":{"a":1.0},"n":2}"#,
            r#"{"extra":{"a":1.0},"n":2}"#,
        ),
        (
            IngestFormat::Hec,
            r#"{"event":"x","fields":[1,2]}"#,
            r#"{"fields":[1,2]}"#,
        ),
        (
            IngestFormat::Structured,
            r#"[{"events":[{"timestamp":1795489200000,"rawstring":"x","more":1.0}]}]"#,
            r#"{"more":1.0}"#,
        ),
        (
            IngestFormat::Hec,
            r#"{"event":"x","fields":{"@id":"mine"}}"#,
            r#"{"fields":{"@id":"mine"}}"#,
        ),
        (
            IngestFormat::Hec,
            r##"{"event":"x","fields":{"#repo":"mine"}}"##,
            r##"{"fields":{"#repo":"mine"}}"##,
        ),
        (
            IngestFormat::Structured,
            r#"[{"tags":{"repo":"mine"},"events":[{"timestamp":1795489200000,"rawstring":"x"}]}]"#,
            r##"{"#repo":"mine"}"##,
        ),
    ];
    for (format, body, excess) in cases {
        let event = one(format, body, None);
        assert_eq!(field(&event, "@excess"), Some(excess), "{body}");
    }
}
