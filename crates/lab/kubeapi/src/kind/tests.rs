#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::*;

#[test]
fn every_row_is_complete_and_told_apart() {
    let mut names = BTreeSet::new();
    for kind in &KINDS {
        assert!(!kind.kind.is_empty() && !kind.version.is_empty());
        let parsed: Value = serde_json::from_str(kind.defaults).unwrap();
        assert!(parsed.is_object(), "{}", kind.kind);
        assert_eq!(kind.default_fields(), parsed.as_object().unwrap());
        for name in [kind.plural, kind.kind]
            .into_iter()
            .chain(kind.short_names.iter().copied())
        {
            assert!(names.insert(name), "{name} twice");
        }
        for pointer in kind.required.iter().chain(kind.immutable) {
            assert!(pointer.starts_with('/'), "{pointer}");
        }
        assert!(std::ptr::eq(
            find(kind.group, kind.version, kind.plural).unwrap(),
            kind
        ));
    }
}

#[test]
fn wide_columns_come_last_and_cells_show_something_of_nothing() {
    for kind in &KINDS {
        let wide: Vec<bool> = kind.all_columns().map(|column| column.wide).collect();
        assert!(wide.is_sorted(), "{}: {wide:?}", kind.kind);
        for column in kind.all_columns() {
            let _ = column.cell.show(&json!({}), Utc::now());
            let _ = column.cell.show(&json!([1]), Utc::now());
        }
    }
}

#[test]
fn ages_are_written_as_kubectl_writes_them() {
    let now = Utc::now();
    for (seconds, written) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (600, "10m"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (3 * 86_400 + 7200, "3d2h"),
        (30 * 86_400, "30d"),
        (800 * 86_400, "2y70d"),
    ] {
        let moment = (now - TimeDelta::seconds(seconds)).to_rfc3339();
        assert_eq!(columns::age(&moment, now), written);
    }
    assert_eq!(columns::age("yesterday", now), "<unknown>");
}

#[test]
fn a_pod_shows_why_it_is_not_running() {
    let status = |pod: Value| columns::pod_status(&pod);
    let waiting = json!({ "status": {
        "phase": "Running",
        "containerStatuses": [{ "state": { "waiting": { "reason": "CrashLoopBackOff" } } }],
    }});
    assert_eq!(status(waiting), "CrashLoopBackOff");
    let ended = json!({ "status": {
        "phase": "Failed",
        "containerStatuses": [{ "state": { "terminated": { "exitCode": 3 } } }],
    }});
    assert_eq!(status(ended), "ExitCode:3");
    let ending = json!({
        "metadata": { "deletionTimestamp": "2030-01-01T00:00:00Z" },
        "status": { "phase": "Running" },
    });
    assert_eq!(status(ending), "Terminating");
}

#[test]
fn an_ingress_shows_its_hosts_address_and_ports() {
    let rules = |hosts: &[&str]| {
        let rules: Vec<Value> = hosts
            .iter()
            .map(|host| match *host {
                "" => json!({ "http": {} }),
                host => json!({ "host": host }),
            })
            .collect();
        columns::ingress_hosts(&json!({ "spec": { "rules": rules } }))
    };
    assert_eq!(rules(&[]), "*");
    assert_eq!(rules(&[""]), "*");
    assert_eq!(rules(&["a", "", "b"]), "a,b");
    assert_eq!(rules(&["a", "b", "c", "d", ""]), "a,b,c + 2 more...");
    let ingress = json!({
        "spec": { "tls": [{ "secretName": "s" }] },
        "status": { "loadBalancer": { "ingress": [{ "ip": "127.0.0.2" }, { "hostname": "h" }] } },
    });
    assert_eq!(columns::ingress_address(&ingress), "127.0.0.2,h");
    assert_eq!(columns::ingress_ports(&ingress), "80, 443");
    assert_eq!(columns::ingress_address(&json!({})), "");
    assert_eq!(columns::ingress_ports(&json!({})), "80");
}
