//! The traffic manager and the alert, against what follows from the pair's file.

use backstay_azure::{Endpoint, MetricAlert, Profile, Switch};
use backstay_pair::{Pair, Protocol, Side, derive};

use crate::fact::Fact;
use crate::finding::{Check, Finding};

const APPLY: &str = "correct it, with Terraform or in the portal";

/// Both endpoints, in their order, enabled: the primary's so that it serves, the secondary's so
/// that it can.
pub(crate) fn endpoints(pair: &Pair, found: &Fact<Profile>) -> Finding {
    let check = Check::Endpoints;
    found.judge(check, "create the profile", |profile| {
        let mut wrong = Vec::new();
        for side in Side::BOTH {
            let Some(wanted) = derive(pair, side, side.usual(), false).endpoint else {
                continue;
            };
            let named = |it: &&Endpoint| it.id.name().eq_ignore_ascii_case(&wanted.name);
            let Some(endpoint) = profile.endpoints.iter().find(named) else {
                wrong.push(format!("there is no endpoint {}", wanted.name));
                continue;
            };
            if endpoint.status != Switch::Enabled {
                wrong.push(format!("endpoint {} is disabled", wanted.name));
            }
            if endpoint.priority != Some(wanted.priority) {
                let found = endpoint
                    .priority
                    .map_or("none".to_owned(), |it| it.to_string());
                wrong.push(format!(
                    "endpoint {}: priority {found} instead of {}",
                    wanted.name, wanted.priority
                ));
            }
            if !endpoint.target.eq_ignore_ascii_case(&wanted.target) {
                wrong.push(format!(
                    "endpoint {}: target {} instead of {}",
                    wanted.name, endpoint.target, wanted.target
                ));
            }
        }
        if wrong.is_empty() {
            return Finding::ok(check, "both are enabled, in their order");
        }
        Finding::fails(
            check,
            wrong.join("; "),
            format!(
                "{APPLY}; a disabled primary is enabled by a person only, when the failover is over"
            ),
        )
    })
}

/// What the profile says of all endpoints.
pub(crate) fn traffic_manager(pair: &Pair, found: &Fact<Profile>) -> Finding {
    let check = Check::TrafficManager;
    let manager = &pair.traffic_manager;
    found.judge(check, "create the profile", |profile| {
        let mut wrong = Vec::new();
        if profile.status != Switch::Enabled {
            wrong.push("the profile is disabled".to_owned());
        }
        if !profile.routing_method.eq_ignore_ascii_case("Priority") {
            wrong.push(format!(
                "it routes by {} instead of Priority",
                profile.routing_method
            ));
        }
        let monitor = &profile.monitor;
        let numbers = [
            ("TTL", Some(profile.ttl), manager.ttl),
            ("interval", monitor.interval_in_seconds, manager.interval),
            ("timeout", monitor.timeout_in_seconds, manager.timeout),
            (
                "tolerated failures",
                monitor.tolerated_number_of_failures,
                manager.tolerated_failures,
            ),
            (
                "probes' port",
                Some(monitor.port),
                u32::from(manager.probe_port),
            ),
        ];
        for (name, found, wanted) in numbers {
            if found != Some(wanted) {
                let found = found.map_or("none".to_owned(), |it| it.to_string());
                wrong.push(format!("{name} {found} instead of {wanted}"));
            }
        }
        let protocol = match manager.probe_protocol {
            Protocol::Http => "HTTP",
            Protocol::Https => "HTTPS",
        };
        if !monitor.protocol.eq_ignore_ascii_case(protocol) {
            wrong.push(format!(
                "probes by {} instead of {protocol}",
                monitor.protocol
            ));
        }
        if monitor.path.as_deref() != Some(manager.probe_path.as_str()) {
            wrong.push(format!("probes another path than {}", manager.probe_path));
        }
        if wrong.is_empty() {
            let sentence = format!("routes by priority with a TTL of {} s", profile.ttl);
            return Finding::ok(check, sentence);
        }
        Finding::fails(check, wrong.join("; "), APPLY)
    })
}

/// The alert that wakes a failover. Whether it reaches anybody is not seen here.
pub(crate) fn alert(pair: &Pair, found: &Fact<MetricAlert>) -> Finding {
    let check = Check::Alert;
    found.judge(check, "create the alert", |alert| {
        let has = |list: &[String], id: &str| list.iter().any(|it| it.eq_ignore_ascii_case(id));
        let name = &pair.traffic_manager.alert_name;
        if !alert.enabled {
            let sentence = format!("{name} is disabled");
            return Finding::fails(
                check,
                sentence,
                "enable it: az monitor metrics alert update --enabled true",
            );
        }
        if !has(&alert.scopes, &pair.traffic_manager.profile_id()) {
            return Finding::fails(check, format!("{name} does not watch the profile"), APPLY);
        }
        if !has(&alert.action_groups, &pair.action_group_id()) {
            let group = &pair.traffic_manager.action_group;
            return Finding::fails(check, format!("{name} does not call {group}"), APPLY);
        }
        Finding::ok(check, format!("{name} is enabled"))
    })
}
