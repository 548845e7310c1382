//! What Azure shows.

use backstay_azure::{
    Endpoint, MetricAlert, Profile, ReportedMonitor, ReportedMonitorStatus, Switch,
};
use backstay_pair::{Pair, Side, derive};

use super::{as_any, fails, is_ok, pair};
use crate::checks::{alert, endpoints, traffic_manager};
use crate::fact::Fact;

fn profile(pair: &Pair) -> Profile {
    let manager = &pair.traffic_manager;
    let endpoints = Side::BOTH.map(|side| {
        let derived = derive(pair, side, side.usual(), false).endpoint.unwrap();
        Endpoint {
            // Azure is not particular about cases.
            id: manager
                .endpoint_id(side)
                .to_uppercase()
                .replacen("/SUBSCRIPTIONS", "/subscriptions", 1)
                .parse()
                .unwrap(),
            status: Switch::Enabled,
            monitor_status: ReportedMonitorStatus::Online,
            target: derived.target,
            priority: Some(derived.priority),
            etag: None,
        }
    });
    Profile {
        id: manager.profile_id().parse().unwrap(),
        status: Switch::Enabled,
        fqdn: "logscale.trafficmanager.net".to_owned(),
        ttl: manager.ttl,
        routing_method: "Priority".to_owned(),
        monitor: ReportedMonitor {
            protocol: "HTTPS".to_owned(),
            port: u32::from(manager.probe_port),
            path: Some(manager.probe_path.clone()),
            interval_in_seconds: Some(manager.interval),
            timeout_in_seconds: Some(manager.timeout),
            tolerated_number_of_failures: Some(manager.tolerated_failures),
        },
        endpoints: endpoints.to_vec(),
        etag: None,
    }
}

#[test]
fn endpoints_are_enabled_and_in_order() {
    let pair = pair();
    let judge = |fact: &Fact<Profile>| endpoints(&pair, fact);
    let changed = |change: &dyn Fn(&mut Profile)| {
        let mut profile = profile(&pair);
        change(&mut profile);
        judge(&Fact::Is(profile))
    };
    is_ok(&changed(&|_| {}));
    is_ok(&changed(&|it| it.endpoints.reverse()));
    let disabled = changed(&|it| it.endpoints[0].status = Switch::Disabled);
    fails(&disabled, "endpoint primary is disabled");
    let disabled = changed(&|it| it.endpoints[1].status = Switch::Disabled);
    fails(&disabled, "endpoint secondary is disabled");
    fails(
        &changed(&|it| it.endpoints[0].priority = Some(3)),
        "priority 3 instead of 1",
    );
    fails(
        &changed(&|it| it.endpoints[1].priority = None),
        "priority none instead of 2",
    );
    let target = changed(&|it| it.endpoints[1].target = "elsewhere.example.com".to_owned());
    fails(&target, "target elsewhere.example.com instead of");
    fails(
        &changed(&|it| drop(it.endpoints.pop())),
        "there is no endpoint secondary",
    );
    as_any(judge);
}

#[test]
fn the_profile_is_as_derived() {
    let pair = pair();
    let judge = |fact: &Fact<Profile>| traffic_manager(&pair, fact);
    let changed = |change: &dyn Fn(&mut Profile)| {
        let mut profile = profile(&pair);
        change(&mut profile);
        judge(&Fact::Is(profile))
    };
    is_ok(&changed(&|_| {}));
    fails(&changed(&|it| it.ttl = 300), "TTL 300 instead of 60");
    fails(
        &changed(&|it| it.routing_method = "Weighted".to_owned()),
        "Weighted",
    );
    fails(
        &changed(&|it| it.status = Switch::Disabled),
        "the profile is disabled",
    );
    fails(
        &changed(&|it| it.monitor.interval_in_seconds = None),
        "interval none",
    );
    fails(
        &changed(&|it| it.monitor.tolerated_number_of_failures = Some(9)),
        "tolerated failures 9",
    );
    fails(
        &changed(&|it| it.monitor.timeout_in_seconds = Some(7)),
        "timeout 7",
    );
    fails(&changed(&|it| it.monitor.port = 80), "port 80");
    fails(
        &changed(&|it| it.monitor.protocol = "HTTP".to_owned()),
        "probes by HTTP",
    );
    fails(&changed(&|it| it.monitor.path = None), "another path");
    as_any(judge);
}

#[test]
fn the_alert_is_enabled_and_calls() {
    let pair = pair();
    let judge = |fact: &Fact<MetricAlert>| alert(&pair, fact);
    let changed = |change: &dyn Fn(&mut MetricAlert)| {
        let mut alert = MetricAlert {
            id: pair.alert_id().parse().unwrap(),
            enabled: true,
            scopes: vec![pair.traffic_manager.profile_id().to_lowercase()],
            action_groups: vec!["/other".to_owned(), pair.action_group_id()],
        };
        change(&mut alert);
        judge(&Fact::Is(alert))
    };
    is_ok(&changed(&|_| {}));
    fails(&changed(&|it| it.enabled = false), "is disabled");
    fails(&changed(&|it| it.scopes.clear()), "does not watch");
    fails(
        &changed(&|it| it.action_groups.truncate(1)),
        "does not call",
    );
    as_any(judge);
}
