//! The chain from the traffic manager's alert to the watch.

use std::process::Command;

use backstay_pair::Side;
use serde_json::Value;

use crate::control::{Watch, arm_at, json};
use crate::world::{Logs, World, no_kubectl, region};

const SECRET: &str = "a-secret-that-nobody-guesses";

#[test]
fn the_traffic_managers_alert_reaches_it_and_nobody_elses_does() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let secret = world.lab().join("alert-secret");
    std::fs::write(&secret, SECRET).unwrap();
    let told = [
        ("BACKSTAY_WEBHOOK", "127.0.0.1:0"),
        ("BACKSTAY_LOG", "debug"),
        ("BACKSTAY_WEBHOOK_SECRET_FILE", secret.to_str().unwrap()),
    ];
    let watch = Watch::start(&world, "watch", &told);
    watch.until_state("healthy");
    let door = watch.webhook();
    for (code, status) in [("", "401"), ("?code=wrong", "403")] {
        let answer = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST"])
            .arg(format!("{door}{code}"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.stdout), status);
    }
    let group: Value = serde_json::json!({ "location": "Global", "properties": {
        "groupShortName": "dr-failover",
        "enabled": true,
        "webhookReceivers": [{
            "name": "watch",
            "serviceUri": format!("{door}?code={SECRET}"),
            "useCommonAlertSchema": true,
        }],
    } });
    let path = "resourceGroups/lab-secondary/providers/Microsoft.Insights/actionGroups/\
                lab-dr-failover-actions";
    arm_at(&world, "PUT", path, "2023-01-01", Some(&group.to_string()));
    // The chain is tried out, and nobody acts on it.
    let (told, _) = json(&world, &["verify", "--notify"]);
    let findings = told["findings"].as_array().unwrap();
    let chain = findings.iter().find(|it| it["check"] == "alert-chain");
    assert_eq!(chain.unwrap()["outcome"], "ok", "{told:#}");
    watch.until_metric(r#"backstay_webhook_messages_total{result="tested"} 1"#);
    watch.until_metric(r#"backstay_webhook_messages_total{result="ignored"} 0"#);
    // The region's beginning may have fired one, which nobody was told of; it must be over, or there
    // is no other.
    world.until_status(|status| {
        let log = std::fs::read_to_string(world.lab().join("logs/traffic.log")).unwrap();
        let count = |condition: &str| log.matches(condition).count();
        let online = region(status, Side::Primary)["endpoint"][1] == "Online";
        online && count("condition=\"Fired\"") == count("condition=\"Resolved\"")
    });
    world.done(&["lab", "kill-region", "primary"]);
    let woke = r#"backstay_webhook_messages_total{result="woke"} "#;
    watch.until("an alert", |_| {
        let metrics = watch.metrics();
        let mut lines = metrics.lines();
        lines.any(|it| it.starts_with(woke) && !it.ends_with(" 0"))
    });
    watch.until_metric(r#"backstay_webhook_messages_total{result="forbidden"} 1"#);
    watch.until_state("failed-over");
    let log = watch.log();
    assert!(log.contains("an alert woke us"), "{log}");
    assert!(!log.contains(SECRET), "the secret is in the log");
    world.down();
}
