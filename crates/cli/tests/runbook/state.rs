//! How both regions are, in what a runbook changes; and the way to each place of the story.

use backstay_pair::Side;
use serde_json::{Map, Value, json};

use crate::calls::{SUBSCRIPTION, azure};
use crate::control::{json, until_json};
use crate::world::{Logs, World, region};

fn kubectl(world: &World, context: &str, what: &str) -> Value {
    let text = world.shell(&format!("kubectl --context {context} {what} -o json"));
    serde_json::from_str(&text).unwrap()
}

fn endpoint(world: &World, name: &str) -> Value {
    let id = format!(
        "{SUBSCRIPTION}/resourceGroups/lab-dr/providers/Microsoft.Network/trafficmanagerprofiles/lab-logs/externalEndpoints/{name}"
    );
    azure(world, "GET", &id, "2022-04-01", "")["properties"]["endpointStatus"].clone()
}

pub const ALERT: &str =
    "/resourceGroups/lab-secondary/providers/Microsoft.Insights/metricAlerts/lab-dr-failover-alert";

/// What a command of the runbook leaves behind in whatever region can be seen, without what is another each time (versions, names of
/// pods, positions of snapshots).
pub fn state(world: &World) -> Value {
    let mut all = Map::new();
    let status = world.status();
    for side in Side::BOTH {
        if region(&status, side)["view"]["api"] != true {
            all.insert(side.as_str().to_owned(), Value::Null);
            continue;
        }
        let context = backstay_lab::place::context(side);
        let cluster = kubectl(world, context, "-n logging get humiocluster logscale");
        let operator = kubectl(world, context, "-n logging get deploy humio-operator");
        let strimzi = kubectl(
            world,
            context,
            "-n logging get deploy strimzi-cluster-operator",
        );
        let marks = operator["metadata"]["annotations"].as_object().cloned();
        let marks: Vec<String> = marks
            .unwrap_or_default()
            .keys()
            .filter(|it| it.starts_with("logscale.dr/"))
            .cloned()
            .collect();
        let selectors = ["ui", "ingest"].map(|service| {
            let service = format!("-n logging get svc logscale-{service}-cip");
            kubectl(world, context, &service)["spec"]["selector"].clone()
        });
        let snapshots = world.place().bucket(side).join("globalsnapshots");
        let has_snapshots = has_files(&snapshots);
        all.insert(
            side.as_str().to_owned(),
            json!({
                "spec": cluster["spec"],
                "operator": operator["spec"]["replicas"],
                "strimzi": strimzi["spec"]["replicas"],
                "marks": marks,
                "selectors": selectors,
                "snapshots": has_snapshots,
                "endpoint": endpoint(world, side.as_str()),
            }),
        );
    }
    let alert = azure(
        world,
        "GET",
        &format!("{SUBSCRIPTION}{ALERT}"),
        "2018-03-01",
        "",
    );
    all.insert("alert".to_owned(), alert["properties"]["enabled"].clone());
    Value::Object(all)
}

/// Whether there is a file somewhere below. A folder bucket leaves empty folders behind.
fn has_files(folder: &std::path::Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| path.is_file() || has_files(&path))
}

/// A command that must come to its end.
pub fn done(world: &World, arguments: &[&str]) -> Value {
    let (told, code) = json(world, arguments);
    assert_eq!(
        (code, &told["ok"]),
        (0, &true.into()),
        "{arguments:?}: {told:#}"
    );
    assert_eq!(told["error"], Value::Null);
    told
}

/// A step of a report.
pub fn step<'a>(report: &'a Value, id: &str) -> &'a Value {
    let all = report["steps"].as_array().unwrap();
    let found = all.iter().find(|it| it["id"] == id);
    found.unwrap_or_else(|| panic!("no step {id}: {report:#}"))
}

pub const FAILBACK: &[&str] = &["failback", "--yes", "--quiet-seconds", "1"];
pub const CLEAN: &[&str] = &["clean-secondary", "--yes"];

/// A lab over folders whose primary answers.
pub fn serving() -> World {
    let world = World::up(Logs::Folders);
    world.until_status(|status| region(status, Side::Primary)["view"]["status"] == 200);
    world
}

/// The primary dies and is failed over; by hand, because the watch has tests of its own. Not within
/// the cooldown of the last one.
pub fn fail_over(world: &World) {
    world.done(&["lab", "kill-region", "primary"]);
    let (told, code) = json(world, &["failover", "--yes", "--over", "cooldown"]);
    assert_eq!(code, 0, "{told:#}");
    until_json(world, &["status"], |status, _| {
        status["state"] == "failed-over"
    });
}

/// The primary's region is back; its nodes are fenced.
pub fn come_back(world: &World) {
    world.done(&["lab", "restore", "primary"]);
    world.until_status(|status| region(status, Side::Primary)["view"]["api"] == true);
}

/// Two states must be the same; where they are not, only that is shown.
pub fn same(one: &Value, other: &Value, what: &str) {
    let mut differ = Vec::new();
    compare(one, other, String::new(), &mut differ);
    assert!(differ.is_empty(), "{what}: {differ:#?}");
}

fn compare(one: &Value, other: &Value, at: String, differ: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let (a, b) = (a.get(name), b.get(name));
                let nothing = Value::Null;
                let at = format!("{at}/{name}");
                compare(a.unwrap_or(&nothing), b.unwrap_or(&nothing), at, differ);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, format!("{at}/{place}"), differ);
            }
        }
        (a, b) if a == b => {}
        (a, b) => differ.push(format!("{at}: {a} and {b}")),
    }
}
