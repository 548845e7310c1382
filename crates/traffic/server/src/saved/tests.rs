#![allow(clippy::unwrap_used)]

use backstay_traffic_profile::{Context, MonitorLimits, parse_profile};
use backstay_traffic_state::StateError;
use serde_json::{Value, json};

use super::*;

type StateFile = backstay_traffic_state::StateFile<Saved>;

/// A profile with so many endpoints.
fn profile(endpoints: usize) -> Profile {
    let endpoints: Vec<Value> = (1..=endpoints)
        .map(|it| {
            json!({
                "name": format!("e{it}"),
                "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                "properties": { "target": format!("e{it}.example.net"), "priority": it },
            })
        })
        .collect();
    let body = json!({
        "location": "global",
        "properties": {
            "trafficRoutingMethod": "Priority",
            "dnsConfig": { "relativeName": "logs", "ttl": 60 },
            "monitorConfig": { "protocol": "HTTP", "port": 80, "path": "/" },
            "endpoints": endpoints,
        },
    });
    let context = Context {
        subscription: "S",
        resource_group: "Dr",
        profile: "Logs",
        zone: "tm.test",
        limits: MonitorLimits::Azure,
    };
    parse_profile(context, body).unwrap()
}

fn saved() -> Saved {
    let profile = Arc::new(profile(3));
    Saved {
        profiles: [(profile.id().to_ascii_lowercase(), profile)].into(),
        degraded: ["x".to_owned()].into(),
    }
}

#[test]
fn what_is_saved_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/state.json");
    let (file, nothing) = StateFile::open(&path).unwrap();
    assert_eq!(nothing, Saved::default());
    file.save(&saved()).unwrap();
    drop(file);
    assert_eq!(StateFile::open(&path).unwrap().1, saved());
}

#[test]
fn only_one_process_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let held = StateFile::open(&path).unwrap();
    assert!(matches!(
        StateFile::open(&path),
        Err(StateError::Locked { .. })
    ));
    drop(held);
    StateFile::open(&path).unwrap();
}

/// A write that was killed left its half file next to the whole one.
#[test]
fn a_half_file_beside_it_is_no_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    StateFile::open(&path).unwrap().0.save(&saved()).unwrap();
    std::fs::write(
        folder.path().join("state.json.new"),
        "{\"version\":1,\"prof",
    )
    .unwrap();
    let (file, read) = StateFile::open(&path).unwrap();
    assert_eq!(read, saved());
    file.save(&Saved::default()).unwrap();
    drop(file);
    assert_eq!(StateFile::open(&path).unwrap().1, Saved::default());
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    for content in [
        "",
        "{",
        "[]",
        "{\"version\":2,\"profiles\":[],\"degraded\":[]}",
    ] {
        std::fs::write(&path, content).unwrap();
        let opened = StateFile::open(&path);
        assert!(
            matches!(opened, Err(StateError::Content { .. })),
            "{content}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn it_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    StateFile::open(&path).unwrap().0.save(&saved()).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
