#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kind::find;

fn pods() -> &'static Kind {
    find("", "v1", "pods").unwrap()
}

fn matches(labels: &str, fields: &str) -> bool {
    let pod = json!({
        "metadata": { "name": "a", "namespace": "n", "labels": { "app": "humio", "count": "7", "empty": "" } },
        "status": { "phase": "Running" },
    });
    Selector::parse(pods(), labels, fields)
        .unwrap()
        .matches(&pod)
}

#[test]
fn labels() {
    for (selector, expected) in [
        ("", true),
        ("app=humio", true),
        ("app==humio", true),
        ("app = humio , count", true),
        ("app!=humio", false),
        ("other!=humio", true),
        ("app in (x, humio)", true),
        ("app notin (x,humio)", false),
        ("other notin (x)", true),
        ("app", true),
        ("!app", false),
        ("!other", true),
        ("count>6", true),
        ("count>7", false),
        ("count<8", true),
        ("app>1", false),
        ("empty=", true),
        ("empty in (,x)", true),
        ("strimzi.io/cluster", false),
        ("app.kubernetes.io/name=humio", false),
    ] {
        assert_eq!(matches(selector, ""), expected, "{selector}");
    }
}

#[test]
fn fields() {
    for (selector, expected) in [
        ("metadata.name=a", true),
        ("metadata.name!=a", false),
        ("metadata.name==a,metadata.namespace=n", true),
        ("status.phase=Pending", false),
        ("spec.nodeName=", true),
        ("spec.nodeName!=", false),
    ] {
        assert_eq!(matches("", selector), expected, "{selector}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for labels in [
        "a in",
        "a in (",
        "(a)",
        "a in (b))",
        "=",
        "-a",
        "a>x",
        "a=b c",
        "a in (b) c",
        "/x",
    ] {
        let error = Selector::parse(pods(), labels, "").unwrap_err();
        assert_eq!(error.code, 400, "{labels}");
    }
    for fields in ["spec.image=x", "metadata.name"] {
        let error = Selector::parse(pods(), "", fields).unwrap_err();
        assert_eq!(error.code, 400, "{fields}");
    }
    let nodes = find("", "v1", "nodes").unwrap();
    assert!(Selector::parse(nodes, "", "metadata.namespace=x").is_err());
}

proptest! {
    #[test]
    fn any_text_is_a_selector_or_an_error(labels in "\\PC{0,40}", fields in "\\PC{0,40}") {
        if let Ok(selector) = Selector::parse(pods(), &labels, &fields) {
            let _ = selector.matches(&json!({ "metadata": { "labels": { "a": "b" } } }));
        }
    }

    #[test]
    fn nearly_selectors_too(labels in "[a-c=!<>(), /in.not-]{0,24}") {
        let _ = Selector::parse(pods(), &labels, "");
    }
}
