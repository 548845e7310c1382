//! Wide and deep events: what is beyond a bound is no field, is not lost, and the event says so.

use super::*;

const KIND: &str = "application/json";

fn field<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    let found = event.fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn message(event: &Event) -> &str {
    assert_eq!(
        field(event, "@error"),
        Some("true"),
        "{:?}",
        event.raw.len()
    );
    field(event, "@error_msg").unwrap()
}

fn wide(count: usize) -> String {
    let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\":{n}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// An event of so many fields in each format, with whether its text has them all, for a parser.
fn wides(count: usize) -> Vec<(IngestFormat, String, Option<&'static str>, bool)> {
    let json = wide(count);
    let kv: Vec<String> = (0..count).map(|n| format!("f{n}={n}")).collect();
    let kv = kv.join(" ");
    let elements: Vec<String> = (0..count).map(|n| format!(r#"f{n}="{n}""#)).collect();
    let syslog = format!("<13>1 - - - - - [x {}] m", elements.join(" "));
    let attributes: Vec<Value> = (0..count)
        .map(|n| json!({ "key": format!("f{n}"), "value": { "intValue": n } }))
        .collect();
    vec![
        (IngestFormat::Hec, format!(r#"{{"event":{json}}}"#), None, true),
        (IngestFormat::Hec, format!(r#"{{"event":"x","fields":{json}}}"#), None, false),
        (IngestFormat::Hec, json!({ "event": kv }).to_string(), Some("kv"), true),
        (IngestFormat::Hec, json!({ "event": json }).to_string(), Some("json"), true),
        (IngestFormat::Hec, json!({ "event": syslog }).to_string(), Some("syslog"), true),
        (IngestFormat::ElasticBulk, format!("{{\"index\":{{}}}}\n{json}\n"), None, true),
        (
            IngestFormat::ElasticBulk,
            format!("{{\"index\":{{}}}}\n{{\"message\":\"x\",{}\n", &json[1..]),
            None,
            false,
        ),
        (
            IngestFormat::Structured,
            format!(r#"[{{"events":[{{"timestamp":{NOW_MS},"attributes":{json}}}]}}]"#),
            None,
            true,
        ),
        (
            IngestFormat::Structured,
            format!(r#"[{{"events":[{{"timestamp":{NOW_MS},"rawstring":"x","attributes":{json}}}]}}]"#),
            None,
            false,
        ),
        (
            IngestFormat::Unstructured,
            format!(r#"[{{"fields":{json},"messages":["x"]}}]"#),
            None,
            false,
        ),
        (
            IngestFormat::Otlp,
            json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "attributes": attributes }] }] }] })
                .to_string(),
            None,
            false,
        ),
    ]
}

#[test]
fn an_event_has_so_many_fields_and_says_that_it_had_more() {
    for (format, body, parser, is_of_text) in wides(60) {
        let request = Request {
            parser: parser.map(str::to_owned),
            max_fields: 50,
            ..Request::of(KIND)
        };
        let batch = request.decode(format, body.clone()).unwrap();
        let event = &batch.events[0];
        let message = message(event);
        assert!(message.contains("more than 50 fields"), "{body}: {message}");
        // Our own marks are beside them.
        assert!((50..=54).contains(&event.fields.len()), "{body}");
        let excess = field(event, "@excess");
        if is_of_text {
            assert!(event.raw.contains("f59"), "{body}");
            assert_eq!(excess, None, "{body}");
        } else {
            assert!(excess.unwrap().contains("f59"), "{body}")
        }
    }
    for (format, body, parser, _) in wides(20) {
        let request = Request {
            parser: parser.map(str::to_owned),
            max_fields: 50,
            ..Request::of(KIND)
        };
        let batch = request.decode(format, body.clone()).unwrap();
        assert_eq!(field(&batch.events[0], "@error"), None, "{body}");
    }
}

#[test]
fn what_a_shipper_says_has_a_place_beside_a_wide_text() {
    let body = format!(
        r#"{{"event":{},"host":"h","fields":{{"dc":"east"}}}}"#,
        wide(50)
    );
    let request = Request {
        max_fields: 50,
        ..Request::of(KIND)
    };
    let batch = request.decode(IngestFormat::Hec, body).unwrap();
    let event = &batch.events[0];
    assert_eq!(field(event, "dc"), Some("east"));
    assert_eq!(field(event, "@host"), Some("h"));
    assert!(message(event).contains("more than 50 fields"));
    assert_eq!(event.fields.len(), 52);
}

#[test]
fn long_names_and_deep_nesting_are_in_the_text_only() {
    let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let long = format!(r#"{{"{}":1,"b":2}}"#, "n".repeat(1025));
    let cases = [
        (long, "longer than 1024 bytes"),
        (deep(101), "deeper than 100 levels"),
        (deep(200_000), "deeper than 100 levels"),
        (
            format!(r#"{{"b":{}}}"#, "[".repeat(200_000) + &"]".repeat(200_000)),
            "",
        ),
    ];
    for (json, part) in cases {
        let bodies: [(IngestFormat, String); 3] = [
            (IngestFormat::Hec, format!(r#"{{"event":{json}}}"#)),
            (
                IngestFormat::ElasticBulk,
                format!("{{\"index\":{{}}}}\n{json}\n"),
            ),
            (
                IngestFormat::Structured,
                format!(r#"[{{"events":[{{"timestamp":{NOW_MS},"attributes":{json}}}]}}]"#),
            ),
        ];
        for (format, body) in bodies {
            let batch = Request::of(KIND).decode(format, body).unwrap();
            let event = &batch.events[0];
            assert_eq!(event.raw, json);
            match part {
                "" => assert_eq!(field(event, "@error"), None),
                part => assert!(message(event).contains(part), "{}", message(event)),
            }
        }
    }
    let batch = Request::of(KIND)
        .decode(IngestFormat::Hec, format!(r#"{{"event":{}}}"#, deep(100)))
        .unwrap();
    assert_eq!(field(&batch.events[0], "@error"), None);
}

/// What the fields of a batch take is in proportion to the batch, or the batch is too large.
#[test]
fn a_long_name_above_many_values_is_not_many_long_names() {
    let name = "n".repeat(1 << 20);
    let values = vec!["1"; 1000].join(",");
    let body = format!(r#"{{"event":"x","fields":{{"{name}":[{values}],"b":1}}}}"#);
    let batch = Request::of(KIND).decode(IngestFormat::Hec, body).unwrap();
    let event = &batch.events[0];
    assert!(message(event).contains("longer than 1024 bytes"));
    assert_eq!(field(event, "b"), Some("1"));
    let bytes: usize = event
        .fields
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(bytes < 2 << 20, "{bytes}");
}
