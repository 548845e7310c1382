use proptest::prelude::*;
use serde_json::{Value, json};

use super::{body, group, id, parsed, rule};
use crate::group::ActionGroup;
use crate::period::Period;
use crate::rule::MetricAlert;
use crate::store::{AlertsState, Configured, Surroundings};
use backstay_traffic_profile::MonitorLimits;

#[test]
fn what_is_shown_can_be_sent_back() {
    let rule = parsed(body());
    assert_eq!(parsed(rule.json()), rule);
    let shown = rule.json();
    assert_eq!(
        shown["properties"]["criteria"],
        body()["properties"]["criteria"]
            .as_object()
            .map(|it| {
                let mut all = it.clone();
                all["allOf"][0]["threshold"] = json!(1.0);
                Value::Object(all)
            })
            .unwrap()
    );
    assert_eq!(shown["type"], "Microsoft.Insights/metricAlerts");
    let group = group(json!({
        "webhookReceivers": [{
            "name": "w", "serviceUri": "https://example.net/hook?code=s3cret",
            "useCommonAlertSchema": true, "identifierUri": "",
        }],
        "azureFunctionReceivers": [{
            "name": "f", "functionAppResourceId": "/x", "functionName": "failover",
            "httpTriggerUrl": "https://example.net/api/failover", "useCommonAlertSchema": true,
        }],
        "emailReceivers": [{ "name": "e", "emailAddress": "ops@example.net" }],
        "smsReceivers": [],
    }));
    assert_eq!(ActionGroup::parse(id("G"), group.json()).unwrap(), group);
    assert_eq!(group.json()["properties"]["emailReceivers"][0]["name"], "e");
    let called: Vec<_> = group.called().map(|it| it.name.as_str()).collect();
    assert_eq!(called, ["w", "f"]);
    let warnings = group.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("emailReceivers: kept, but nobody is told"));
    assert!(!format!("{group:?}").contains("s3cret"));
}

#[test]
fn defaults_are_azures() {
    let mut body = body();
    let properties = body["properties"].as_object_mut().unwrap();
    for optional in ["enabled", "autoMitigate", "actions", "description"] {
        properties.remove(optional);
    }
    body.as_object_mut().unwrap().remove("tags");
    let rule = parsed(body);
    assert!(rule.enabled && rule.auto_mitigate && rule.actions.is_empty());
    assert_eq!(rule.warnings().len(), 1);
}

#[test]
fn what_azure_refuses_or_we_do_not_have_is_refused_with_its_name() {
    type Change = fn(&mut Value);
    let table: [(Change, &str); 22] = [
        (|it| it["severity"] = json!(5), "severity is 5"),
        (
            |it| it["severity"] = json!(null),
            "'properties.severity' is missing",
        ),
        (|it| it["scopes"] = json!([]), "has 0 resources"),
        (
            |it| it["scopes"] = json!(["/subscriptions/S"]),
            "is not a valid resource id",
        ),
        (
            |it| it["evaluationFrequency"] = json!("PT2M"),
            "it is one of PT1M, PT5M",
        ),
        (
            |it| it["evaluationFrequency"] = json!("5m"),
            "no ISO 8601 duration",
        ),
        (|it| it["windowSize"] = json!("P2D"), "windowSize is P2D"),
        (
            |it| it["evaluationFrequency"] = json!("PT15M"),
            "is longer than windowSize",
        ),
        (
            |it| it["criteria"] = json!(null),
            "'properties.criteria' is missing",
        ),
        (|it| it["criteria"]["allOf"] = json!([]), "has 0 criteria"),
        (
            |it| {
                it["criteria"]["odata.type"] =
                    json!("Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria")
            },
            "are not offered",
        ),
        (
            |it| it["criteria"]["allOf"][0]["criterionType"] = json!("DynamicThresholdCriterion"),
            "only StaticThresholdCriterion",
        ),
        (
            |it| it["criteria"]["allOf"][0]["metricName"] = json!("QpsByEndpoint"),
            "'QpsByEndpoint'",
        ),
        (
            |it| it["criteria"]["allOf"][0]["metricNamespace"] = json!("x/y"),
            "is not offered",
        ),
        (
            |it| it["criteria"]["allOf"][0]["threshold"] = json!(null),
            "'threshold' is missing",
        ),
        (
            |it| it["criteria"]["allOf"][0]["operator"] = json!("Below"),
            "Below",
        ),
        (
            |it| it["criteria"]["allOf"][0]["timeAggregation"] = json!("Median"),
            "Median",
        ),
        (
            |it| it["criteria"]["allOf"][0]["dimensions"][0]["name"] = json!("Region"),
            "'Region'",
        ),
        (
            |it| it["criteria"]["allOf"][0]["dimensions"][0]["operator"] = json!("StartsWith"),
            "StartsWith",
        ),
        (
            |it| it["criteria"]["allOf"][0]["dimensions"][0]["values"] = json!([]),
            "values, not 0",
        ),
        (
            |it| it["actions"][0]["actionGroupId"] = json!("g"),
            "is not a valid resource id",
        ),
        (
            |it| {
                let mut second = it["criteria"]["allOf"][0].clone();
                second["name"] = json!("second");
                second["dimensions"][0]["values"] = json!(["*"]);
                it["criteria"]["allOf"].as_array_mut().unwrap().push(second);
            },
            "includes exactly one value",
        ),
    ];
    for (change, expected) in table {
        let mut body = body();
        change(&mut body["properties"]);
        let refused = MetricAlert::parse(id("Rule"), body, MonitorLimits::Azure).unwrap_err();
        assert!(
            refused.message.contains(expected),
            "{expected}: {}",
            refused.message
        );
    }
    let groups = [
        (json!({ "groupShortName": "thirteen-long" }), "1 to 12"),
        (json!({ "groupShortName": "" }), "1 to 12"),
        (
            json!({ "groupShortName": "g", "webhookReceivers": [{}] }),
            "no 'name'",
        ),
        (
            json!({ "groupShortName": "g", "webhookReceivers": [{ "name": "w", "serviceUri": "ftp://s3cret/" }] }),
            "is not an http or https URL",
        ),
        (
            json!({ "groupShortName": "g", "webhookReceivers": [
                { "name": "w", "serviceUri": "http://a/" }, { "name": "W", "serviceUri": "http://b/" },
            ] }),
            "two receivers",
        ),
    ];
    for (properties, expected) in groups {
        let body = json!({ "location": "global", "properties": properties });
        let refused = ActionGroup::parse(id("G"), body).unwrap_err();
        assert!(refused.message.contains(expected), "{}", refused.message);
        assert!(!refused.message.contains("s3cret"));
    }
}

/// What is newly referred to must exist; what was referred to before may be gone.
#[test]
fn a_rule_refers_to_what_there_is() {
    let rule = rule(|_| {});
    let around = |profiles: &[&str]| Surroundings {
        limits: MonitorLimits::Azure,
        profiles: profiles.iter().map(|it| it.to_ascii_lowercase()).collect(),
    };
    let (none, there) = (around(&[]), around(&[super::TARGET]));
    let mut state = AlertsState::default();
    let message = |it: Result<(), backstay_resource::Invalid>| it.unwrap_err().message;
    assert!(message(rule.check(None, &state, &none)).starts_with("scope"));
    assert!(message(rule.check(None, &state, &there)).starts_with("action group"));
    group(json!({})).keep(&mut state).unwrap();
    assert_eq!(rule.check(None, &state, &there), Ok(()));
    let mut off = rule.clone();
    off.enabled = false;
    assert_eq!(
        off.check(Some(&rule), &AlertsState::default(), &none),
        Ok(())
    );
}

#[test]
fn periods_are_iso_8601() {
    let table = [
        ("PT1S", Some(1)),
        ("PT1M", Some(60)),
        ("PT90S", Some(90)),
        ("PT1H30M", Some(5_400)),
        ("P1D", Some(86_400)),
        ("P1DT1S", Some(86_401)),
        ("PT0S", Some(0)),
        ("", None),
        ("P", None),
        ("PT", None),
        ("P1DT", None),
        ("PT1", None),
        ("1M", None),
        ("PT1M1M", None),
        ("PT1S1M", None),
        ("P1M", None),
        ("PT1.5S", None),
        ("PT-1S", None),
        ("PT99999999999S", None),
        ("P99999D", None),
    ];
    for (text, seconds) in table {
        let period = text.parse::<Period>().ok();
        assert_eq!(period, seconds.map(Period::seconds), "{text}");
    }
}

proptest! {
    #[test]
    fn a_period_is_read_as_it_is_written(seconds: u32) {
        let period = Period::seconds(seconds);
        prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
    }

    #[test]
    fn no_period_makes_it_panic(text in "(P|T|D|H|M|S|[0-9é.-]){0,12}") {
        let _ = text.parse::<Period>();
    }

    /// Any value anywhere in it is taken or refused.
    #[test]
    fn no_body_makes_it_panic(place in 0_usize..40, value in 0_usize..9) {
        let values = [
            json!(null), json!(-1), json!(1e300), json!("é/../"), json!([]), json!({}),
            json!([{}]), json!(true), json!({ "name": 1 }),
        ];
        let mut body = body();
        let mut left = place;
        replace(&mut body, &mut left, &values[value]);
        let _ = MetricAlert::parse(id("Rule"), body.clone(), MonitorLimits::Lab);
        let _ = ActionGroup::parse(id("G"), body);
    }
}

fn replace(value: &mut Value, left: &mut usize, by: &Value) {
    if *left == 0 {
        *value = by.clone();
    }
    *left = left.wrapping_sub(1);
    match value {
        Value::Object(map) => map.values_mut().for_each(|it| replace(it, left, by)),
        Value::Array(all) => all.iter_mut().for_each(|it| replace(it, left, by)),
        _ => {}
    }
}
