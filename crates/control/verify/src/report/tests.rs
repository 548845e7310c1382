#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::finding::Check;

fn report(strict: bool, mut findings: Vec<Finding>) -> Report {
    findings.push(Finding::ok(Check::Nodes, "nodeCount is 1"));
    let figures = Figures {
        at_ms: 1_700_000_000_500,
        snapshot: Some(EpochOffset {
            epoch: 1,
            offset: 23,
        }),
        repositories: Some(2),
        segments: Some(7),
        newest_event_age_seconds: Some(1.25),
        expected_recovery_seconds: Some(0.5),
        ..Figures::default()
    };
    Report::new(findings, figures, strict)
}

#[test]
fn what_fails_comes_first_and_decides() {
    let unknown = |check| Finding::unknown(check, "no answer");
    let fails = |check| Finding::fails(check, "it is so", "make it otherwise");
    for (strict, findings, able, first) in [
        (false, vec![], true, "✔ nodes            nodeCount is 1\n"),
        (true, vec![], true, "✔ nodes"),
        (
            false,
            vec![unknown(Check::Versions)],
            true,
            "? versions         no answer\n",
        ),
        (true, vec![unknown(Check::Versions)], false, "? versions"),
        (false, vec![unknown(Check::Snapshot)], false, "? snapshot"),
        (
            false,
            vec![
                unknown(Check::Environment),
                fails(Check::Alert),
                fails(Check::EncryptionKey),
            ],
            false,
            "✖ encryption-key   it is so; make it otherwise\n✖ alert            it is so; make it otherwise\n? environment      no answer\n✔ nodes",
        ),
    ] {
        let report = report(strict, findings);
        assert_eq!(report.able, able, "{report:?}");
        let text = report.text();
        assert!(text.starts_with(first), "{text}");
        let last = "RPO now 1.2 s · expected recovery 0.50 s · snapshot {epoch=1 offset=23} · 2 repositories, 7 segments\n";
        assert!(text.ends_with(last), "{text}");
    }
}

#[test]
fn json_has_names_and_numbers() {
    let report = report(false, vec![Finding::fails(Check::OwnBucket, "a", "b")]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["able"], false);
    assert_eq!(
        json["findings"][0],
        serde_json::json!({ "check": "own-bucket", "outcome": "fails", "sentence": "a", "next": "b" })
    );
    assert_eq!(json["figures"]["snapshot"]["offset"], 23);
    assert_eq!(json["figures"]["newestEventAgeSeconds"], 1.25);
    assert_eq!(json["figures"]["loadSeconds"], serde_json::Value::Null);
}

#[test]
fn metrics_have_what_is_known() {
    let report = report(false, vec![Finding::unknown(Check::Versions, "no answer")]);
    let text = report.prometheus().unwrap();
    for line in [
        "backstay_verify_able 1",
        "backstay_verify_timestamp_seconds 1700000000.5",
        "backstay_verify_check{check=\"versions\",outcome=\"unknown\"} 1",
        "backstay_verify_check{check=\"versions\",outcome=\"ok\"} 0",
        "backstay_verify_check{check=\"nodes\",outcome=\"ok\"} 1",
        "backstay_verify_newest_event_age_seconds 1.25",
        "backstay_verify_segments 7.0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    assert!(!text.contains("load_seconds"), "{text}");
    backstay_testkit::promtool::check(&text);
}

#[test]
fn names_are_the_same_everywhere() {
    let mut names: Vec<&str> = Check::ALL.map(Check::as_str).to_vec();
    for check in Check::ALL {
        assert_eq!(serde_json::to_value(check).unwrap(), check.as_str());
    }
    for outcome in [Outcome::Ok, Outcome::Fails, Outcome::Unknown] {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Check::ALL.len());
}
