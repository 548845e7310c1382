//! Several instances, side by side or one after the other, are as good as one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backstay_failover::marks::DEGRADED_SINCE;

use crate::clients::Client;
use crate::control::{HANG, HOLDOFF};
use crate::ended::is_failed_over;
use crate::marks::{annotations, events, run, watch};
use crate::world::{Logs, World, no_kubectl};

#[test]
fn two_watches_act_as_one() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let mut client = Client::of_primary(&world);
    client.until_acknowledged(50);
    let watches = [watch(&world, "one", &[]), watch(&world, "two", &[])];
    for watch in &watches {
        watch.until_state("healthy");
    }
    world.done(&["lab", "kill-region", "primary"]);
    let mut runs = BTreeSet::new();
    let start = Instant::now();
    loop {
        runs.extend(run(&world));
        let statuses = watches.each_ref().map(|it| it.status());
        let ids = statuses.iter().filter_map(|it| it["run"]["id"].as_str());
        runs.extend(ids.map(str::to_owned));
        if statuses.iter().all(|it| it["state"] == "failed-over") {
            break;
        }
        assert!(start.elapsed() < HANG, "{statuses:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(runs.len(), 1, "{runs:?}");
    for watch in &watches {
        is_failed_over(&world, &watch.until_state("failed-over"));
    }
    let id = runs.first().unwrap();
    let reasons = ["HoldoffStarted", "FailoverStarted", "FailoverFinished"];
    let told = || reasons.map(|reason| events(&world, reason));
    // The last one is written when the run is done already.
    while told().iter().any(Vec::is_empty) {
        assert!(start.elapsed() < HANG, "{:?}", told());
        std::thread::sleep(Duration::from_millis(100));
    }
    for written in told() {
        assert_eq!(written.len(), 1, "{written:?}");
        assert_eq!(written[0].1, 1, "{written:?}");
    }
    assert!(told()[1][0].2.contains(id), "{:?}", told());
    for watch in watches {
        watch.kill();
    }

    // Whoever comes next finds it done, and does nothing.
    let lease = "kubectl --context aks-secondary -n logging get lease backstay-failover -o json";
    let before = (annotations(&world), told(), world.shell(lease));
    let third = watch(&world, "third", &[]);
    is_failed_over(&world, &third.until_state("failed-over"));
    third.rounds_pass(3, |status| status["state"] == "failed-over");
    assert_eq!((annotations(&world), told(), world.shell(lease)), before);
    assert!(client.check(&world) >= 50);
    third.end();
    world.down();
}

#[test]
fn a_watch_that_restarts_keeps_the_holdoff_and_an_answer_ends_it() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    // A primary that answers again within the holdoff.
    let first = watch(&world, "first", &[(HOLDOFF, "600")]);
    first.until_state("healthy");
    world.done(&["lab", "kill-region", "primary"]);
    first.until_state("holding");
    assert!(annotations(&world)[DEGRADED_SINCE].is_string());
    world.done(&["lab", "restore", "primary"]);
    let status = first.until("an answer", |status| {
        status["state"] == "resolved" || status["state"] == "healthy"
    });
    assert!(status["run"].is_null(), "{status:#}");
    first.until("the end of the holdoff", |status| {
        status["degraded_since"].is_null()
    });
    assert!(annotations(&world)[DEGRADED_SINCE].is_null());
    assert_eq!(events(&world, "HoldoffEnded").len(), 1);
    first.end();

    // One that stays dead, while the watch dies in the middle of the holdoff.
    let second = watch(&world, "second", &[(HOLDOFF, "6")]);
    second.until("an answer", |status| {
        status["state"] == "resolved" || status["state"] == "healthy"
    });
    world.done(&["lab", "kill-region", "primary"]);
    let status = second.until("half of the holdoff", |status| {
        let left = status["holdoff_left_ms"].as_u64();
        left.is_some_and(|left| left <= 3000)
    });
    second.kill();
    let since = status["degraded_since"].as_u64().unwrap();
    let mark = annotations(&world)[DEGRADED_SINCE].clone();
    assert_eq!(mark, since.to_string(), "{status:#}");
    let third = watch(&world, "third", &[(HOLDOFF, "6")]);
    let status = third.until("the beginning of the run", |status| {
        let now = &status["degraded_since"];
        let run = &status["run"]["began"];
        assert!(
            !run.is_null() || now.is_null() || *now == since,
            "{status:#}"
        );
        !run.is_null()
    });
    let began = status["run"]["began"].as_u64().unwrap();
    assert!(began >= since + 6, "{status:#}");
    is_failed_over(&world, &third.until_state("failed-over"));
    third.end();
    world.down();
}
