//! A standby that meets a damaged source: it says what is damaged and what to do, it has lost
//! nothing by trying, and once that is done the same standby recovers everything. Only what the
//! state itself needs keeps it from serving.

use std::collections::BTreeMap;

use backstay_lab::supervisor::{NodeProcess, NodeSpec};
use bytes::Bytes;

use crate::world::{
    Clients, Objects, WAIT_TIMEOUT, World, get, log, ready, recovering, set_up, until, with,
};

/// Starts a node that must give up, and say all this on its log.
async fn gives_up(spec: &NodeSpec, says: &[&str]) {
    let before = log(&spec.log_file).len();
    let mut node = NodeProcess::start(spec).unwrap();
    let ended = tokio::time::timeout(WAIT_TIMEOUT, node.wait()).await;
    let said = log(&spec.log_file).split_off(before);
    let status = ended.unwrap_or_else(|_| panic!("it did not give up:\n{said}"));
    assert_eq!(status.unwrap().code(), Some(1), "{said}");
    for text in says {
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
    }
}

fn flipped(stored: &Bytes) -> Bytes {
    let mut stored = stored.to_vec();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    stored.into()
}

async fn swap(objects: &Objects, one: &str, other: &str) {
    let (first, second) = (objects.read(one).await, objects.read(other).await);
    objects.write(one, second).await;
    objects.write(other, first).await;
}

/// The entries of the partitions, of the longest one first.
async fn partitions(objects: &Objects) -> Vec<Vec<String>> {
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in objects.names("journal").await {
        let stream = name.rsplit_once('/').unwrap().0.to_owned();
        streams.entry(stream).or_default().push(name);
    }
    streams.retain(|stream, _| !stream.contains("global"));
    let mut streams: Vec<Vec<String>> = streams.into_values().collect();
    streams.sort_by_key(|entries| std::cmp::Reverse(entries.len()));
    streams
}

fn last_two(entries: &[String]) -> (&str, &str) {
    let [.., one, other] = entries else {
        panic!("only {entries:?}");
    };
    (one, other)
}

async fn every_damage_is_named_and_repaired(mut world: World) {
    let (east, west) = (world.region("east").await, world.region("west").await);
    let azure = east.own().contains_key("AZURE_STORAGE_BUCKET");
    let provider = if azure { "AZURE" } else { "LOCAL" };
    let objects = Objects::of(&east);

    // A first life that leaves segments and snapshots, and a second that leaves only its journal.
    let primary = world.node("primary", east.own());
    let mut node = ready(&primary).await;
    let token = set_up(&node).await;
    let mut clients = Clients::start(&[&node], &token).await;
    until("segments and snapshots", || async {
        let segments = objects.names("segments").await.len();
        let snapshots = objects.names("globalsnapshots").await.len();
        if segments >= 4 && snapshots >= 3 {
            Ok(())
        } else {
            Err((segments, snapshots))
        }
    })
    .await;
    clients.pause().await;
    node.kill().await.unwrap();
    let lazy = with(&primary, "BACKSTAY_SEGMENT_SECONDS", "3600");
    let lazy = with(&lazy, "BACKSTAY_SEGMENT_BYTES", "100000000");
    let lazy = with(&lazy, "BACKSTAY_SNAPSHOT_SECONDS", "3600");
    let mut node = ready(&lazy).await;
    clients.know(&[&node]);
    clients.go_on();
    clients.flow(800).await;
    clients.pause().await;
    node.kill().await.unwrap();

    let standby = world.node("standby", recovering(&east, &west));
    let snapshots = objects.names("globalsnapshots").await;
    let newest = snapshots.last().unwrap();

    let variable = format!("{provider}_RECOVER_FROM_ENCRYPTION_KEY");
    let says = ["another key", variable.as_str(), "set it to the key"];
    gives_up(&with(&standby, &variable, "some other key"), &says).await;

    if azure {
        let wrong = "bm90IHRoZSBhY2NvdW50J3Mga2V5IGJ1dCBzb21lIG90aGVyIG9uZSBhbHRvZ2V0aGVyIQ==";
        for role in ["STORAGE", "RECOVER_FROM"] {
            let variable = format!("AZURE_{role}_ACCOUNTKEY");
            let container = &standby.env[&format!("AZURE_{role}_BUCKET")];
            let says = ["access denied", container, variable.as_str(), "check"];
            gives_up(&with(&standby, &variable, wrong), &says).await;
        }
    }

    let whole = objects.read(newest).await;
    for damaged in [
        whole.slice(..whole.len() - 7),
        whole.slice(..whole.len() / 2),
        Bytes::new(),
        flipped(&whole),
    ] {
        objects.write(newest, damaged).await;
        gives_up(&standby, &[newest, "restore"]).await;
    }
    // In the place of the newest, an older one: a true object under a false name.
    let older = objects.read(&snapshots[snapshots.len() - 2]).await;
    objects.write(newest, older).await;
    gives_up(&standby, &[newest, "restore"]).await;
    // Nobody can restore it: without it, the one before and the journal lead to the same state.
    objects.remove(newest).await;

    let global = objects.names("journal/global").await;
    let (one, other) = last_two(&global);
    swap(&objects, one, other).await;
    gives_up(&standby, &[one, "restore"]).await;
    swap(&objects, one, other).await;

    // What is behind it says that it was there.
    let stored = objects.read(one).await;
    objects.remove(one).await;
    gives_up(&standby, &[one, "missing", "restore"]).await;
    objects.write(one, stored).await;

    // Events are another matter: those of one partition that cannot be read keep nobody from all
    // others. They are missed by every search until they are back, and then nothing is.
    let partitions = partitions(&objects).await;
    let (one, other) = last_two(&partitions[0]);
    swap(&objects, one, other).await;
    let gone = &partitions[1][partitions[1].len() - 6];
    let stored = objects.read(gone).await;
    objects.remove(gone).await;
    let node = ready(&standby).await;
    let damaged = [one, gone.as_str()];
    until("both are told", || async {
        let (code, status) = get(&node, "api/v1/status").await;
        match code == 200 && damaged.iter().all(|object| status.contains(object)) {
            true => Ok(()),
            false => Err((code, status)),
        }
    })
    .await;
    let said = log(node.log_file());
    for object in damaged {
        let named = |line: &str| line.contains(object) && line.contains("restore it from a backup");
        assert!(said.lines().any(named), "{object}:\n{said}");
    }
    let verdict = clients.verdict(&node).await.unwrap_err().to_string();
    let named = damaged.iter().any(|object| verdict.contains(object));
    assert!(named && !verdict.contains("Verdict"), "{verdict}");
    swap(&objects, one, other).await;
    objects.write(gone, stored).await;
    // That a search has failed is told for some minutes.
    until("only the searches of before are told", || async {
        let (code, status) = get(&node, "api/v1/status").await;
        let told: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        let mut told = told["degraded"].as_array().into_iter().flatten();
        match code == 200 && told.all(|it| it["reason"] == "search") {
            true => Ok(()),
            false => Err((code, status)),
        }
    })
    .await;

    // Segments of the source are read when they are searched.
    let segments = objects.names("segments").await;
    let (one, other) = (&segments[0], &segments[1]);
    let stored = objects.read(one).await;
    objects.remove(one).await;
    says_which(&clients, &node, one).await;
    for damaged in [
        stored.slice(..stored.len() - 7),
        flipped(&stored),
        objects.read(other).await,
    ] {
        objects.write(one, damaged).await;
        says_which(&clients, &node, one).await;
    }
    objects.write(one, stored).await;

    clients.all_found(&node).await;
    clients.know(&[&node]);
    clients.go_on();
    clients.flow(100).await;
    clients.pause().await;
    clients.all_found(&node).await;
    world.end().await;
}

/// A search that cannot read a segment is no answer, and says which one it was.
async fn says_which(clients: &Clients, node: &NodeProcess, segment: &str) {
    let before = log(node.log_file()).len();
    let verdict = clients.verdict(node).await.unwrap_err().to_string();
    assert!(!verdict.contains("Verdict"), "a partial answer: {verdict}");
    // An answer that has begun can only break off; then the log says why.
    let told = verdict + &log(node.log_file()).split_off(before);
    for text in [segment, "restore the object"] {
        assert!(told.contains(text), "`{text}` is not in: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_of_a_folder_is_named_and_repaired() {
    every_damage_is_named_and_repaired(World::folders()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_in_azurite_is_named_and_repaired() {
    if let Some(world) = World::azurite() {
        every_damage_is_named_and_repaired(world).await;
    }
}
