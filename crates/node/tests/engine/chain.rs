//! A chain of regions, each recovered from the one before, with a bucket and a key of its own each:
//! the last one finds everything, whatever variables it still has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::host::{Batch, Host, Region, Vars, assert_exactly, segments, send_until_acknowledged};

fn send_some(host: &Host, what: &str, acknowledged: &mut BTreeSet<String>) {
    for n in 0..10 {
        let batch = Batch::keyed(&format!("{what}-{n}"));
        send_until_acknowledged(&[host], &batch);
        acknowledged.extend(batch.ids());
    }
}

/// Ends it once it has put something into segments of its own: each partition has one object that
/// is not published yet at the most, and with one more something is.
fn end(host: Host, region: &Region, before: usize) {
    const PARTITIONS: usize = 4;
    host.until("it has history", |_| segments(region) > before + PARTITIONS);
    host.drain();
}

/// Whatever comes goes into a segment.
fn eager(vars: Vars) -> Vars {
    vars.with("BACKSTAY_SEGMENT_BYTES", "1")
}

struct Chain {
    regions: [Region; 3],
    acknowledged: BTreeSet<String>,
}

impl Chain {
    /// Events in the first two; the third has not begun.
    fn new() -> Self {
        let regions = [Region::new(), Region::new(), Region::new()];
        let mut acknowledged = BTreeSet::new();
        let first = Host::start(&eager(regions[0].node("r0")));
        send_some(&first, "r0", &mut acknowledged);
        end(first, &regions[0], 0);
        let second = eager(regions[1].node("r1"));
        let second = Host::start(&second.recovering_from(&regions[0]));
        let imported = segments(&regions[1]);
        send_some(&second, "r1", &mut acknowledged);
        end(second, &regions[1], imported);
        Self {
            regions,
            acknowledged,
        }
    }

    fn third(&self) -> Vars {
        self.regions[2].node("r2")
    }

    fn path(&self, region: usize) -> PathBuf {
        self.regions[region].folder.path().join("bucket")
    }

    fn credential(&self, region: usize, bucket: u32) -> PathBuf {
        let name = format!("credentials/{bucket}");
        self.path(region).join(name)
    }
}

#[test]
fn a_chain_s_last_region_finds_all_history_with_and_without_variables() {
    let mut chain = Chain::new();
    let variables = chain.third().recovering_from(&chain.regions[1]);
    let host = Host::start(&variables);
    assert_exactly(&host, &chain.acknowledged);
    send_some(&host, "r2", &mut chain.acknowledged);
    host.kill();
    // The variables are removed, as after a promotion.
    let host = Host::start(&chain.third());
    assert_exactly(&host, &chain.acknowledged);
    host.kill();
    // They may say anything of the chain.
    for region in 0..2 {
        let variables = chain.third().recovering_from(&chain.regions[region]);
        let host = Host::start(&variables);
        assert_exactly(&host, &chain.acknowledged);
        host.kill();
    }
    // And home to the first: what is in the two others is found there, too.
    let snapshots = chain.path(0).join("globalsnapshots");
    std::fs::remove_dir_all(snapshots).unwrap();
    let home = chain.regions[0].node("home");
    let host = Host::start(&home.clone().recovering_from(&chain.regions[2]));
    assert_exactly(&host, &chain.acknowledged);
    host.kill();
    assert_exactly(&Host::start(&home), &chain.acknowledged);
}

#[test]
fn a_promoted_region_finds_history_without_the_recovery_variables() {
    let mut chain = Chain::new();
    let host = Host::start(&chain.regions[1].node("r1"));
    assert_exactly(&host, &chain.acknowledged);
    send_some(&host, "later", &mut chain.acknowledged);
    assert_exactly(&host, &chain.acknowledged);
}

/// As that of a region whose nodes were older than these objects.
#[test]
fn a_region_without_a_credential_serves_and_says_what_is_missing_and_variables_mend_it() {
    let chain = Chain::new();
    std::fs::remove_file(chain.credential(1, 1)).unwrap();
    let host = Host::start(&chain.third().recovering_from(&chain.regions[1]));
    let refused = host.find().unwrap_err().to_string();
    for part in [
        "bucket 1",
        &chain.path(0).display().to_string(),
        "credentials/1 in container bucket",
        "is not there",
        "LOCAL_RECOVER_FROM_ variables",
    ] {
        assert!(refused.contains(part), "{part} is not in: {refused}");
    }
    let mut after = BTreeSet::new();
    send_some(&host, "after", &mut after);
    host.kill();
    // What it says is what helps.
    let variables = chain.third().recovering_from(&chain.regions[0]);
    let all: BTreeSet<String> = chain.acknowledged.union(&after).cloned().collect();
    let host = Host::start(&variables);
    assert_exactly(&host, &all);
    host.kill();
    assert_exactly(&Host::start(&chain.third()), &all);
}

/// An object that is damaged, or sealed with another key, is as good as none.
#[test]
fn a_damaged_credential_is_named_and_renewed() {
    let chain = Chain::new();
    let object = chain.credential(1, 1);
    let good = std::fs::read(&object).unwrap();
    let sealed_elsewhere = std::fs::read(chain.path(0).join("cluster.json")).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [flipped, sealed_elsewhere, good[..10].to_vec()] {
        std::fs::write(&object, bad).unwrap();
        let host = Host::start(&chain.regions[1].node("r1"));
        let refused = host.find().unwrap_err().to_string();
        assert!(
            refused.contains("credentials/1") && refused.contains("RECOVER_FROM_"),
            "{refused}"
        );
        host.kill();
        let variables = chain.regions[1].node("r1");
        let host = Host::start(&variables.recovering_from(&chain.regions[0]));
        assert_exactly(&host, &chain.acknowledged);
        host.kill();
        let host = Host::start(&chain.regions[1].node("r1"));
        assert_exactly(&host, &chain.acknowledged);
        host.kill();
    }
}

/// Variables that open their bucket are kept; those that do not, are not, and what is kept helps.
#[test]
fn variables_win_and_renew_once_they_have_opened_their_bucket() {
    let chain = Chain::new();
    let node = || chain.regions[1].node("r1");
    let wrong = node().recovering_from(&chain.regions[0]).with(
        "LOCAL_RECOVER_FROM_ENCRYPTION_KEY",
        "some other key, long enough",
    );
    let host = Host::start(&wrong);
    assert_exactly(&host, &chain.acknowledged);
    host.kill();
    let host = Host::start(&node());
    assert_exactly(&host, &chain.acknowledged);
    host.kill();
    // The bucket moves; without variables that is found out, and named.
    let moved = chain.regions[0].folder.path().join("moved");
    std::fs::rename(chain.path(0), &moved).unwrap();
    let host = Host::start(&node());
    let refused = host.find().unwrap_err().to_string();
    assert!(
        refused.contains("bucket 1") && refused.contains("credentials/1"),
        "{refused}"
    );
    host.kill();
    let there = node()
        .recovering_from(&chain.regions[0])
        .with("LOCAL_RECOVER_FROM_PATH", moved.to_str().unwrap());
    let _ = std::fs::remove_dir_all(chain.path(0));
    let host = Host::start(&there);
    host.until("it has been found", |_| host.find().is_ok());
    assert_exactly(&host, &chain.acknowledged);
    host.drain();
    assert_exactly(&Host::start(&node()), &chain.acknowledged);
}

/// The secrets of another region's bucket are in no file that a node writes, but sealed.
#[test]
fn no_file_shows_another_region_s_key() {
    let chain = Chain::new();
    let host = Host::start(&chain.third().recovering_from(&chain.regions[1]));
    assert_exactly(&host, &chain.acknowledged);
    host.drain();
    let keys: Vec<String> = chain.regions.iter().map(Region::key).collect();
    let mut looked = 0;
    for region in &chain.regions {
        look(region.folder.path(), &keys, &mut looked);
    }
    assert!(looked > 20, "only {looked} files");
    assert!(chain.credential(2, 1).exists() && chain.credential(2, 2).exists());
}

fn look(folder: &Path, keys: &[String], looked: &mut u32) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            look(&path, keys, looked);
            continue;
        }
        *looked += 1;
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for key in keys {
            assert!(!text.contains(key.as_str()), "{}", path.display());
        }
    }
}
