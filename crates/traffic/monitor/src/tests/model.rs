use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::evaluate::{Bench, quick};
use crate::evaluate::{CLEAR_EVALUATIONS, Evaluator, Subject, Turn};

#[derive(Clone, Debug)]
enum Act {
    Up(Option<bool>),
    Run(u64),
    Jump(i64),
    /// The disk is full, or is not.
    Durable(bool),
    /// Killed and started again.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => prop_oneof![Just(None), Just(Some(true)), Just(Some(false))].prop_map(Act::Up),
        5 => (1_u64..12).prop_map(Act::Run),
        1 => (-500_i64..500).prop_map(Act::Jump),
        1 => any::<bool>().prop_map(Act::Durable),
        1 => Just(Act::Restart),
    ]
}

/// What is to come, worked out from everything that was seen.
struct Model {
    window: u64,
    seen: Vec<(u64, bool)>,
    sampled_until: u64,
    evaluated_until: u64,
    /// Evaluations in a row that have not met the condition.
    clear: u32,
}

impl Model {
    fn new(window: u64, now: u64) -> Self {
        Self {
            window,
            seen: Vec::new(),
            sampled_until: now,
            evaluated_until: now + 1,
            clear: 0,
        }
    }

    /// What an evaluation at this time comes to.
    fn tick(&mut self, now: u64, up: Option<bool>, fired: bool) -> Option<Turn> {
        self.sampled_until = self.sampled_until.min(now + 1);
        self.evaluated_until = self.evaluated_until.min(now + 1);
        let evaluates = now >= self.evaluated_until;
        if evaluates || now >= self.sampled_until {
            if let Some(up) = up {
                self.forget(now);
                self.seen.push((now, up));
            }
            self.sampled_until = now + 1;
        }
        if !evaluates {
            return None;
        }
        self.evaluated_until = now + 1;
        self.forget(now);
        if self.seen.is_empty() {
            return None;
        }
        let down = self.seen.iter().all(|(_, up)| !up);
        self.clear = if fired && !down { self.clear + 1 } else { 0 };
        match (fired, down) {
            (false, true) => Some(Turn::Fire),
            (true, false) if self.clear >= CLEAR_EVALUATIONS => Some(Turn::Resolve),
            _ => None,
        }
    }

    fn forget(&mut self, now: u64) {
        if self.seen.iter().any(|(at, _)| *at > now) {
            self.seen.clear();
        }
        self.seen.retain(|(at, _)| now - at < self.window);
    }
}

proptest! {
    /// Whatever happens (flapping, a clock that jumps, a disk that takes nothing, restarts), it
    /// does what the model says, and what is durable is fired, resolved, fired, resolved…
    #[test]
    fn it_does_what_the_model_says_whatever_happens(
        acts in proptest::collection::vec(act(), 1..60),
        window in 1_u32..8,
    ) {
        let mut bench = Bench::new(quick(window));
        let mut model = Model::new(window.into(), 0);
        let mut durable = true;
        // What is on disk.
        let mut fired: BTreeSet<Subject> = BTreeSet::new();
        for act in acts {
            match act {
                Act::Up(up) => {
                    bench.up.insert("primary", up);
                }
                Act::Jump(by) => bench.now = bench.now.saturating_add_signed(by),
                Act::Durable(it) => durable = it,
                Act::Restart => {
                    let rule = Arc::clone(bench.evaluator.rule());
                    let now = Duration::from_secs(bench.now);
                    bench.evaluator = Evaluator::new(rule, fired.clone(), now);
                    model = Model::new(window.into(), bench.now);
                }
                Act::Run(seconds) => for _ in 0..seconds {
                    let expected = model.tick(bench.now, bench.up["primary"], !fired.is_empty());
                    let turned = bench.tick();
                    let turns: Vec<_> = turned.iter().map(|it| it.turn).collect();
                    prop_assert_eq!(turns, Vec::from_iter(expected));
                    for turned in turned {
                        if !durable {
                            continue;
                        }
                        bench.evaluator.happened(&turned);
                        let subject = turned.subject;
                        let changed = match turned.turn {
                            Turn::Fire => fired.insert(subject),
                            Turn::Resolve => fired.remove(&subject),
                        };
                        prop_assert!(changed, "{:?} twice", turned.turn);
                    }
                },
            }
        }
    }
}
