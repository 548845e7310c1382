#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;

fn parse(body: &str) -> Request {
    Request::parse(body.as_bytes(), NOW_MS).unwrap()
}

fn refusal(body: &str) -> String {
    Request::parse(body.as_bytes(), NOW_MS)
        .unwrap_err()
        .to_string()
}

#[test]
fn times_come_as_numbers_or_words() {
    let request = parse(r#"{"queryString":"x","start":1000,"end":2000.7,"isLive":false}"#);
    assert_eq!(
        request.range,
        TimeRange {
            start_ms: 1000,
            end_ms: 2000
        }
    );
    let request = parse(r#"{"queryString":"x","start":"24hours","end":"now"}"#);
    assert_eq!(
        request.range,
        TimeRange {
            start_ms: NOW_MS - 86_400_000,
            end_ms: NOW_MS
        }
    );
    assert_eq!(parse("{}").query, Query::parse("").unwrap());
}

#[test]
fn what_would_change_the_answer_is_refused() {
    for (body, named) in [
        (r#"{"isLive":true}"#, "isLive"),
        (r#"{"arguments":{"a":"b"}}"#, "arguments"),
        (r#"{"around":{"eventId":"1"}}"#, "around"),
        (r#"{"useIngestTime":true}"#, "useIngestTime"),
        (r#"{"start":"yesterday"}"#, "`yesterday`"),
        (r#"{"start":5,"end":3}"#, "after end"),
        ("nothing", "not a query"),
        (r#"{"start":[]}"#, "not a query"),
    ] {
        let text = refusal(body);
        assert!(text.contains(named), "{body}: {text}");
    }
    parse(r#"{"isLive":null,"arguments":{},"around":null,"timeZoneOffsetMinutes":60}"#);
}

#[test]
fn a_bad_query_says_where_and_what_to_do() {
    let text = refusal(r#"{"queryString":"a and ("}"#);
    assert!(
        text.contains("at character 7") && text.contains("expected"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn no_body_panics(body in any::<Vec<u8>>(), text in ".*", start in any::<f64>()) {
        let _ = Request::parse(&body, NOW_MS);
        let body = serde_json::json!({ "queryString": text, "start": start, "end": text });
        let _ = Request::parse(body.to_string().as_bytes(), i64::MIN);
    }
}
