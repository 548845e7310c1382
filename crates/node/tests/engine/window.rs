//! The window of idempotency keys over silences, wrong clocks, crash loops, chains and damage.

use std::collections::BTreeSet;
use std::path::PathBuf;

use backstay_bucket::{Bucket, BucketConfig, Role, Secret};
use backstay_global::snapshot;

use crate::host::{Batch, Host, Region, Vars, assert_exactly, send_until_acknowledged};

/// The node takes no partition, so what it recovers stays where it was.
fn idle(vars: Vars) -> Vars {
    vars.with("NODE_ROLES", "httponly")
}

fn send_some(host: &Host, batches: u32, acknowledged: &mut BTreeSet<String>) {
    for n in 0..batches {
        let batch = Batch::keyed(&format!("b-{n}"));
        assert!(!send_until_acknowledged(&[host], &batch), "{n} is new");
        acknowledged.extend(batch.ids());
    }
}

fn send_again(host: &Host, batches: u32) {
    for n in 0..batches {
        let batch = Batch::keyed(&format!("b-{n}"));
        assert!(send_until_acknowledged(&[host], &batch), "{n} is known");
    }
}

/// Has the newest snapshot say that the recovery was at this time, as a node with another clock
/// would have written it.
fn recovered_at(region: &Region, at_ms: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let path = region.folder.path().join("bucket");
    let config = BucketConfig::local(path, Secret::new(region.key()), Role::Own);
    runtime.block_on(async {
        let bucket = Bucket::open(config).await.unwrap();
        let newest = snapshot::newest(&bucket, None).await.unwrap().unwrap();
        let mut state = snapshot::read(&bucket, &newest.key).await.unwrap();
        state.recoveries.last_mut().unwrap().at_ms = at_ms;
        snapshot::write(&bucket, &state).await.unwrap();
    });
}

#[test]
fn a_standby_that_comes_late_or_with_a_wrong_clock_knows_every_key() {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let week = 7 * 86_400_000;
    for at_ms in [
        now - 640_000,
        now + 900_000,
        now - 900_000,
        now - week,
        i64::MIN,
        i64::MAX,
    ] {
        let (east, west) = (Region::new(), Region::new());
        let mut acknowledged = BTreeSet::new();
        let primary = Host::start(&east.node("p"));
        send_some(&primary, 60, &mut acknowledged);
        primary.kill();
        Host::start(&idle(west.node("first").recovering_from(&east))).kill();
        recovered_at(&west, at_ms);
        let vars = west.node("second").recovering_from(&east);
        let standby = Host::start(&vars);
        send_again(&standby, 60);
        standby.kill();
        let standby = Host::start(&vars);
        send_again(&standby, 60);
        assert_exactly(&standby, &acknowledged);
    }
}

#[test]
fn keys_that_nobody_has_taken_over_come_home_with_the_failback() {
    for adopted in [false, true] {
        let (east, west) = (Region::new(), Region::new());
        let mut acknowledged = BTreeSet::new();
        let primary = Host::start(&east.node("p"));
        send_some(&primary, 20, &mut acknowledged);
        primary.kill();
        let vars = west.node("s").recovering_from(&east);
        Host::start(&if adopted { vars } else { idle(vars) }).kill();
        std::fs::remove_dir_all(east.folder.path().join("bucket/globalsnapshots")).unwrap();
        let home = Host::start(&east.node("home").recovering_from(&west));
        send_again(&home, 20);
        assert_exactly(&home, &acknowledged);
    }
}

#[test]
fn the_last_of_three_clusters_has_the_keys_of_the_first() {
    for (second, third) in [(true, true), (true, false), (false, true)] {
        let regions = [Region::new(), Region::new(), Region::new(), Region::new()];
        let mut acknowledged = BTreeSet::new();
        let first = Host::start(&regions[0].node("p"));
        send_some(&first, 20, &mut acknowledged);
        first.kill();
        for (n, takes) in [(1, second), (2, third), (3, true)] {
            let vars = regions[n].node("s").recovering_from(&regions[n - 1]);
            let host = Host::start(&if takes { vars } else { idle(vars) });
            if n == 3 {
                send_again(&host, 20);
                assert_exactly(&host, &acknowledged);
            }
            host.kill();
        }
    }
}

/// For how long all partitions have been written.
fn ran(host: &Host) -> u64 {
    let global = host.engine.global().unwrap();
    global.read(|state| state.partitions.iter().map(|it| it.ran_ms).sum())
}

#[test]
fn lives_too_short_to_trim_anything_still_end_the_window() {
    let region = Region::new();
    let vars = region
        .node("a")
        .with("BACKSTAY_TRIM_SECONDS", "1")
        .with("BACKSTAY_SEGMENT_BYTES", "1");
    let batch = Batch::keyed("b");
    let host = Host::start(&vars);
    assert!(!send_until_acknowledged(&[&host], &batch));
    host.until("it is in a segment", |engine| {
        let covered =
            |state: &backstay_global::State| state.partitions.iter().any(|it| it.covered > 1);
        engine.global().unwrap().read(covered)
    });
    host.kill();
    let mut before = 0;
    while before < 1_200 {
        let host = Host::start(&vars);
        let now = ran(&host);
        assert!(now >= before, "{now} after {before}");
        host.until("some heartbeats count", |_| ran(&host) > now + 150);
        before = ran(&host);
        host.kill();
    }
    let host = Host::start(&vars);
    host.until("it is trimmed", |engine| {
        let trimmed = |state: &backstay_global::State| {
            state.partitions.iter().all(|it| it.floor == it.covered)
        };
        engine.global().unwrap().read(trimmed)
    });
    assert!(
        !send_until_acknowledged(&[&host], &batch),
        "its time is over"
    );
}

fn objects(folder: &PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let entries = entries.map(|entry| entry.unwrap().path());
    let nested = |path: PathBuf| {
        if path.is_dir() {
            objects(&path)
        } else {
            vec![path]
        }
    };
    entries.flat_map(nested).collect()
}

#[test]
fn without_its_index_a_partition_takes_no_batch_with_a_key_and_nothing_is_doubled() {
    let (east, west) = (Region::new(), Region::new());
    let mut acknowledged = BTreeSet::new();
    let primary = Host::start(&east.node("p"));
    send_some(&primary, 12, &mut acknowledged);
    primary.kill();
    // The recovery has written an index for each partition.
    let vars = west
        .node("s")
        .recovering_from(&east)
        .with("BACKSTAY_ACK_TIMEOUT_MS", "500");
    Host::start(&vars).kill();
    let folder = west.folder.path().join("bucket/windows");
    type Damage = fn(&PathBuf);
    let damages: [(&str, Damage); 3] = [
        ("missing", |path| std::fs::remove_file(path).unwrap()),
        ("cut", |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("flipped", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(path, bytes).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let all = objects(&folder);
        assert!(!all.is_empty());
        let kept: Vec<(PathBuf, Vec<u8>)> = all
            .iter()
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        all.iter().for_each(damage);
        let host = Host::start(&vars);
        for n in 0..12 {
            let answer = host.send(&Batch::keyed(&format!("b-{n}")));
            assert!(answer.is_err(), "{name}: {n} is taken for new: {answer:?}");
        }
        let plain = Batch::plain(name);
        send_until_acknowledged(&[&host], &plain);
        acknowledged.extend(plain.ids());
        for (path, bytes) in kept {
            std::fs::write(path, bytes).unwrap();
        }
        send_again(&host, 12);
        assert_exactly(&host, &acknowledged);
        host.kill();
    }
}
