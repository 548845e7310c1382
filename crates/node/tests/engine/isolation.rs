//! A partition that hangs or fails delays no other: each is taken, published and searched by itself.
//!
//! What hangs is a read of an object that is a pipe, which nobody writes into.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstay_node::Engine;

use crate::damage::root;
use crate::host::{Batch, Host, Region, Vars, assert_exactly, send_until_acknowledged};
use crate::takeover::{end, read};

/// Each entry makes a segment, where `segment` is 1.
fn vars(region: &Region, node: &str, segment: u64) -> Vars {
    region
        .node(node)
        .with("BACKSTAY_INGEST_PARTITIONS", "2")
        .with("BACKSTAY_SEGMENT_BYTES", &segment.to_string())
        .with("BACKSTAY_SEGMENT_SECONDS", "3600")
        .with("BACKSTAY_STATUS_GRACE_SECONDS", "1")
}

fn entry(region: &Region, partition: u32, seq: u64) -> PathBuf {
    root(region).join(format!("journal/{partition:04}/{seq:020}"))
}

/// Puts a pipe where the object is, and answers with what that was.
fn hang(object: &Path) -> Vec<u8> {
    let whole = std::fs::read(object).unwrap();
    std::fs::remove_file(object).unwrap();
    let made = Command::new("mkfifo").arg(object).status().unwrap();
    assert!(made.success());
    whole
}

/// Puts the object back, and lets go who reads.
fn release(object: &Path, whole: Vec<u8>) {
    let pipe = object.with_extension("pipe");
    std::fs::rename(object, &pipe).unwrap();
    std::fs::write(object, whole).unwrap();
    // Opened for both, a pipe waits for nobody.
    let open = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe);
    drop(open.unwrap());
    std::fs::remove_file(pipe).unwrap();
}

fn covered(engine: &Engine, partition: u32) -> u64 {
    read(engine, |state| state.partition(partition).unwrap().covered)
}

/// Sends batches with keys until one came into this partition.
fn send_into(host: &Host, region: &Region, partition: u32, acknowledged: &mut BTreeSet<String>) {
    for n in acknowledged.len().. {
        let before = end(region, partition);
        let batch = Batch::keyed(&format!("into-{n}"));
        // Of the other one, it may be refused.
        if host.send(&batch).is_ok() {
            acknowledged.extend(batch.ids());
        }
        if end(region, partition) > before {
            return;
        }
        assert!(n < 10_000, "no batch comes into partition {partition}");
    }
}

fn is_degraded(engine: &Engine, what: &str) -> bool {
    let degraded = engine.status().degraded;
    degraded.iter().any(|it| it.what == what)
}

#[test]
fn a_takeover_that_hangs_holds_up_no_other_partition() {
    let region = Region::new();
    let mut acknowledged = BTreeSet::new();
    let first = Host::start(&vars(&region, "a", 1_000_000));
    for partition in 0..2 {
        send_into(&first, &region, partition, &mut acknowledged);
    }
    let live = end(&region, 0) - 1;
    first.kill();
    let object = entry(&region, 0, live);
    let whole = hang(&object);

    let second = Host::start(&vars(&region, "b", 1));
    send_into(&second, &region, 1, &mut acknowledged);
    let all = end(&region, 1);
    second.until("the other one is published", |it| covered(it, 1) >= all);
    second.until("it is told", |it| is_degraded(it, "partition 0"));
    assert!(second.engine.status().ok, "{:?}", second.engine.status());
    for n in 0..4 {
        let plain = Batch::plain(&format!("plain-{n}"));
        assert!(!send_until_acknowledged(&[&second], &plain));
        acknowledged.extend(plain.ids());
    }

    release(&object, whole);
    second.until("it is taken", |it| covered(it, 0) > live);
    assert_exactly(&second, &acknowledged);
    second.kill();
}

#[test]
fn publishing_that_hangs_holds_up_no_other_partition_and_is_told() {
    let region = Region::new();
    let mut acknowledged = BTreeSet::new();
    let host = Host::start(&vars(&region, "a", 1));
    // Its own reader must not have come by before the pipe is there.
    let (object, whole) = loop {
        send_into(&host, &region, 0, &mut acknowledged);
        let frozen = host.freeze();
        let at = end(&region, 0) - 1;
        let object = entry(&region, 0, at);
        let whole = hang(&object);
        drop(frozen);
        let begun = std::time::Instant::now();
        while covered(&host.engine, 0) <= at && begun.elapsed().as_secs() < 3 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if covered(&host.engine, 0) <= at {
            break (object, whole);
        }
        release(&object, whole);
    };
    send_into(&host, &region, 1, &mut acknowledged);
    let all = end(&region, 1);
    host.until("the other one is published", |it| covered(it, 1) >= all);
    // It is written all the while.
    send_into(&host, &region, 0, &mut acknowledged);
    host.until("it is told", |it| is_degraded(it, "publish 0"));
    assert!(host.engine.status().ok, "{:?}", host.engine.status());

    release(&object, whole);
    let all = end(&region, 0);
    host.until("it gets on", |it| covered(it, 0) >= all);
    host.until("it is told no longer", |it| !is_degraded(it, "publish 0"));
    assert_exactly(&host, &acknowledged);
    host.kill();
}
