use std::collections::BTreeSet;

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
