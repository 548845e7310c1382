use std::collections::BTreeSet;

use crate::host::{Batch, Host, Region, assert_exactly, send_until_acknowledged};

/// How many partitions a host writes.
fn owned(host: &Host) -> i64 {
    host.engine.metrics().partitions_owned.get()
}

#[test]
fn what_any_node_acknowledged_is_found_at_once_on_any_node() {
    let region = Region::new();
    let hosts: Vec<Host> = ["a", "b", "c"]
        .iter()
        .map(|node| Host::start(&region.node(node)))
        .collect();
    for host in &hosts {
        host.until("a fair share", |_| owned(host) >= 1 && owned(host) <= 2);
    }
    let mut acknowledged = BTreeSet::new();
    for n in 0..30 {
        let batch = Batch::plain(&format!("b{n}"));
        let first = &hosts[n % 3];
        send_until_acknowledged(&[first], &batch);
        acknowledged.extend(batch.ids());
        assert_exactly(&hosts[(n + 1) % 3], &acknowledged);
    }
}

#[test]
fn one_dropped_and_one_frozen_past_its_lease_lose_and_double_nothing() {
    let region = Region::new();
    let a = Host::start(&region.node("a"));
    let b = Host::start(&region.node("b"));
    let c = Host::start(&region.node("c"));
    for host in [&a, &b, &c] {
        host.until("a fair share", |_| owned(host) >= 1 && owned(host) <= 2);
    }
    let mut acknowledged = BTreeSet::new();
    let mut send = |hosts: &[&Host], name: String| {
        let batch = Batch::keyed(&name);
        send_until_acknowledged(hosts, &batch);
        acknowledged.extend(batch.ids());
    };
    for n in 0..20 {
        send(&[&a, &b, &c], format!("all-{n}"));
    }
    a.kill();
    for n in 0..20 {
        send(&[&b, &c], format!("two-{n}"));
    }
    let frozen = b.freeze();
    let waits = c.engine.clone();
    c.run(async move { waits.gone("http://b.test/").await });
    c.until("everything is taken over", |_| owned(&c) == 4);
    for n in 0..20 {
        send(&[&c], format!("one-{n}"));
    }
    let lost_before = b.engine.metrics().partitions_lost.get();
    drop(frozen);
    // Whatever the thawed one is asked first, it must not acknowledge what will not be found.
    for n in 0..20 {
        send(&[&b, &c], format!("thawed-{n}"));
    }
    b.until("the thawed node finds itself fenced", |engine| {
        engine.metrics().partitions_lost.get() > lost_before
    });
    b.until("it gets its share again", |_| owned(&b) == 2);
    for n in 0..20 {
        send(&[&b, &c], format!("again-{n}"));
    }
    // A client that tries the first batches once more, wherever, doubles nothing.
    for n in 0..20 {
        let batch = Batch::keyed(&format!("all-{n}"));
        assert!(send_until_acknowledged(&[&b, &c], &batch));
    }
    assert_exactly(&b, &acknowledged);
    assert_exactly(&c, &acknowledged);
}

#[test]
fn roles_share_the_work() {
    let region = Region::new();
    let ingest = Host::start(&region.node("i").with("NODE_ROLES", "ingestonly"));
    let ui = Host::start(&region.node("u").with("NODE_ROLES", "httponly"));
    let mut acknowledged = BTreeSet::new();
    for n in 0..10 {
        let batch = Batch::plain(&format!("b{n}"));
        send_until_acknowledged(&[&ingest], &batch);
        acknowledged.extend(batch.ids());
        assert_exactly(&ui, &acknowledged);
    }
    assert!(ingest.find().is_err(), "it says that it does not search");
    assert_eq!(owned(&ui), 0);
}
