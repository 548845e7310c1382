#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn ready(holds: bool, message: &str) -> Condition {
    Condition {
        kind: "Ready",
        holds,
        reason: "Because",
        message: message.to_owned(),
    }
}

#[test]
fn a_moment_changes_only_with_the_condition() {
    let (first, later) = (
        DateTime::from_timestamp(1000, 0).unwrap(),
        DateTime::from_timestamp(2000, 0).unwrap(),
    );
    let other = json!({ "conditions": [{ "type": "Other", "status": "True" }] });
    let made = json!({ "conditions": with(&other, &[ready(false, "a")], first) });
    assert_eq!(array(&made, "/conditions").len(), 2);
    assert!(holds(&made, "Other") && !holds(&made, "Ready"));

    let same = json!({ "conditions": with(&made, &[ready(false, "a")], later) });
    assert_eq!(same, made);
    let told = json!({ "conditions": with(&made, &[ready(false, "b")], later) });
    let since = |status: &Value| text(status, "/conditions/1/lastTransitionTime").to_owned();
    assert_eq!(since(&told), timestamp(first));
    let turned = json!({ "conditions": with(&told, &[ready(true, "b")], later) });
    assert_eq!(since(&turned), timestamp(later));
    assert!(holds(&turned, "Ready"));
}
