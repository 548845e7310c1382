//! A table of lines for each parser, and that none of them panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use backstay_search::Event;
use proptest::prelude::*;

use super::{apply, is_known};
use crate::draft::Draft;

/// 2026-11-24T03:00:00Z.
const NOW_MS: i64 = 1_795_489_200_000;

/// A parser's name, a line, its time if it has one, and fields of it.
type Case = (
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
);

fn parsed(name: &str, raw: &str, now_ms: i64) -> Event {
    let mut draft = Draft::new(raw.to_owned(), 1000, now_ms);
    apply(name, &mut draft);
    let event = draft.finish();
    assert_eq!(event.raw, raw);
    event
}

fn event(name: &str, raw: &str) -> Event {
    parsed(name, raw, NOW_MS)
}

fn field<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    let found = event.fields.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn ms(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text)
        .unwrap()
        .timestamp_millis()
}

#[test]
fn fields_and_times_are_found() {
    let cases: [Case; 12] = [
        (
            "json",
            r#"{"ts":"2026-11-24T02:59:59.5Z","a":{"b":1},"c":["x",null,true]}"#,
            Some("2026-11-24T02:59:59.5Z"),
            &[("a.b", "1"), ("c[0]", "x"), ("c[2]", "true")],
        ),
        (
            "json",
            r#"{"time":1795489199,"level":"warn"}"#,
            Some("2026-11-24T02:59:59Z"),
            &[("level", "warn")],
        ),
        (
            "json",
            r#"{"timestamp":"none","ts":1795489199000}"#,
            Some("2026-11-24T02:59:59Z"),
            &[("timestamp", "none")],
        ),
        ("json", "{}", None, &[]),
        (
            "kv",
            r#"2026-11-24T02:00:00+02:00 user=ann msg="it is \"so\"" n=3, url=/a?b=c"#,
            Some("2026-11-24T00:00:00Z"),
            &[
                ("user", "ann"),
                ("msg", r#"it is "so""#),
                ("n", "3"),
                ("url", "/a?b=c"),
            ],
        ),
        ("kv", "= =x a= b", None, &[("a", "")]),
        (
            "accesslog",
            r#"10.0.0.1 - ann [24/Nov/2026:03:00:00 +0100] "GET /x?y=1 HTTP/1.1" 200 512 "-" "curl/8" 0.004"#,
            Some("2026-11-24T02:00:00Z"),
            &[
                ("client", "10.0.0.1"),
                ("userid", "ann"),
                ("method", "GET"),
                ("url", "/x?y=1"),
                ("statuscode", "200"),
                ("useragent", "curl/8"),
                ("responsetime", "0.004"),
            ],
        ),
        (
            "accesslog",
            r#"::1 - - [24/Nov/2026:03:00:00 +0000] "\x16\x03" 400 -"#,
            Some("2026-11-24T03:00:00Z"),
            &[("statuscode", "400"), ("request", r"\x16\x03")],
        ),
        (
            "syslog",
            r#"<165>1 2026-11-24T02:14:15.003Z web1 app 42 ID47 [x@1 a="b\]" c="d"][y] the message"#,
            Some("2026-11-24T02:14:15.003Z"),
            &[
                ("facility", "20"),
                ("severity", "5"),
                ("host", "web1"),
                ("pid", "42"),
                ("x@1.a", "b]"),
                ("x@1.c", "d"),
                ("message", "the message"),
            ],
        ),
        (
            "syslog",
            "<34>Nov 23 22:14:15 web1 su[9]: failed for x",
            Some("2026-11-23T22:14:15Z"),
            &[
                ("host", "web1"),
                ("app", "su"),
                ("pid", "9"),
                ("message", "failed for x"),
            ],
        ),
        (
            // Later than tomorrow: it was last year.
            "syslog",
            "Dec  1 00:00:00 web1 cron: go",
            Some("2025-12-01T00:00:00Z"),
            &[("app", "cron")],
        ),
        (
            "syslog",
            "<13>1 - - - - - - hello",
            None,
            &[("message", "hello")],
        ),
    ];
    for (name, raw, time, fields) in cases {
        let event = event(name, raw);
        assert_eq!(field(&event, "@error_msg"), None, "{raw}");
        assert_eq!(event.timestamp_ms, time.map_or(NOW_MS, ms), "{raw}");
        assert_eq!(event.tags, [("type".to_owned(), name.to_owned())], "{raw}");
        for (key, value) in fields {
            assert_eq!(field(&event, key), Some(*value), "{raw}: {key}");
        }
    }
}

/// Times as daemons and devices write them; NOW_MS is the 24th.
#[test]
fn syslog_times_are_read_in_the_forms_that_are_written() {
    let rest = "rtr1 app[7]: x";
    let cases = [
        ("Nov 23 03:13:14", "2026-11-23T03:13:14Z"),
        ("Nov 23 03:13:14.663", "2026-11-23T03:13:14.663Z"),
        ("Nov 23 03:13:14,663", "2026-11-23T03:13:14.663Z"),
        ("Nov 23 03:13:14.663001", "2026-11-23T03:13:14.663001Z"),
        ("Nov 3 03:13:14", "2026-11-03T03:13:14Z"),
        ("Nov  3 03:13:14.5", "2026-11-03T03:13:14.5Z"),
        ("Nov 23 2024 03:13:14", "2024-11-23T03:13:14Z"),
        ("Nov 23 2024 03:13:14.663", "2024-11-23T03:13:14.663Z"),
        ("Nov 23 03:13:14 2024", "2024-11-23T03:13:14Z"),
        ("Mon Nov 23 03:13:14 2026", "2026-11-23T03:13:14Z"),
        ("Nov 23 03:13:14 UTC", "2026-11-23T03:13:14Z"),
        ("Nov 23 03:13:14.663 UTC:", "2026-11-23T03:13:14.663Z"),
        ("Nov 23 03:13:14.663 EST:", "2026-11-23T08:13:14.663Z"),
        ("Nov 23 03:13:14.663 +0200", "2026-11-23T01:13:14.663Z"),
        ("Nov 23 2024 03:13:14 GMT:", "2024-11-23T03:13:14Z"),
        ("*Nov 23 03:13:14.663:", "2026-11-23T03:13:14.663Z"),
        (".Nov 23 03:13:14.663:", "2026-11-23T03:13:14.663Z"),
        ("Nov 23 03:13:14:", "2026-11-23T03:13:14Z"),
        ("2026-11-23T03:13:14Z", "2026-11-23T03:13:14Z"),
        (
            "2026-11-23T03:13:14.123456+01:00",
            "2026-11-23T02:13:14.123456Z",
        ),
        ("2026-11-23T03:13:14+0100", "2026-11-23T02:13:14Z"),
        ("2026-11-23T03:13:14", "2026-11-23T03:13:14Z"),
        ("2026-11-23 03:13:14.5", "2026-11-23T03:13:14.5Z"),
        ("2026-11-23T03:13:14Z:", "2026-11-23T03:13:14Z"),
    ];
    for (stamp, time) in cases {
        for begin in ["", "<13>", "<13> "] {
            let line = format!("{begin}{stamp} {rest}");
            let event = event("syslog", &line);
            assert_eq!(field(&event, "@error_msg"), None, "{line}");
            assert_eq!(event.timestamp_ms, ms(time), "{line}");
            let found = ["host", "app", "pid", "message"].map(|name| field(&event, name));
            assert_eq!(
                found,
                [Some("rtr1"), Some("app"), Some("7"), Some("x")],
                "{line}"
            );
        }
    }
}

#[test]
fn syslog_lines_without_a_host_and_with_ciscos_prefix() {
    let cases: [(&str, Option<&str>, Option<&str>, &str); 8] = [
        ("Nov 23 03:13:14 su[9]: failed", None, Some("su"), "failed"),
        ("Nov 23 03:13:14 cron: go", None, Some("cron"), "go"),
        (
            "Nov 23 03:13:14 10.0.0.1 cron: go",
            Some("10.0.0.1"),
            Some("cron"),
            "go",
        ),
        (
            "Nov 23 03:13:14 fe80::1: cron: go",
            Some("fe80::1"),
            Some("cron"),
            "go",
        ),
        (
            "Nov 23 03:13:14 web1 no tag here",
            Some("web1"),
            None,
            "no tag here",
        ),
        (
            "<189>29: *Nov 23 03:13:14.663: %SYS-5-CONFIG_I: Configured",
            None,
            Some("%SYS-5-CONFIG_I"),
            "Configured",
        ),
        (
            "<189>29: rtr1: Nov 23 03:13:14.663 UTC: %SYS-5-CONFIG_I: Configured",
            Some("rtr1"),
            Some("%SYS-5-CONFIG_I"),
            "Configured",
        ),
        (
            "<166>Nov 23 2026 03:13:14 asa1 : %ASA-6-302013: Built",
            Some("asa1"),
            Some("%ASA-6-302013"),
            "Built",
        ),
    ];
    for (line, host, app, message) in cases {
        let event = event("syslog", line);
        assert_eq!(field(&event, "@error_msg"), None, "{line}");
        assert_eq!(
            event.timestamp_ms / 60_000,
            ms("2026-11-23T03:13:00Z") / 60_000,
            "{line}"
        );
        assert_eq!(field(&event, "host"), host, "{line}");
        assert_eq!(field(&event, "app"), app, "{line}");
        assert_eq!(field(&event, "message"), Some(message), "{line}");
    }
}

#[test]
fn what_cannot_be_taken_apart_is_kept_and_says_so() {
    let cases = [
        ("json", "no json"),
        ("json", "[1]"),
        ("accesslog", "GET /"),
        ("accesslog", r#"a - - [yesterday] "GET /" 200 1"#),
        ("syslog", ""),
        ("syslog", "<999>x"),
        ("syslog", "<13>1 2026-11-24T00:00:00Z host"),
        ("nonesuch", "line"),
    ];
    for (name, raw) in cases {
        let event = event(name, raw);
        assert_eq!(field(&event, "@error"), Some("true"), "{name} {raw}");
        assert!(field(&event, "@error_msg").unwrap().starts_with(name));
    }
}

proptest! {
    #[test]
    fn no_parser_panics(line in ".{0,200}", now in any::<i64>()) {
        for name in ["json", "kv", "accesslog", "syslog"] {
            assert!(is_known(name));
            parsed(name, &line, now);
        }
    }

    #[test]
    fn no_parser_panics_on_what_looks_right(
        line in r#"<1?[0-9]{1,3}>(1 )?(2026-11-24T00:00:00Z|Feb 29 12:00:00|-)? ?[\[\]a-z="\\ é-]{0,60}"#,
    ) {
        for name in ["json", "kv", "accesslog", "syslog"] {
            parsed(name, &line, NOW_MS);
        }
    }
}
