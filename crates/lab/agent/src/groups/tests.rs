#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn processes(all: &[(i32, u64)]) -> Vec<Process> {
    let process = |(pid, start): &(i32, u64)| Process {
        pid: *pid,
        start: *start,
    };
    all.iter().map(process).collect()
}

#[test]
fn only_groups_whose_leader_is_the_recorded_one_are_ended() {
    let there = processes(&[(10, 500), (11, 501), (12, 502), (30, 900)]);
    for (recorded, doomed) in [
        (vec![], vec![]),
        (vec![(10, 500)], vec![(10, 500)]),
        (vec![(12, 502), (30, 900)], vec![(12, 502), (30, 900)]),
        // The id means another process by now.
        (vec![(10, 499)], vec![]),
        (vec![(12, 500), (10, 500)], vec![(10, 500)]),
        // The leader has gone: what has its group now may be anybody.
        (vec![(20, 650)], vec![]),
    ] {
        assert_eq!(still_there(&recorded, &there), doomed, "{recorded:?}");
    }
}

#[test]
fn names_of_records_are_read_back_and_others_are_none() {
    assert_eq!(parse(&name(4711, 99)), Some((4711, 99)));
    for wrong in [
        "",
        "-",
        "1-5",
        "0-5",
        "-1-5",
        "x-5",
        "5-x",
        "5",
        "99999999999-1",
    ] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn nothing_is_hit_but_what_is_recorded_and_still_the_same(
        there in prop::collection::btree_map(2_i32..30, 0_u64..4, 0..30),
        recorded in prop::collection::vec((2_i32..30, 0_u64..4), 0..6),
    ) {
        let all: Vec<(i32, u64)> = there.iter().map(|(pid, start)| (*pid, *start)).collect();
        for (pid, start) in still_there(&recorded, &processes(&all)) {
            prop_assert!(recorded.contains(&(pid, start)));
            prop_assert_eq!(there.get(&pid), Some(&start));
        }
    }

    #[test]
    fn any_name_is_read(text in any::<String>()) {
        let _ = parse(&text);
    }
}

fn shell(script: &str, mark: Option<&Path>) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .process_group(0)
        .stdout(Stdio::piped());
    match mark {
        Some(mark) => command.env(MARK, mark),
        None => command.env_remove(MARK),
    };
    command.spawn().unwrap()
}

/// Reads to the end, which comes when all that hold the other end are dead.
fn drained(child: &mut Child) {
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
}

fn killed(mut child: Child) -> bool {
    child.wait().unwrap().signal() == Some(9)
}

#[test]
fn the_next_agent_ends_what_is_left_of_this_one() {
    let folder = TempDir::new().unwrap();
    let groups = Groups::open(folder.path()).unwrap();
    // Children in the group, without the mark; and one that has left the group, with it.
    let mut plain = shell("env -i sleep 600 & exec sleep 600", None);
    let mut left = shell(
        "setsid sleep 600 & exit",
        Some(&folder.path().join("pods/u/c")),
    );
    let other = TempDir::new().unwrap();
    let mut foreign = shell("exec sleep 600", Some(other.path()));
    // As when the agent is killed: nothing is dropped.
    std::mem::forget(groups.adopt(plain.id()).unwrap());
    std::mem::forget(groups.adopt(left.id()).unwrap());
    assert_eq!(groups.ids().len(), 2);
    left.wait().unwrap();

    let next = Groups::open(folder.path()).unwrap();
    drained(&mut plain);
    drained(&mut left);
    assert!(killed(plain));
    assert!(next.ids().is_empty());
    assert!(foreign.try_wait().unwrap().is_none());
    foreign.kill().unwrap();
    foreign.wait().unwrap();
}

fn state(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')')
        .unwrap()
        .1
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

fn until_state(pid: u32, wanted: &str) {
    let since = std::time::Instant::now();
    while state(pid) != wanted {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "{pid} is {}",
            state(pid)
        );
        std::thread::sleep(KILL_POLL_INTERVAL);
    }
}

#[test]
fn all_are_frozen_also_those_that_come() {
    let folder = TempDir::new().unwrap();
    let groups = Groups::open(folder.path()).unwrap();
    let first = shell("exec sleep 600", None);
    let one = groups.adopt(first.id()).unwrap();
    groups.freeze(true);
    assert!(*groups.frozen().borrow());
    until_state(first.id(), "T");
    let second = shell("exec sleep 600", None);
    let two = groups.adopt(second.id()).unwrap();
    until_state(second.id(), "T");
    groups.freeze(false);
    until_state(first.id(), "S");
    until_state(second.id(), "S");
    groups.freeze(true);
    // Dropped is killed, frozen or not, and the record goes.
    drop((one, two));
    assert!(killed(first) && killed(second));
    assert!(groups.ids().is_empty());
    assert_eq!(std::fs::read_dir(&groups.records).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_containers_that_end_at_a_time_are_all_swept() {
    let folder = TempDir::new().unwrap();
    let groups = Groups::open(folder.path()).unwrap();
    let spared = folder.path().join("pods/u1/containers/c");
    let mut other = shell("exec sleep 600", Some(&spared));
    let sweeps = (10..22).map(|number| {
        // One's mark is the beginning of another's, and ends only its own.
        let mark = folder.path().join(format!("pods/u{number}/containers/c"));
        let mut left = shell("setsid sleep 600 & exit", Some(&mark));
        let groups = groups.clone();
        tokio::spawn(async move {
            groups.sweep(mark.display().to_string()).await;
            // A thread of its own: one that waits for ever must not keep the test from failing.
            let (ended, end) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                // The shell's end is either's doing; that of its child is not.
                left.wait().unwrap();
                drained(&mut left);
                let _ = ended.send(());
            });
            end.await.unwrap();
        })
    });
    for sweep in sweeps.collect::<Vec<_>>() {
        let swept = tokio::time::timeout(Duration::from_secs(60), sweep).await;
        swept.unwrap().unwrap();
    }
    assert!(other.try_wait().unwrap().is_none());
    groups.sweep(spared.display().to_string()).await;
    assert!(killed(other));
}
