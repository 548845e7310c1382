use std::collections::BTreeSet;

use backstay_node::{IngestError, Phase};

use crate::host::{Batch, Host, Region, Vars, assert_exactly, segments, send_until_acknowledged};

fn send_some(host: &Host, what: &str, acknowledged: &mut BTreeSet<String>) {
    for n in 0..15 {
        let batch = Batch::keyed(&format!("{what}-{n}"));
        send_until_acknowledged(&[host], &batch);
        acknowledged.extend(batch.ids());
    }
}

/// Nothing goes into a segment by itself.
fn lazy(vars: Vars) -> Vars {
    vars.with("BACKSTAY_SEGMENT_BYTES", "100000000")
}

#[test]
fn a_standby_finds_what_had_not_reached_a_segment() {
    let (east, west) = (Region::new(), Region::new());
    let mut acknowledged = BTreeSet::new();
    let primary = Host::start(&lazy(east.node("p")));
    send_some(&primary, "tail", &mut acknowledged);
    primary.kill();
    assert_eq!(segments(&east), 0, "all of it is in the journal only");
    let standby = Host::start(&west.node("s").recovering_from(&east));
    assert_exactly(&standby, &acknowledged);
    standby.until("the standby has it as its own", |_| segments(&west) > 0);
    assert_exactly(&standby, &acknowledged);
    send_some(&standby, "after", &mut acknowledged);
    assert_exactly(&standby, &acknowledged);
}

#[test]
fn a_client_that_retries_across_the_failover_doubles_nothing() {
    let (east, west) = (Region::new(), Region::new());
    let mut acknowledged = BTreeSet::new();
    let primary = Host::start(&east.node("p"));
    send_some(&primary, "b", &mut acknowledged);
    primary.kill();
    let vars = west.node("s").recovering_from(&east);
    let standby = Host::start(&vars);
    for n in 0..15 {
        let batch = Batch::keyed(&format!("b-{n}"));
        assert!(send_until_acknowledged(&[&standby], &batch), "{n} is known");
    }
    assert_exactly(&standby, &acknowledged);
    // Nor when the standby itself is started again before the client tries.
    standby.kill();
    let standby = Host::start(&vars);
    assert!(send_until_acknowledged(&[&standby], &Batch::keyed("b-0")));
    assert_exactly(&standby, &acknowledged);
}

#[test]
fn a_primary_that_still_runs_is_fenced() {
    let (east, west) = (Region::new(), Region::new());
    let mut acknowledged = BTreeSet::new();
    let primary = Host::start(&east.node("p"));
    send_some(&primary, "before", &mut acknowledged);
    let standby = Host::start(&west.node("s").recovering_from(&east));
    primary.until("it knows", |engine| {
        matches!(engine.phase(), Phase::Fenced { .. })
    });
    let refused = primary.send(&Batch::plain("late")).unwrap_err();
    assert!(matches!(refused, IngestError::Fenced { .. }), "{refused}");
    let status = primary.engine.status();
    assert!(!status.ok);
    assert!(status.reason.unwrap().contains("fenced"));
    assert_exactly(&standby, &acknowledged);
    // Nor does it take anything after a restart.
    primary.kill();
    let again = Host::begin(&east.node("p"));
    again.until("it has looked", |engine| {
        matches!(engine.phase(), Phase::Fenced { .. } | Phase::Failed(_))
    });
    assert!(again.send(&Batch::plain("later")).is_err());
}

#[test]
fn there_and_back_and_there_again() {
    let (east, west) = (Region::new(), Region::new());
    let mut acknowledged = BTreeSet::new();
    let mut region = (&east, &west);
    let mut host = Host::start(&lazy(east.node("first")));
    for hop in 0..3 {
        send_some(&host, &format!("hop-{hop}"), &mut acknowledged);
        assert_exactly(&host, &acknowledged);
        host.kill();
        let (from, to) = region;
        // As the runbook does: the old snapshots of the side that comes back are deleted, its
        // segments and its journal stay.
        let snapshots = to.folder.path().join("bucket/globalsnapshots");
        let _ = std::fs::remove_dir_all(snapshots);
        let vars = to.node(&format!("data-{hop}"));
        host = Host::start(&lazy(vars.recovering_from(from)));
        assert_exactly(&host, &acknowledged);
        region = (to, from);
    }
    send_some(&host, "home", &mut acknowledged);
    assert_exactly(&host, &acknowledged);
}
