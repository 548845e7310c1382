#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::message::tests::sample;

const ID: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Insights/metricAlerts/dr-alert";

fn message(rule: &str, id: Option<&str>) -> Message {
    let mut message = Message::read(&sample("Fired")).unwrap();
    message.rule = rule.to_owned();
    message.rule_id = id.map(str::to_owned);
    message
}

#[test]
fn ids_decide_where_both_are_known_else_names() {
    let elsewhere = ID.replace("/dr/", "/other/");
    let lower = ID.to_lowercase();
    for (configured, said, id, expected) in [
        ("dr-alert", "dr-alert", None, true),
        ("dr-alert", "DR-Alert", None, true),
        ("dr-alert", "dr-alert", Some(elsewhere.as_str()), true),
        ("dr-alert", ID, None, true),
        ("dr-alert", "other-dr-alert", None, false),
        ("dr-alert", "dr-alert-2", Some(ID), false),
        (ID, "dr-alert", None, true),
        (ID, "dr-alert", Some(lower.as_str()), true),
        (ID, "dr-alert", Some(elsewhere.as_str()), false),
        (ID, &elsewhere, None, false),
        (ID, ID, None, true),
        (ID, "other", None, false),
        // What is no id says nothing.
        (ID, "dr-alert", Some("n/a"), true),
    ] {
        let rule: Rule = configured.parse().unwrap();
        let is = rule.is_of(&message(said, id));
        assert_eq!(is, expected, "{configured} {said} {id:?}");
    }
}

#[test]
fn what_names_no_rule_is_refused() {
    assert_eq!(" ".parse::<Rule>(), Err(RuleError::Empty));
    for text in ["/", "dr/alert", "https://example.net/x"] {
        let error = text.parse::<Rule>().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
