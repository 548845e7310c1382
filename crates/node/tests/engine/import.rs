//! What a recovered cluster had in no segment is searched where it lies, and imported while the node
//! serves.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::{Batch, Host, Region, Vars, assert_exactly, segments, send_until_acknowledged};

/// Nothing goes into a segment by itself.
fn lazy(vars: Vars) -> Vars {
    vars.with("BACKSTAY_SEGMENT_BYTES", "100000000")
        .with("BACKSTAY_SEGMENT_SECONDS", "3600")
}

/// It answers searches and writes nothing, so it imports nothing.
fn reader(vars: Vars) -> Vars {
    vars.with("NODE_ROLES", "httponly")
}

fn send_some(host: &Host, what: &str, acknowledged: &mut BTreeSet<String>) {
    for n in 0..12 {
        let batch = Batch::keyed(&format!("{what}-{n}"));
        send_until_acknowledged(&[host], &batch);
        acknowledged.extend(batch.ids());
    }
}

fn left(host: &Host) -> u64 {
    let status = host.engine.status();
    status.not_imported.iter().map(|it| it.entries).sum()
}

fn until_imported(host: &Host) {
    host.until("all is imported", |engine| {
        engine.status().not_imported.is_empty()
    });
}

/// A region with acknowledged events that are in its journal only; nobody runs there any more.
fn primary(acknowledged: &mut BTreeSet<String>) -> Region {
    let region = Region::new();
    let host = Host::start(&lazy(region.node("p")));
    send_some(&host, "tail", acknowledged);
    host.kill();
    assert_eq!(segments(&region), 0);
    region
}

#[test]
fn it_is_searched_in_the_source_until_it_is_imported() {
    let mut acknowledged = BTreeSet::new();
    let (east, west) = (primary(&mut acknowledged), Region::new());
    let vars = reader(west.node("reads").recovering_from(&east));
    for _ in 0..2 {
        let host = Host::start(&vars);
        assert_exactly(&host, &acknowledged);
        assert_eq!(segments(&west), 0, "nobody imports");
        let all = host.find();
        assert_eq!(host.find_by("#repo=humio").unwrap(), all.unwrap());
        for nothing in ["#repo=other", "#repo!=humio"] {
            assert!(host.find_by(nothing).unwrap().is_empty(), "{nothing}");
        }
        let status = host.engine.status();
        assert!(status.ok, "{status:?}");
        let [pending] = &status.not_imported[..] else {
            panic!("{status:?}");
        };
        assert_eq!(pending.container, "bucket");
        assert!(pending.entries > 0 && pending.partitions > 0, "{pending:?}");
        host.kill();
    }
    let reads = Host::start(&vars);
    let writes = Host::start(&west.node("writes").recovering_from(&east));
    while left(&reads) > 0 {
        assert_exactly(&reads, &acknowledged);
        assert_exactly(&writes, &acknowledged);
    }
    until_imported(&writes);
    assert!(segments(&west) > 0, "it is its own now");
    send_some(&writes, "after", &mut acknowledged);
    for host in [&reads, &writes] {
        assert_exactly(host, &acknowledged);
    }
}

#[test]
fn what_no_region_of_a_chain_has_imported_is_found_and_imported_by_the_last() {
    let mut acknowledged = BTreeSet::new();
    let (first, second, third) = (primary(&mut acknowledged), Region::new(), Region::new());
    let host = Host::start(&reader(second.node("r1").recovering_from(&first)));
    assert_exactly(&host, &acknowledged);
    host.drain();
    let vars = third.node("r2").recovering_from(&second);
    let host = Host::start(&reader(vars.clone()));
    let status = host.engine.status();
    // In the second one's there are only seals.
    let lies: Vec<u32> = status.not_imported.iter().map(|it| it.bucket).collect();
    assert_eq!(lies, [1, 2], "{status:?}");
    assert_exactly(&host, &acknowledged);
    host.kill();
    let host = Host::start(&vars);
    // A client that has waited for its answer all the while.
    assert!(send_until_acknowledged(&[&host], &Batch::keyed("tail-3")));
    until_imported(&host);
    assert_exactly(&host, &acknowledged);
    // The two others may go now.
    host.kill();
    for region in [&first, &second] {
        std::fs::remove_dir_all(region.folder.path().join("bucket/journal")).unwrap();
    }
    assert_exactly(&Host::start(&third.node("r2")), &acknowledged);
}

#[test]
fn after_a_failback_it_lies_in_the_own_bucket() {
    let mut acknowledged = BTreeSet::new();
    let (east, west) = (primary(&mut acknowledged), Region::new());
    let host = Host::start(&reader(west.node("w").recovering_from(&east)));
    assert_exactly(&host, &acknowledged);
    host.drain();
    let snapshots = east.folder.path().join("bucket/globalsnapshots");
    std::fs::remove_dir_all(snapshots).unwrap();
    let home = east.node("home");
    let host = Host::start(&reader(home.clone().recovering_from(&west)));
    assert!(left(&host) > 0);
    assert_exactly(&host, &acknowledged);
    host.kill();
    let host = Host::start(&home);
    for n in 0..5 {
        send_some(&host, &format!("home-{n}"), &mut acknowledged);
        assert_exactly(&host, &acknowledged);
    }
    until_imported(&host);
    assert_exactly(&host, &acknowledged);
}

/// Killed again and again in the middle of it, nothing is taken in twice or left out.
#[test]
fn a_node_that_is_killed_while_it_imports_goes_on_where_it_was() {
    let mut acknowledged = BTreeSet::new();
    let (east, west) = (primary(&mut acknowledged), Region::new());
    // Each batch is a piece of its own.
    let vars = west
        .node("w")
        .with("BACKSTAY_SEGMENT_BYTES", "1")
        .recovering_from(&east);
    for millis in 0.. {
        let host = Host::start(&vars);
        assert_exactly(&host, &acknowledged);
        let ends = left(&host) == 0;
        std::thread::sleep(Duration::from_millis(millis));
        host.kill();
        if ends {
            break;
        }
    }
    assert!(segments(&west) >= 12);
}

/// The entries of the source's partitions, with events in them, by partition.
fn entries(region: &Region) -> Vec<Vec<PathBuf>> {
    let journal = region.folder.path().join("bucket/journal");
    let mut partitions = Vec::new();
    for entry in std::fs::read_dir(journal).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == "global" {
            continue;
        }
        let files = std::fs::read_dir(&path).unwrap();
        let mut files: Vec<PathBuf> = files.map(|it| it.unwrap().path()).collect();
        files.sort();
        partitions.push(files);
    }
    partitions
}

#[test]
fn a_damaged_entry_holds_up_its_own_partition_and_no_other() {
    let mut acknowledged = BTreeSet::new();
    let (east, west) = (primary(&mut acknowledged), Region::new());
    // It seals the source, so that what is damaged later is known to have been there.
    let vars = west.node("w").recovering_from(&east);
    Host::start(&reader(vars.clone())).kill();
    let partitions = entries(&east);
    // The first is the seal with which the partition began, the last that of the recovery.
    let whole = |files: &&Vec<PathBuf>| files.len() > 2;
    let victim = partitions.iter().find(whole).unwrap()[1].clone();
    let name = victim.file_name().unwrap().to_str().unwrap().to_owned();
    let good = std::fs::read(&victim).unwrap();
    std::fs::write(&victim, &good[..good.len() / 2]).unwrap();
    let host = Host::start(&vars.with("BACKSTAY_STATUS_GRACE_SECONDS", "1"));
    host.until("the others are imported", |engine| {
        let pending = engine.status().not_imported;
        pending.iter().map(|it| it.partitions).sum::<usize>() == 1
    });
    let refused = host.find().unwrap_err().to_string();
    assert!(refused.contains(&name), "{name} is not in: {refused}");
    host.until("it is told", |engine| {
        let degraded = engine.status().degraded;
        let import = degraded.iter().find(|it| it.what.starts_with("import"));
        import.is_some_and(|it| it.detail.contains(&name))
    });
    assert!(host.engine.status().ok);
    // Whether a batch with a key of that partition was stored before is not known.
    for n in 0..4 {
        let batch = Batch::plain(&format!("meanwhile-{n}"));
        send_until_acknowledged(&[&host], &batch);
        acknowledged.extend(batch.ids());
    }
    std::fs::write(&victim, &good).unwrap();
    until_imported(&host);
    assert_exactly(&host, &acknowledged);
}
