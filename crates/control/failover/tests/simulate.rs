//! A deterministic simulation of two instances of the watch and the world around them.
//!
//! One seed gives everything: what goes wrong and when, latencies, clocks. The code under test is
//! the real decision, the real lock and the real plan; around them is a process as the crate's
//! documentation describes it, and a judge who knows what really happened.
//!
//! - `BACKSTAY_SIM_SEEDS=100000` tries so many seeds, beginning at `BACKSTAY_SIM_FIRST`;
//! - `BACKSTAY_SIM_SEED=4711 cargo test -p backstay-failover --test simulate -- --nocapture one`
//!   replays one and prints what happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "simulate/bug.rs"]
mod bug;
#[path = "simulate/engine.rs"]
mod engine;
#[path = "simulate/instance.rs"]
mod instance;
#[path = "simulate/judge.rs"]
mod judge;
#[path = "simulate/look.rs"]
mod look;
#[path = "simulate/scenario.rs"]
mod scenario;
#[path = "simulate/trace.rs"]
mod trace;
#[path = "simulate/world.rs"]
mod world;

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bug::Bug;
use judge::{Broken, Promise};
use scenario::{Fate, Scenario};

/// How many seeds are tried when nobody says otherwise.
const SEEDS: u64 = 10_000;
/// Within so many seeds a planted bug must be found.
const UNTIL_FOUND: u64 = 40_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// The first seed among these that breaks this promise (any, if `None`), tried on all cores.
fn first_broken(
    seeds: std::ops::Range<u64>,
    bug: Option<Bug>,
    promise: Option<Promise>,
) -> Option<(u64, Broken)> {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    break;
                }
                let broken = engine::run(seed, bug, false).broken;
                let wanted = |it: &Broken| promise.is_none_or(|promise| it.promise == promise);
                if let Some(broken) = broken.filter(wanted) {
                    stop.store(true, Ordering::Relaxed);
                    return Some((seed, broken));
                }
            }
            None
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let found = workers.into_iter().filter_map(|it| it.join().unwrap());
        found.min_by_key(|it| it.0)
    })
}

#[test]
fn no_seed_breaks_a_promise() {
    let first = number("BACKSTAY_SIM_FIRST").unwrap_or(0);
    let seeds = number("BACKSTAY_SIM_SEEDS").unwrap_or(SEEDS);
    if let Some((seed, broken)) = first_broken(first..first + seeds, None, None) {
        let trace = engine::run(seed, None, true).trace.unwrap();
        panic!(
            "{trace}\nseed {seed} breaks {broken}\nreplay: BACKSTAY_SIM_SEED={seed} cargo test \
             -p backstay-failover --test simulate -- --nocapture one"
        );
    }
}

#[test]
fn one_seed_is_replayed() {
    let seed = number("BACKSTAY_SIM_SEED").unwrap_or(1);
    let outcome = engine::run(seed, None, true);
    eprintln!("{}", outcome.trace.unwrap());
    assert_eq!(outcome.broken, None, "seed {seed}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..40 {
        let (one, two) = (engine::run(seed, None, true), engine::run(seed, None, true));
        assert!(one.trace == two.trace, "seed {seed}");
        assert_ne!(one.trace, engine::run(seed + 1, None, true).trace);
    }
}

#[test]
fn the_worlds_are_of_every_kind() {
    let mut begun = [0; 3];
    let mut spared = [0; 3];
    for seed in 0..300 {
        let place = match Scenario::new(seed).fate {
            Fate::Lives => 0,
            Fate::Dies => 1,
            Fate::CrashLoops => 2,
        };
        match engine::run(seed, None, false).begun {
            Some(_) => begun[place] += 1,
            None => spared[place] += 1,
        }
    }
    // Primaries that live were down for long before, or not.
    assert!(begun.iter().all(|it| *it > 10), "{begun:?}");
    assert!(spared[0] > 10, "{spared:?}");
    assert_eq!(&spared[1..], &[0, 0]);
}

#[test]
fn settings_of_all_worlds_are_possible() {
    for seed in 0..1_000 {
        Scenario::new(seed).settings.check().unwrap();
    }
}

#[test]
fn planted_bugs_are_found() {
    let mut unfound = Vec::new();
    for (bug, promise) in Bug::FOUND {
        match first_broken(0..UNTIL_FOUND, Some(bug), Some(promise)) {
            Some((seed, broken)) => eprintln!("{bug:?}: seed {seed} breaks {broken}"),
            None => unfound.push(bug),
        }
    }
    assert_eq!(unfound, []);
}

#[test]
fn nothing_depends_on_the_run_lock() {
    assert_eq!(first_broken(0..1_000, Some(Bug::LockIgnored), None), None);
}
