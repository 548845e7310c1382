//! A watch that is killed at any of its steps leaves nothing that the next one does not bring to the
//! same end.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clients::Client;
use crate::ended::{enable, is_failed_over};
use crate::marks::{events, run, watch};
use crate::world::{Logs, World, no_kubectl};

/// Acknowledged before the primary dies, at least.
const EVENTS: usize = 200;

/// Something that happens while no watch lives.
type Meanwhile = Option<fn(&World)>;

/// Where each watch dies, the first one first.
type Deaths = [(&'static str, Meanwhile)];

/// Until the run is on record, and in the middle of the seal.
const BEGINNING: &Deaths = &[
    ("failover.marks.before_write", None),
    ("failover.marks.after_write", None),
    ("failover.lock.after_take", None),
    ("failover.begin.before_write", None),
    ("failover.begin.after_write", None),
    ("journal.seal.before_put", None),
    ("journal.seal.after_put", None),
];

/// Until the operator runs.
const SEALING: &Deaths = &[
    ("failover.seal.before", None),
    ("failover.seal.after", None),
    ("failover.operator.before", None),
    ("failover.operator.after", None),
];

/// What runs beside the seal, and the end. Whoever died before may have disabled the endpoint, so it
/// is enabled again.
const BESIDE: &Deaths = &[
    ("failover.clean.before", Some(stale_secret)),
    ("failover.clean.after", None),
    ("failover.disable.before", Some(enable)),
    ("failover.disable.after", Some(enable)),
    ("failover.finish.before", None),
    ("failover.finish.after", None),
];

const STALE: &str = "kubectl --context aks-secondary -n logging get secret of-an-earlier-life";

/// A secret of an earlier life, without the authority that it trusts.
fn stale_secret(world: &World) {
    let secret = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": "of-an-earlier-life",
            "labels": {
                "app.kubernetes.io/managed-by": "humio-operator",
                "app.kubernetes.io/instance": "logscale",
            },
        },
        "stringData": { "tls.crt": "not one", "tls.key": "not one" },
    });
    let path = world.lab().join("stale.json");
    std::fs::write(&path, secret.to_string()).unwrap();
    world.shell(&format!(
        "kubectl --context aks-secondary -n logging create -f {}",
        path.display()
    ));
    world.shell(STALE);
}

/// One lab, and as many watches as it takes.
fn story(deaths: &Deaths, passed: &Path) {
    let world = World::up(Logs::Folders);
    let mut client = Client::of_primary(&world);
    client.until_acknowledged(EVENTS);
    world.done(&["lab", "kill-region", "primary"]);
    let passed = passed.display().to_string();
    let mut runs = BTreeSet::new();
    for (number, (point, meanwhile)) in deaths.iter().enumerate() {
        if let Some(meanwhile) = meanwhile {
            meanwhile(&world);
        }
        let told = [
            ("BACKSTAY_KILL_AT", *point),
            ("BACKSTAY_FAILPOINT_LOG", passed.as_str()),
        ];
        watch(&world, &format!("watch-{number}"), &told).until_killed();
        runs.extend(run(&world));
        if *point == "failover.begin.before_write" {
            assert!(runs.is_empty(), "begun before it was written: {runs:?}");
        }
        assert!(runs.len() < 2, "{point}: a second run: {runs:?}");
    }
    let last = watch(&world, "last", &[("BACKSTAY_FAILPOINT_LOG", &passed)]);
    let status = last.until_state("failed-over");
    is_failed_over(&world, &status);
    let id = status["run"]["id"].as_str().unwrap();
    assert_eq!(runs, BTreeSet::from([id.to_owned()]));
    assert!(events(&world, "FailoverStarted").len() < 2);
    let found = client.check(&world);
    assert!(found >= EVENTS, "{found}");
    // Nothing is left to be cleaned either.
    world.until(&format!("! {STALE}"), |_| true);
    last.end();
    world.down();
}

#[test]
fn killed_at_each_step_it_ends_the_same() {
    if no_kubectl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let passed = folder.path().join("points");
    let stories = [BEGINNING, SEALING, BESIDE];
    std::thread::scope(|scope| {
        for deaths in stories {
            scope.spawn(|| story(deaths, &passed));
        }
    });
    // Each was a whole failover, so all its points are in there.
    let deaths: BTreeSet<&str> = stories.into_iter().flatten().map(|it| it.0).collect();
    let passed = std::fs::read_to_string(&passed).unwrap();
    let points = passed.lines().filter(|it| it.starts_with("failover."));
    let lived: BTreeSet<&str> = points.filter(|it| !deaths.contains(it)).collect();
    assert!(lived.is_empty(), "nobody was killed at {lived:?}");
}
