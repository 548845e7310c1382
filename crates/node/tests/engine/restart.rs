use std::collections::BTreeSet;

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_node::Phase;

use crate::host::{Batch, Host, Region, assert_exactly, segments, send_until_acknowledged};

fn send_some(host: &Host, round: u32, acknowledged: &mut BTreeSet<String>) {
    for n in 0..20 {
        let name = format!("r{round}-{n}");
        let batch = if n % 2 == 0 {
            Batch::keyed(&name)
        } else {
            Batch::plain(&name)
        };
        send_until_acknowledged(&[host], &batch);
        acknowledged.extend(batch.ids());
        assert_exactly(host, acknowledged);
    }
}

#[test]
fn a_restart_keeps_everything_however_the_node_ended() {
    let region = Region::new();
    let vars = region.node("a");
    let mut acknowledged = BTreeSet::new();
    for round in 0..4 {
        let host = Host::start(&vars);
        assert_exactly(&host, &acknowledged);
        send_some(&host, round, &mut acknowledged);
        if round % 2 == 0 {
            host.kill();
        } else {
            host.drain();
        }
    }
    assert!(segments(&region) > 0, "some of it is in segments");
    assert_exactly(&Host::start(&vars), &acknowledged);
}

#[test]
fn a_restart_without_its_data_folder_keeps_everything_too() {
    let region = Region::new();
    let mut acknowledged = BTreeSet::new();
    let host = Host::start(&region.node("a"));
    send_some(&host, 0, &mut acknowledged);
    host.kill();
    let host = Host::start(&region.node("another-data-folder"));
    assert_exactly(&host, &acknowledged);
    send_until_acknowledged(&[&host], &Batch::keyed("last"));
    acknowledged.extend(Batch::keyed("last").ids());
    assert_exactly(&host, &acknowledged);
}

#[test]
fn a_batch_that_is_sent_again_is_stored_once_even_across_a_restart() {
    let region = Region::new();
    let vars = region.node("a");
    let batch = Batch::keyed("once");
    let acknowledged: BTreeSet<String> = batch.ids().into_iter().collect();
    let host = Host::start(&vars);
    assert!(!send_until_acknowledged(&[&host], &batch));
    assert!(send_until_acknowledged(&[&host], &batch));
    host.kill();
    let host = Host::start(&vars);
    assert!(send_until_acknowledged(&[&host], &batch));
    assert_exactly(&host, &acknowledged);
}

#[test]
fn a_node_that_drains_takes_nothing_more_and_says_so() {
    let region = Region::new();
    let host = Host::start(&region.node("a"));
    assert!(host.engine.status().ok);
    let engine = host.engine.clone();
    host.run(async move { engine.drain().await });
    assert_eq!(host.engine.phase(), Phase::Draining);
    assert!(host.send(&Batch::plain("late")).is_err());
    let status = host.engine.status();
    assert!(!status.ok && status.reason.is_some());
}

/// A cluster that was begun with a key that is refused now, as by an older version.
#[test]
fn a_short_key_is_refused_for_a_new_cluster_and_goes_on_for_one_that_has_it() {
    let region = Region::new();
    let key = "short";
    let vars = region.node("a").with("LOCAL_STORAGE_ENCRYPTION_KEY", key);
    let host = Host::begin(&vars);
    host.until("it is refused", |engine| {
        matches!(engine.phase(), Phase::Failed(_))
    });
    let Phase::Failed(why) = host.engine.phase() else {
        panic!("it has started")
    };
    assert!(why.contains("LOCAL_STORAGE_ENCRYPTION_KEY"), "{why}");
    assert!(!why.contains(key), "{why}");
    host.kill();

    let config = BucketConfig::local(
        region.folder.path().join("bucket"),
        key.to_owned().into(),
        Role::Own,
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bucket = Bucket::open(config).await.unwrap();
        let identity = br#"{"clusterId":"old"}"#;
        bucket
            .put_if_absent("cluster.json", identity.to_vec().into())
            .await
            .unwrap();
    });
    let mut acknowledged = BTreeSet::new();
    for round in 0..2 {
        let host = Host::start(&vars);
        send_some(&host, round, &mut acknowledged);
        host.kill();
    }
    assert_exactly(&Host::start(&vars), &acknowledged);
}

/// What a writer that was killed in the middle of an object has left next to its place.
#[test]
fn what_a_crash_left_beside_an_object_is_removed_when_it_is_old() {
    let region = Region::new();
    let vars = region.node("a");
    Host::start(&vars).kill();
    let journal = region.folder.path().join("bucket/journal/0");
    let (old, young) = (journal.join("7#1"), journal.join("8#1"));
    std::fs::create_dir_all(&journal).unwrap();
    for path in [&old, &young] {
        std::fs::write(path, "half").unwrap();
    }
    let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let file = std::fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(hours_ago).unwrap();
    let host = Host::start(&vars);
    host.until("it is gone", |_| !old.exists());
    assert!(young.exists());
}
