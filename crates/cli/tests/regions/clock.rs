//! A clock that jumps by a day, forward and back, on one of two nodes while clients send.
//!
//! The jump is made by libfaketime (Debian's package `faketime`), which the node is started under
//! and which reads the offset from a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backstay_lab::supervisor::{NodeProcess, NodeSpec};
use bytes::Bytes;
use futures::TryStreamExt;

use crate::world::{
    Clients, REPOSITORY, WAIT_TIMEOUT, World, log, metric, ready, recovering, set_up, until, with,
};

/// The library; `None`, the test being skipped, where it is not installed.
fn library() -> Option<PathBuf> {
    let found = std::fs::read_dir("/usr/lib").ok()?.find_map(|entry| {
        let library = entry.ok()?.path().join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    if found.is_none() {
        backstay_testkit::skip("libfaketime is not installed; it is in Debian's package faketime");
    }
    found
}

struct Clock {
    offset: PathBuf,
}

impl Clock {
    fn new(offset: PathBuf) -> Self {
        let clock = Self { offset };
        clock.set("+0");
        clock
    }

    fn set(&self, offset: &str) {
        // Never half a file: the node may read at any time.
        let new = self.offset.with_extension("new");
        std::fs::write(&new, format!("{offset}\n")).unwrap();
        std::fs::rename(&new, &self.offset).unwrap();
    }

    fn of(&self, node: &NodeSpec, library: &Path) -> NodeSpec {
        let node = with(node, "LD_PRELOAD", &library.display().to_string());
        let node = with(
            &node,
            "FAKETIME_TIMESTAMP_FILE",
            &self.offset.display().to_string(),
        );
        with(&node, "FAKETIME_CACHE_DURATION", "1")
    }
}

/// The day that a node takes it to be, by the stamp of its last line.
fn day(node: &NodeProcess) -> String {
    let said = log(node.log_file());
    // What is behind the last end of line may be half a line.
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let stamped = |line: &str| line.starts_with("20") && line.get(10..11) == Some("T");
    let last = whole.lines().rev().find(|line| stamped(line)).unwrap();
    last[..10].to_owned()
}

async fn jumps(offsets: &[&str], monotonic_too: bool) {
    let Some(library) = library() else {
        return;
    };
    let mut world = World::folders();
    let region = world.region("east").await;
    let clock = Clock::new(world.path("offset"));
    // So long that a busy machine kills nobody: whoever dies here dies of the clock.
    let patient = |name| {
        with(
            &world.node(name, region.own()),
            "BACKSTAY_LEASE_MS",
            "20000",
        )
    };
    let faked = clock.of(&patient("jumping"), &library);
    // Lines at all times, which are stamped.
    let faked = with(&faked, "BACKSTAY_LOG", "debug");
    let faked = if monotonic_too {
        faked
    } else {
        with(&faked, "FAKETIME_DONT_FAKE_MONOTONIC", "1")
    };
    let jumping = ready(&faked).await;
    let token = set_up(&jumping).await;
    let steady = ready(&patient("steady")).await;
    until("both own partitions", || async {
        let owned = (
            metric(&jumping, "partitions_owned").await,
            metric(&steady, "partitions_owned").await,
        );
        match owned {
            (Ok(1..), Ok(1..)) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let mut clients = Clients::start(&[&jumping, &steady], &token).await;
    clients.flow(300).await;
    for offset in offsets {
        let before = day(&jumping);
        clock.set(offset);
        until("the clock has jumped", || async {
            let now = day(&jumping);
            if now == before { Err(now) } else { Ok(()) }
        })
        .await;
        clients.flow(600).await;
    }
    clients.pause().await;
    for node in [&jumping, &steady] {
        clients.all_found(node).await;
        let said = log(node.log_file());
        if !monotonic_too {
            assert!(!said.contains("declared dead"), "{said}");
            assert_eq!(metric(node, "hosts_alive").await, Ok(2));
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_a_day_costs_nothing_and_nobody() {
    jumps(&["+1d", "-1d", "+0"], false).await;
}

/// As no real machine does: even the clock that only ever counts on jumps. Whoever takes the other
/// for dead then must still not take anything away from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monotonic_clock_that_jumps_a_day_costs_nothing() {
    jumps(&["+1d"], true).await;
}

/// Keyed batches of one event each.
const BATCHES: u32 = 40;

/// Sends all batches until each is acknowledged. With every call they are the same.
async fn send_all(node: &NodeProcess, token: &str) {
    for n in 0..BATCHES {
        let at = "2026-01-01T00:00:00Z";
        let body = format!(
            r#"[{{"tags":{{}},"events":[{{"timestamp":"{at}","attributes":{{"clocked":"{n}"}}}}]}}]"#
        );
        let key = format!("clocked-{n}");
        until("it is acknowledged", || {
            node.client().ingest(token, &key, Bytes::from(body.clone()))
        })
        .await;
    }
}

/// How many events there are of each batch.
async fn stored(node: &NodeProcess) -> Vec<String> {
    let admin = node.admin_token().unwrap();
    let query = "clocked=* | groupBy(clocked, limit=1000)";
    let rows = node
        .client()
        .query(&admin, REPOSITORY, query)
        .await
        .unwrap();
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    rows.iter()
        .map(|row| row["_count"].as_str().unwrap().to_owned())
        .collect()
}

/// A region whose clock is off by `primary` dies; the standby, whose clock is off by `standby`, dies in
/// the middle of its recovery and again and again, and serves only when its clock says `late`. Then all
/// that was acknowledged is sent again.
async fn wrong(primary: &str, standby: &str, late: &str) {
    let Some(library) = library() else {
        return;
    };
    let mut world = World::folders();
    let (east, west) = (world.region("east").await, world.region("west").await);
    let under = |name: &str, env, clock: &Clock| {
        let node = with(&world.node(name, env), "BACKSTAY_TRIM_SECONDS", "600");
        with(
            &clock.of(&node, &library),
            "FAKETIME_DONT_FAKE_MONOTONIC",
            "1",
        )
    };
    let clock = Clock::new(world.path("east-offset"));
    clock.set(primary);
    let mut node = ready(&under("east", east.own(), &clock)).await;
    let token = set_up(&node).await;
    send_all(&node, &token).await;
    node.kill().await.unwrap();
    let clock = Clock::new(world.path("west-offset"));
    clock.set(standby);
    let spec = under("west", recovering(&east, &west), &clock);
    for millis in [300, 900, 0] {
        let mut node = NodeProcess::start(&spec).unwrap();
        if millis == 0 {
            node.ready(WAIT_TIMEOUT).await.unwrap();
        } else {
            // Somewhere on its way, wherever that is.
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        node.kill().await.unwrap();
    }
    clock.set(late);
    let mut node = ready(&spec).await;
    send_all(&node, &token).await;
    assert_eq!(stored(&node).await, vec!["1"; BATCHES as usize]);
    // And after one more life.
    node.kill().await.unwrap();
    let node = ready(&spec).await;
    send_all(&node, &token).await;
    assert_eq!(stored(&node).await, vec!["1"; BATCHES as usize]);
    world.end().await;
}

/// Keys are known however wrong the clocks of both regions are, and however late a standby is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_known_to_a_standby_whatever_the_clocks_say() {
    for (primary, standby, late) in [
        ("+15m", "-15m", "-15m"),
        ("-15m", "+15m", "+15m"),
        ("-15m", "-15m", "+7d"),
        ("+15m", "+0", "-7d"),
    ] {
        wrong(primary, standby, late).await;
    }
}
