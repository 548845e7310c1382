//! Disks that are full: the bucket's, and the node's own.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use backstay_lab::workload::feed::body;

use crate::world::{
    Clients, Objects, World, get, metric, ready, set_up, until_metric, until_status, with,
};

/// A small file system of its own, unmounted when dropped.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// `None`, the test being skipped, where this user may not mount one.
    fn new(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { path });
        }
        backstay_testkit::skip_even_on_ci("this user may not mount a small file system");
        None
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.path.join("ballast"))
            .unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![0_u8; size];
            while ballast.write_all(&block).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a node that is killed a moment later may still have a file open there.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_bucket_acknowledges_nothing_and_goes_on_when_there_is_room() {
    let mut world = World::folders();
    let Some(disk) = Disk::new(world.path("east-bucket"), "48m") else {
        return;
    };
    let region = world.region("east").await;
    let spec = world.node("east", region.own());
    let spec = with(&spec, "BACKSTAY_STATUS_GRACE_SECONDS", "2");
    let node = ready(&with(&spec, "BACKSTAY_ACK_TIMEOUT_MS", "3000")).await;
    let token = set_up(&node).await;
    let admin = node.admin_token().unwrap();
    let client = node.client();
    client.create_repository(&admin, "other").await.unwrap();
    let other = client.create_ingest_token(&admin, "other", "other").await;
    let other = other.unwrap();
    let mut clients = Clients::start(&[&node], &token).await;
    clients.flow(400).await;
    disk.fill();
    let status = until_status(&node, 503).await;
    for text in [
        "nothing could be acknowledged",
        "no space left",
        "make room",
    ] {
        assert!(status.contains(text), "`{text}` is not in {status}");
    }
    let before = clients.acknowledged();
    let body = body(0, &[("probe", "probe".to_owned(), "probe".to_owned())]);
    let refused = node.client().ingest(&other, "probe", body).await;
    let refused = refused.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    assert!(
        refused.to_string().contains("not acknowledged"),
        "{refused}"
    );
    assert_eq!(clients.acknowledged(), before);
    disk.make_room();
    until_status(&node, 200).await;
    clients.flow(400).await;
    clients.pause().await;
    clients.all_found(&node).await;
    drop(node);
    // Nor was what is there half written.
    let again = ready(&spec).await;
    clients.all_found(&again).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_data_folder_stops_neither_ingest_nor_search() {
    let mut world = World::folders();
    let Some(disk) = Disk::new(world.path("east-data"), "16m") else {
        return;
    };
    let region = world.region("east").await;
    let spec = world.node("east", region.own());
    let node = ready(&with(&spec, "BACKSTAY_SNAPSHOTS_KEPT", "2")).await;
    let token = set_up(&node).await;
    let mut clients = Clients::start(&[&node], &token).await;
    clients.flow(400).await;
    clients.pause().await;
    clients.all_found(&node).await;
    disk.fill();
    clients.go_on();
    let written = metric(&node, "snapshots_total").await.unwrap();
    until_metric(&node, "snapshots_total", |now| now >= written + 5).await;
    clients.flow(400).await;
    clients.pause().await;
    clients.all_found(&node).await;
    let (code, status) = get(&node, "api/v1/status?deep=1").await;
    assert_eq!(code, 200, "{status}");
    assert!(
        status.contains("No space left"),
        "it does not tell: {status}"
    );
    // What is too old in the bucket is still cleaned up.
    let kept = Objects::of(&region).names("globalsnapshots").await;
    assert!(kept.len() <= 3, "{kept:?}");
    disk.make_room();
    until_metric(&node, "snapshots_total", |now| now >= written + 8).await;
    let (_, status) = get(&node, "api/v1/status?deep=1").await;
    assert!(!status.contains("No space left"), "{status}");
    clients.all_found(&node).await;
    world.end().await;
}
