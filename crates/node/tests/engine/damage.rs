//! Every object of a bucket, damaged in every way, one at a time: a search finds all, or says that
//! it does not. What is not damaged is served.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backstay_node::Phase;

use crate::host::{Batch, Host, Region, Vars, assert_exactly, segments, send_until_acknowledged};

#[derive(Clone, Copy, Debug)]
pub enum Damage {
    Missing,
    Truncated,
    Flipped,
    /// Another object's bytes under this name.
    Swapped,
}

pub const ALL: [Damage; 4] = [
    Damage::Missing,
    Damage::Truncated,
    Damage::Flipped,
    Damage::Swapped,
];

/// A start that says nothing for so long waits for something: it does not serve.
const START_WAIT: Duration = Duration::from_secs(4);

/// Few heartbeats, which are objects too.
fn quiet(vars: Vars) -> Vars {
    vars.with("LOCAL_STORAGE_ENCRYPTION_KEY", KEY)
        .with("BACKSTAY_HEARTBEAT_MS", "1000")
        .with("BACKSTAY_LEASE_MS", "5000")
}

/// The key of all regions here: their objects are copied.
pub const KEY: &str = "key of all these regions, long";

/// What comes stays in the journal.
fn lazy(vars: Vars) -> Vars {
    quiet(vars)
        .with("BACKSTAY_SEGMENT_BYTES", "100000000")
        .with("BACKSTAY_SEGMENT_SECONDS", "3600")
}

fn send_some(host: &Host, what: &str, acknowledged: &mut BTreeSet<String>) {
    for n in 0..8 {
        let batch = Batch::plain(&format!("{what}-{n}"));
        send_until_acknowledged(&[host], &batch);
        acknowledged.extend(batch.ids());
    }
}

/// A bucket with segments, and with a journal of which half is in no segment; nobody runs on it.
fn bucket() -> (Region, BTreeSet<String>) {
    let region = Region::new();
    let mut acknowledged = BTreeSet::new();
    let eager = quiet(region.node("a")).with("BACKSTAY_SEGMENT_BYTES", "1");
    let first = Host::start(&eager);
    send_some(&first, "covered", &mut acknowledged);
    first.until("it has history", |_| segments(&region) > 2);
    first.drain();
    let second = Host::start(&lazy(region.node("a")));
    send_some(&second, "live", &mut acknowledged);
    second.kill();
    (region, acknowledged)
}

pub fn root(region: &Region) -> PathBuf {
    region.folder.path().join("bucket")
}

/// All objects, by name.
pub fn objects(root: &Path) -> Vec<String> {
    fn walk(root: &Path, at: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap();
                found.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    // What a killed process was about to put, and still may: it is not there yet.
    found.retain(|name| !name.contains('#'));
    found.sort();
    found
}

/// A region of its own with these objects.
pub fn copied(from: &Path, objects: &[String]) -> Region {
    let region = Region::new();
    for name in objects {
        let to = root(&region).join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from.join(name), to).unwrap();
    }
    region
}

pub fn damage(root: &Path, objects: &[String], name: &str, how: Damage) {
    let path = root.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    match how {
        Damage::Missing => return,
        Damage::Truncated => bytes.truncate(bytes.len() / 2),
        Damage::Flipped => {
            let at = bytes.len() * 2 / 3;
            bytes[at] ^= 1;
        }
        Damage::Swapped => {
            let kind = name.split('/').next().unwrap();
            let other = objects
                .iter()
                .find(|it| *it != name && it.starts_with(kind));
            let other = other.unwrap_or_else(|| objects.iter().find(|it| *it != name).unwrap());
            bytes = std::fs::read(root.join(other)).unwrap();
        }
    }
    std::fs::write(&path, bytes).unwrap();
}

/// Whether a node came up on it.
fn came_up(host: &Host) -> bool {
    let begun = Instant::now();
    while matches!(host.engine.phase(), Phase::Starting(_)) && begun.elapsed() < START_WAIT {
        std::thread::sleep(Duration::from_millis(5));
    }
    host.engine.phase() == Phase::Ready
}

/// Of a partition, the last entry has nobody behind it that could say that it was there, and who
/// wrote it is dead.
fn is_last_of_partition(objects: &[String], name: &str) -> bool {
    let Some((stream, _)) = name.rsplit_once('/') else {
        return false;
    };
    let mut of = objects.iter().filter(|object| {
        object
            .strip_prefix(stream)
            .is_some_and(|rest| rest.starts_with('/'))
    });
    stream.starts_with("journal/") && of.next_back().is_some_and(|last| last == name)
}

fn check(
    from: &Path,
    objects: &[String],
    acknowledged: &BTreeSet<String>,
    name: &str,
    how: Damage,
) {
    let region = copied(from, objects);
    damage(&root(&region), objects, name, how);
    let host = Host::begin(&lazy(region.node("b")));
    let case = format!("{name} {how:?}");
    let is_metadata = name.starts_with("journal/global/")
        || name.starts_with("globalsnapshots/")
        || name.starts_with("trimmed/")
        || name == "cluster.json";
    if !came_up(&host) {
        assert!(is_metadata, "{case}: {}", host.engine.phase());
        host.kill();
        return;
    }
    match host.find() {
        Ok(found) => {
            let all = found.keys().cloned().collect::<BTreeSet<_>>() == *acknowledged;
            assert!(all, "{case}: {} of {}", found.len(), acknowledged.len());
            assert!(found.values().all(|times| *times == 1), "{case}: doubled");
        }
        Err(error) => {
            let object = name.rsplit('/').next().unwrap();
            assert!(error.to_string().contains(object), "{case}: {error}");
        }
    }
    if !is_metadata {
        assert!(host.engine.status().ok, "{case}: it serves what it can");
        send_until_acknowledged(&[&host], &Batch::plain("more"));
    }
    host.kill();
}

#[test]
fn no_damage_of_any_object_makes_an_answer_partial_without_a_sign() {
    let (region, acknowledged) = bucket();
    let from = root(&region);
    let objects = objects(&from);
    let kinds = [
        "cluster.json",
        "globalsnapshots/",
        "journal/global/",
        "journal/0000/",
        "segments/",
    ];
    for kind in kinds {
        assert!(
            objects.iter().any(|it| it.starts_with(kind)),
            "{kind} in {objects:?}"
        );
    }
    // That it is whole is a case too.
    let copy = copied(&from, &objects);
    let whole = Host::start(&lazy(copy.node("b")));
    assert_exactly(&whole, &acknowledged);
    whole.kill();
    let cases: Vec<(&String, Damage)> = objects
        .iter()
        .flat_map(|name| ALL.map(|how| (name, how)))
        .filter(|(name, how)| {
            !(matches!(how, Damage::Missing) && is_last_of_partition(&objects, name))
        })
        .collect();
    // Two at a time: most of it is waiting.
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (from, objects, acknowledged, cases) = (&from, &objects, &acknowledged, &cases);
            scope.spawn(move || {
                for (name, how) in cases.iter().skip(half).step_by(2) {
                    check(from, objects, acknowledged, name, *how);
                }
            });
        }
    });
}

#[test]
fn a_node_that_comes_later_learns_of_a_hole_from_whoever_wrote_there() {
    let region = Region::new();
    let vars = |node: &str| {
        let vars = region
            .node(node)
            .with("BACKSTAY_SEGMENT_BYTES", "100000000");
        vars.with("BACKSTAY_SEGMENT_SECONDS", "3600")
    };
    let owner = Host::start(&vars("a"));
    let mut acknowledged = BTreeSet::new();
    send_some(&owner, "live", &mut acknowledged);
    assert_exactly(&owner, &acknowledged);
    // Its heartbeats tell how far it has come: for each partition, up to its last entry.
    let last = |partition: usize| {
        let of = format!("journal/{partition:04}/");
        let objects = objects(&root(&region));
        let mut of = objects.into_iter().filter(|it| it.starts_with(&of));
        of.next_back().unwrap()
    };
    owner.until("a heartbeat has told of all", |engine| {
        let global = engine.global().unwrap();
        let state = global.state();
        let told = state.hosts.first().map(|host| host.settled.clone());
        let told = told.unwrap_or_default();
        !told.is_empty()
            && told
                .iter()
                .all(|(id, settled)| last(*id as usize).ends_with(&format!("{:020}", settled - 1)))
    });
    // Even the last one, behind which is nothing.
    let gone = last(1);
    std::fs::remove_file(root(&region).join(&gone)).unwrap();
    let later = Host::start(&vars("b").with("NODE_ROLES", "httponly"));
    let error = later.find().unwrap_err().to_string();
    assert!(error.contains(&gone), "{error}");
    assert_exactly(&owner, &acknowledged);
}
