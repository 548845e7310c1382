#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Plan, Streak, url};

fn plan(probe: Value) -> Plan {
    Plan::of(&serde_json::from_value::<Probe>(probe).unwrap())
}

#[test]
fn what_is_not_said_or_nonsense_is_as_in_kubernetes() {
    for probe in [
        json!({}),
        json!({ "periodSeconds": 0, "timeoutSeconds": 0, "failureThreshold": -1, "initialDelaySeconds": -5 }),
    ] {
        let plan = plan(probe);
        assert_eq!(
            (plan.delay, plan.period),
            (Duration::ZERO, Duration::from_secs(10))
        );
        assert_eq!(
            (plan.timeout, plan.successes, plan.failures),
            (Duration::from_secs(1), 1, 3)
        );
    }
}

#[test]
fn so_many_in_a_row_decide() {
    let plan = plan(json!({ "successThreshold": 2, "failureThreshold": 3 }));
    let mut streak = Streak::default();
    let answers = [
        (true, None),
        (true, Some(true)),
        (true, Some(true)),
        (false, None),
        (false, None),
        (true, None),
        (false, None),
        (false, None),
        (false, Some(false)),
        (false, Some(false)),
    ];
    for (answer, decided) in answers {
        assert_eq!(streak.take(answer, &plan), decided);
    }
}

#[test]
fn a_container_is_asked_soon_at_first_and_by_its_period_later() {
    let plan = plan(json!({ "periodSeconds": 1 }));
    let waits: Vec<u128> = (0..6).map(|asked| plan.eager(asked).as_millis()).collect();
    assert_eq!(waits, [50, 100, 200, 400, 800, 1000]);
    assert_eq!(plan.eager(u32::MAX), plan.period);
}

#[test]
fn urls_are_those_of_the_pod() {
    let container: Container = serde_json::from_value(json!({
        "name": "humio", "ports": [{ "name": "http", "containerPort": 8080 }],
    }))
    .unwrap();
    let of = |get: Value| {
        let probe: Probe = serde_json::from_value(json!({ "httpGet": get })).unwrap();
        url(
            &probe.http_get.unwrap(),
            &container,
            Ipv4Addr::new(127, 71, 11, 2),
        )
    };
    for (get, expected) in [
        (
            json!({ "port": 8080, "path": "/api/v1/status" }),
            Ok("http://127.71.11.2:8080/api/v1/status"),
        ),
        (json!({ "port": "http" }), Ok("http://127.71.11.2:8080/")),
        (
            json!({ "port": "8443", "scheme": "HTTPS", "path": "healthz" }),
            Ok("https://127.71.11.2:8443/healthz"),
        ),
        (
            json!({ "port": 80, "host": "127.0.0.1" }),
            Ok("http://127.0.0.1:80/"),
        ),
        (
            json!({ "port": "https" }),
            Err("the container has no port \"https\""),
        ),
        (
            json!({ "port": 0 }),
            Err("0 is not a valid port: use one of 1 to 65535"),
        ),
        (
            json!({ "port": 70000 }),
            Err("70000 is not a valid port: use one of 1 to 65535"),
        ),
        (
            json!({ "port": 1, "scheme": "FTP" }),
            Err("scheme \"FTP\" is neither HTTP nor HTTPS"),
        ),
    ] {
        assert_eq!(
            of(get).map_err(|error| error.to_string()),
            expected.map(str::to_owned).map_err(str::to_owned)
        );
    }
}

proptest! {
    /// Only a run of the needed length decides, and it says what the run says.
    #[test]
    fn a_decision_is_the_run_before_it(
        answers in prop::collection::vec(any::<bool>(), 0..40),
        successes in 1_u32..4,
        failures in 1_u32..4,
    ) {
        let plan = plan(json!({ "successThreshold": successes, "failureThreshold": failures }));
        let mut streak = Streak::default();
        for (at, answer) in answers.iter().enumerate() {
            let decided = streak.take(*answer, &plan);
            let run = answers[..=at].iter().rev().take_while(|other| *other == answer).count();
            let needed = if *answer { successes } else { failures } as usize;
            prop_assert_eq!(decided, (run >= needed).then_some(*answer));
        }
    }
}
