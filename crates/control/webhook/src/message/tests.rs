#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The sample of Azure's page, with the time of a Fired or a Resolved alert.
pub(crate) fn sample(condition: &str) -> Value {
    json!({
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": "/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts/b9569717-bc32-442f-add5-83a997729330",
                "alertRule": "WCUS-R2-Gen2",
                "severity": "Sev3",
                "signalType": "Metric",
                "monitorCondition": condition,
                "monitoringService": "Platform",
                "alertTargetIDs": [
                    "/subscriptions/5e55/resourcegroups/pipelinealertrg/providers/microsoft.compute/virtualmachines/wcus-r2-gen2"
                ],
                "configurationItems": ["wcus-r2-gen2"],
                "originAlertId": "3f2d4487-b0fc-4125-8bd5-7ad17384221e_PipeLineAlertRG_microsoft.insights_metricAlerts_WCUS-R2-Gen2_-117781227",
                "firedDateTime": "2019-03-22T13:58:24.3713213Z",
                "resolvedDateTime": "2019-03-22T14:03:16.2246313Z",
                "description": "",
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0"
            },
            "alertContext": {
                "properties": null,
                "conditionType": "SingleResourceMultipleMetricCriteria",
                "condition": { "windowSize": "PT5M", "allOf": [] }
            },
            "customProperties": { "Key1": "Value1" }
        }
    })
}

fn parse(value: &Value) -> Result<Message, Malformed> {
    Message::parse(value.to_string().as_bytes())
}

#[test]
fn azures_own_sample_is_understood() {
    let message = parse(&sample("Resolved")).unwrap();
    assert!(message.id.ends_with("b9569717-bc32-442f-add5-83a997729330"));
    assert_eq!(message.rule, "WCUS-R2-Gen2");
    assert_eq!(message.rule_id, None);
    assert_eq!(message.condition, Condition::Resolved);
    assert_eq!(message.severity.as_deref(), Some("Sev3"));
    assert_eq!(message.signal.as_deref(), Some("Metric"));
    assert_eq!(message.targets.len(), 1);
    assert_eq!(
        message.at().to_rfc3339(),
        "2019-03-22T14:03:16.224631300+00:00"
    );
    let fired = parse(&sample("Fired")).unwrap();
    assert_eq!(
        fired.at().to_rfc3339(),
        "2019-03-22T13:58:24.371321300+00:00"
    );
}

#[test]
fn what_is_optional_may_be_missing_or_null() {
    let mut bare = sample("Resolved");
    let essentials = bare["data"]["essentials"].as_object_mut().unwrap();
    for name in [
        "severity",
        "signalType",
        "alertTargetIDs",
        "resolvedDateTime",
    ] {
        essentials.insert(name.to_owned(), Value::Null);
    }
    essentials.remove("configurationItems");
    let message = parse(&bare).unwrap();
    assert_eq!(message.at(), message.fired);
    assert!(message.targets.is_empty());
}

#[test]
fn errors_say_where_and_quote_nothing() {
    let long = "s3cret".repeat(200);
    let cases = [
        ("/schemaId", json!("s3cret"), "schemaId: not azureMonitor"),
        ("/data", json!("s3cret"), "data.essentials: missing"),
        (
            "/data/essentials",
            json!(["s3cret"]),
            "data.essentials: missing",
        ),
        (
            "/data/essentials/alertId",
            json!(""),
            "data.essentials.alertId: missing",
        ),
        (
            "/data/essentials/alertId",
            json!(long),
            "data.essentials.alertId: longer than 1024",
        ),
        (
            "/data/essentials/alertRule",
            Value::Null,
            "data.essentials.alertRule: missing",
        ),
        (
            "/data/essentials/alertRule",
            json!(["s3cret"]),
            "data.essentials.alertRule: no text",
        ),
        (
            "/data/essentials/alertRule",
            json!("s3cret\n2026 INFO"),
            "alertRule: control char",
        ),
        (
            "/data/essentials/monitorCondition",
            json!("s3cret"),
            "monitorCondition: neither",
        ),
        (
            "/data/essentials/firedDateTime",
            json!("s3cret"),
            "firedDateTime: no time",
        ),
        (
            "/data/essentials/firedDateTime",
            Value::Null,
            "firedDateTime: missing",
        ),
        (
            "/data/essentials/resolvedDateTime",
            json!(3),
            "resolvedDateTime: no text",
        ),
        (
            "/data/essentials/alertTargetIDs",
            json!("s3cret"),
            "alertTargetIDs: no list",
        ),
        (
            "/data/essentials/alertTargetIDs",
            json!([1]),
            "alertTargetIDs: no text",
        ),
    ];
    for (place, value, expected) in cases {
        let mut message = sample("Fired");
        *message.pointer_mut(place).unwrap() = value;
        let error = parse(&message).unwrap_err().to_string();
        assert!(error.contains(expected), "{place}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    let nested = format!("{}1", "[".repeat(100_000));
    let cases: [&[u8]; 6] = [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1] 2",
        b"s3cret",
        nested.as_bytes(),
    ];
    for body in cases {
        let error = Message::parse(body).unwrap_err().to_string();
        assert!(error.starts_with("the message: no JSON"), "{error}");
        assert!(error.contains("line 1"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let error = Message::parse(&vec![b' '; MAX_MESSAGE_BYTES + 1]).unwrap_err();
    assert!(error.to_string().contains("262144"), "{error}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(Value::from("Fired")),
        Just(Value::from("2026-11-25T00:00:00Z")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z]{1,12}", inner, 0..6).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(Message::parse(&body).is_err());
    }

    #[test]
    fn no_cut_or_changed_message_makes_it_panic(
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = sample("Fired").to_string().into_bytes();
        let length = body.len();
        prop_assert!(Message::parse(&body[..cut.index(length)]).is_err());
        body[at.index(length)] = byte;
        let _ = Message::parse(&body);
    }

    #[test]
    fn whatever_a_field_is_there_is_an_answer(value in any_json(), field in any::<prop::sample::Index>()) {
        let mut message = sample("Resolved");
        let essentials = message["data"]["essentials"].as_object_mut().unwrap();
        let names: Vec<_> = essentials.keys().cloned().collect();
        essentials.insert(names[field.index(names.len())].clone(), value.clone());
        let _ = parse(&message);
        let _ = parse(&value);
    }

    #[test]
    fn fields_that_are_new_to_us_change_nothing(value in any_json(), name in "[a-z]{3,9}Extra") {
        let plain = sample("Fired");
        let mut more = plain.clone();
        for place in ["", "/data", "/data/essentials", "/data/alertContext"] {
            more.pointer_mut(place).unwrap()[&name] = value.clone();
        }
        prop_assert_eq!(parse(&more), parse(&plain));
    }
}
