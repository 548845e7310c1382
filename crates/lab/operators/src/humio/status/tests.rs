#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn pool(update: UpdateType, count: usize, pods: &[(&str, &str, Life)]) -> PoolState {
    let each = pods.iter().enumerate();
    PoolState {
        name: "logscale".to_owned(),
        wanted: Wanted {
            count,
            hash: "new".to_owned(),
            update,
            at_a_time: 1,
        },
        image: "registry:5000/backstay/node:2".to_owned(),
        revision: 4,
        pods: each
            .map(|(at, (hash, image, life))| PodState {
                seen: Seen {
                    name: format!("p{at}"),
                    hash: (*hash).to_owned(),
                    life: *life,
                    is_young: false,
                    made: 0,
                },
                image: format!("registry:5000/backstay/node:{image}"),
                node: "aks-a-0".to_owned(),
                claim: String::new(),
            })
            .collect(),
    }
}

#[test]
fn the_state_of_a_cluster() {
    use Life::{Ready, Terminating, Unready};
    let all = UpdateType::ReplaceAllOnUpdate;
    for (before, strategy, pods, expected) in [
        ("", all, vec![], "Pending"),
        ("", all, vec![("new", "2", Unready)], "Pending"),
        ("Pending", all, vec![("new", "2", Ready)], "Running"),
        ("Running", all, vec![("new", "2", Unready)], "Pending"),
        (
            "Running",
            all,
            vec![("old", "2", Terminating)],
            "Restarting",
        ),
        ("Restarting", all, vec![], "Restarting"),
        ("Restarting", all, vec![("new", "2", Unready)], "Restarting"),
        ("Restarting", all, vec![("new", "2", Ready)], "Running"),
        ("Running", all, vec![("old", "1", Ready)], "Upgrading"),
        ("Upgrading", all, vec![("new", "2", Unready)], "Upgrading"),
        ("ConfigError", all, vec![("new", "2", Ready)], "Running"),
        (
            "Running",
            UpdateType::OnDelete,
            vec![("old", "1", Ready)],
            "Running",
        ),
        (
            "Running",
            UpdateType::OnDelete,
            vec![("old", "1", Unready)],
            "Running",
        ),
    ] {
        let pools = [pool(strategy, 1, &pods)];
        assert_eq!(state(before, &pools), expected, "{before} {pods:?}");
    }
}

#[test]
fn a_status_counts_and_names() {
    let pods = [("new", "2", Life::Ready), ("old", "1", Life::Ready)];
    let status = of(&json!({}), 7, &[pool(UpdateType::OnDelete, 2, &pods)]);
    assert_eq!(status["state"], "Running");
    assert_eq!(status["nodeCount"], 2);
    assert_eq!(status["observedGeneration"], "7");
    assert_eq!(status["version"], "2");
    assert_eq!(status["podStatus"][1]["podName"], "p1");
    assert!(text(&status, "/message").contains("1 are of an older specification; delete them"));
    let refused = refused(&status, 8, "spec: why");
    assert_eq!(refused["state"], "ConfigError");
    assert_eq!(refused["message"], "spec: why");
    assert_eq!(refused["nodeCount"], 2);
}

#[test]
fn a_revision_grows_with_each_change() {
    let status = of(&json!({}), 1, &[pool(UpdateType::OnDelete, 0, &[])]);
    assert_eq!(revision(&status, "logscale", "new"), 4);
    assert_eq!(revision(&status, "logscale", "other"), 5);
    assert_eq!(revision(&status, "another", "new"), 1);
    assert_eq!(revision(&json!(null), "logscale", "new"), 1);
}
