#![allow(clippy::unwrap_used)]

mod property;
mod refusals;
mod taken;

use super::*;
use crate::marks::Run;
use crate::observation::{Control, Ours, Saw};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The server's clock when ours says zero.
const THEN: u64 = 1_000_000;

fn settings() -> Settings {
    Settings {
        failures: 2,
        ..Settings::default()
    }
}

fn lock(mine: bool) -> Known<Lock> {
    let revision = Revision("l".to_owned());
    Known::Is(match mine {
        true => Lock::Mine(revision),
        false => Lock::Free(Some(revision)),
    })
}

/// A look at that time, which sees this; all else is well.
fn look(at: u64, saw: Saw, marks: &Marks) -> Look {
    Look {
        began: seconds(at),
        mono: seconds(at),
        observations: vec![Observation {
            from: "here".to_owned(),
            saw,
        }],
        ours: OurSide {
            dns: Control::Works,
            network: Control::Works,
        },
        reading: Known::Is(Reading {
            marks: marks.clone(),
            revision: Revision("r".to_owned()),
            now: Epoch(THEN + at),
        }),
        lock: lock(true),
        standby: Known::Is(Vec::new()),
        endpoint: Known::Is(Endpoint::Enabled),
        term: Known::Is(Side::Primary),
        demand: Demand::Watch,
        run_id: "new".to_owned(),
    }
}

/// The marks of a holdoff since then, last kept up then.
fn held(since: u64, kept: u64) -> Marks {
    Marks {
        degraded_since: Some(Epoch(THEN + since)),
        seen_down: Some(Epoch(THEN + kept)),
        unstable_since: Some(Epoch(THEN + since)),
        ..Marks::default()
    }
}

/// One instance, and the marks that it alone changes.
struct Alone {
    settings: Settings,
    memory: Memory,
    marks: Marks,
}

impl Alone {
    fn new(marks: Marks) -> Self {
        Self {
            settings: settings(),
            memory: Memory::default(),
            marks,
        }
    }

    fn sees(&mut self, at: u64, saw: Saw) -> Decision {
        let look = look(at, saw, &self.marks);
        self.decides(&look)
    }

    fn decides(&mut self, look: &Look) -> Decision {
        let decision = decide(&self.settings, &mut self.memory, look);
        if let Some(persist) = &decision.persist {
            self.marks = persist.to.clone();
        }
        decision
    }
}

fn begins(decision: &Decision) -> bool {
    decision.next.contains(&Next::Begin)
}

fn codes(decision: &Decision) -> Vec<Code> {
    decision.reasons.iter().map(|it| it.code).collect()
}

#[test]
fn the_whole_story() {
    let mut alone = Alone::new(Marks::default());
    let steps = [
        (0, Saw::Answers, State::Healthy),
        (10, Saw::TimedOut, State::Suspect),
        (20, Saw::TimedOut, State::Holding),
        (80, Saw::Refused, State::Holding),
        (140, Saw::Refused, State::Holding),
        (199, Saw::Refused, State::Holding),
    ];
    for (at, saw, state) in steps {
        let decision = alone.sees(at, saw);
        assert_eq!(decision.state, state, "{at}");
        assert!(!begins(&decision), "{at}");
    }
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 20)));
    // What it has written at 20 it has first read at 80, with a second's doubt.
    let begin = alone.sees(201, Saw::WrongStatus(503));
    assert_eq!((begin.state, begins(&begin)), (State::Holding, true));
    let persist = begin.persist.unwrap();
    assert_eq!(persist.expected, Revision("r".to_owned()));
    let run = persist.to.run.unwrap();
    assert_eq!((run.id.as_str(), run.stage), ("new", Stage::Acting));
    assert_eq!(persist.to.last_failover, Some(Epoch(THEN + 201)));
    // Even if the primary comes back now.
    let goes_on = alone.sees(202, Saw::Answers);
    assert_eq!(goes_on.state, State::FailingOver);
    assert_eq!(goes_on.next, [Next::TakeOver(Revision("l".to_owned()))]);
    assert!(goes_on.says(Code::PrimaryAnswers));
    let look = look(203, Saw::Answers, &alone.marks);
    let done = Persist::finish(look.reading.known().unwrap()).unwrap();
    alone.marks = done.to;
    let after = alone.sees(210, Saw::Answers);
    assert_eq!(after.state, State::FailedOver);
}

#[test]
fn one_bad_look_is_no_holdoff_and_a_storm_of_alerts_is_one_look() {
    let mut alone = Alone::new(Marks::default());
    for at in 10..20 {
        let decision = alone.sees(at, Saw::TimedOut);
        assert_eq!(decision.state, State::Suspect, "{at}");
    }
    assert_eq!(alone.sees(20, Saw::TimedOut).state, State::Holding);
}

#[test]
fn a_new_instance_goes_on_with_a_holdoff() {
    let mut alone = Alone::new(held(0, 170));
    let first = alone.sees(181, Saw::TimedOut);
    assert!(first.says(Code::NotYetSure));
    assert!(!first.says(Code::HoldoffRunning), "{:?}", codes(&first));
    assert!(begins(&alone.sees(191, Saw::TimedOut)));
}

#[test]
fn an_answer_restarts_the_holdoff() {
    let mut alone = Alone::new(held(0, 170));
    let resolved = alone.sees(175, Saw::Answers);
    assert_eq!(resolved.state, State::Resolved);
    assert!(resolved.says(Code::Recovered));
    let wanted = Marks {
        answered: Some(Epoch(THEN + 175)),
        unstable_since: Some(Epoch(THEN)),
        ..Marks::default()
    };
    assert_eq!(alone.marks, wanted);
    for at in [190, 200] {
        alone.sees(at, Saw::TimedOut);
    }
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 200)));
    // Only a long answer ends the instability.
    alone.sees(210, Saw::Answers);
    alone.sees(269, Saw::Answers);
    assert_eq!(alone.marks.unstable_since, Some(Epoch(THEN)));
    assert_eq!(alone.sees(270, Saw::Answers).state, State::Healthy);
    assert_eq!(alone.marks, Marks::default());
}

#[test]
fn an_answer_that_could_not_be_told_is_owed() {
    let mut alone = Alone::new(held(0, 100));
    alone.sees(100, Saw::TimedOut);
    let mut away = look(110, Saw::Answers, &alone.marks);
    away.reading = Known::Unknown("timeout".to_owned());
    alone.decides(&away);
    // Others have kept the holdoff up meanwhile; they have not seen what we have.
    alone.marks = held(0, 195);
    let decision = alone.sees(200, Saw::TimedOut);
    assert!(decision.says(Code::Recovered), "{:?}", codes(&decision));
    // Telling it fails: it is still owed.
    alone.marks = held(0, 203);
    let decision = alone.sees(205, Saw::TimedOut);
    assert!(decision.says(Code::Recovered), "{:?}", codes(&decision));
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 205)));
    // That is told now; this holdoff is not contradicted again.
    let decision = alone.sees(210, Saw::TimedOut);
    assert!(!decision.says(Code::Recovered));
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 205)));
}

#[test]
fn an_answer_whose_telling_failed_is_owed() {
    let mut alone = Alone::new(held(0, 100));
    let seen = look(110, Saw::Answers, &alone.marks);
    let decision = decide(&alone.settings, &mut alone.memory, &seen);
    assert!(decision.persist.is_some());
    // Its compare-and-set fails: the marks are as they were, but kept up.
    alone.marks = held(0, 195);
    alone.sees(200, Saw::TimedOut);
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 200)));
}

#[test]
fn the_blind_and_the_paused_tell_what_they_owe() {
    for paused in [None, Some("x".to_owned())] {
        let mut alone = Alone::new(held(0, 100));
        let seen = look(110, Saw::Answers, &alone.marks);
        let decision = decide(&alone.settings, &mut alone.memory, &seen);
        assert!(decision.persist.is_some());
        // Its compare-and-set fails, and then we see nothing.
        alone.marks = held(0, 115);
        alone.marks.paused = paused;
        let decision = alone.sees(120, Saw::Nothing(Ours::Dns));
        assert!(decision.says(Code::Recovered), "{:?}", codes(&decision));
        assert_eq!(alone.marks.degraded_since, None);
        assert_eq!(alone.marks.unstable_since, Some(Epoch(THEN)));
    }
}

#[test]
fn a_recovery_that_could_not_be_told_is_owed() {
    let unstable = Marks {
        unstable_since: Some(Epoch(THEN)),
        answered: Some(Epoch(THEN)),
        ..Marks::default()
    };
    let mut alone = Alone::new(unstable.clone());
    for at in [0, 30, 60] {
        let mut away = look(at, Saw::Answers, &unstable);
        away.reading = Known::Unknown("timeout".to_owned());
        alone.decides(&away);
    }
    // We start a holdoff ourselves.
    let mut ours = Alone::new(unstable.clone());
    ours.memory = alone.memory.clone();
    ours.sees(70, Saw::TimedOut);
    ours.sees(80, Saw::TimedOut);
    assert_eq!(ours.marks.unstable_since, Some(Epoch(THEN + 80)));
    // Another one has started one, after what we have seen.
    alone.sees(70, Saw::TimedOut);
    alone.marks = Marks {
        degraded_since: Some(Epoch(THEN + 75)),
        seen_down: Some(Epoch(THEN + 75)),
        ..unstable
    };
    alone.sees(80, Saw::TimedOut);
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 75)));
    assert_eq!(alone.marks.unstable_since, Some(Epoch(THEN + 80)));
}

#[test]
fn another_instance_is_a_vantage_point() {
    let mut alone = Alone::new(Marks {
        answered: Some(Epoch(THEN + 99)),
        ..Marks::default()
    });
    alone.sees(90, Saw::TimedOut);
    let decision = alone.sees(100, Saw::TimedOut);
    assert_eq!(decision.state, State::Suspect);
    assert!(decision.says(Code::PeerSawAnswer));
    assert_eq!(decision.persist, None);
    alone.sees(110, Saw::TimedOut);
    assert_eq!(alone.sees(120, Saw::TimedOut).state, State::Holding);
}

#[test]
fn a_crash_loop_does_not_go_on_for_ever() {
    let mut alone = Alone::new(Marks::default());
    let mut begun = None;
    for at in (0..2_000).step_by(10) {
        // Down for a minute, up for half of one.
        let saw = if at % 90 < 60 {
            Saw::Refused
        } else {
            Saw::Answers
        };
        let decision = alone.sees(at, saw);
        if begins(&decision) {
            assert!(decision.says(Code::CrashLoop));
            assert_eq!(saw, Saw::Refused);
            begun = Some(at);
            break;
        }
    }
    // The bound is 900 s, from the first holdoff at 10 s.
    let begun = begun.unwrap();
    assert!((910..=1_010).contains(&begun), "{begun}");
}

/// No outage lasts from the look that is sure of it to the next one.
#[test]
fn a_crash_loop_of_short_outages_does_not_either() {
    let mut alone = Alone::new(Marks::default());
    let failures = u64::from(alone.settings.failures);
    let mut at = 0;
    loop {
        assert!(at < 2_000, "it goes on for ever");
        for _ in 1..failures {
            assert_eq!(alone.sees(at, Saw::Refused).state, State::Suspect);
            at += 10;
        }
        let last = alone.sees(at, Saw::Refused);
        assert_eq!((last.state, begins(&last)), (State::Holding, false));
        // Whoever carries it out decides again on the same sights where nothing is left of it.
        if last.holdoff.unwrap().left.is_zero() {
            let again = alone.sees(at, Saw::Refused);
            assert!(begins(&again) && again.says(Code::CrashLoop), "{again:?}");
            break;
        }
        at += 10;
        for _ in 0..4 {
            alone.sees(at, Saw::Answers);
            at += 10;
        }
    }
    // The bound is 900 s, from the first holdoff on.
    assert!((900..=1_010).contains(&at), "{at}");
}

#[test]
fn without_the_bound_a_crash_loop_does() {
    let mut alone = Alone::new(Marks::default());
    alone.settings.crash_loop = None;
    for at in (0..5_000).step_by(10) {
        let saw = if at % 90 < 60 {
            Saw::Refused
        } else {
            Saw::Answers
        };
        assert!(!begins(&alone.sees(at, saw)));
    }
}

#[test]
fn a_primary_that_recovers_between_is_in_no_crash_loop() {
    let mut alone = Alone::new(Marks::default());
    for at in (0..5_000).step_by(10) {
        let saw = if at % 150 < 60 {
            Saw::Refused
        } else {
            Saw::Answers
        };
        assert!(!begins(&alone.sees(at, saw)));
    }
}

#[test]
fn instability_that_nobody_watched_does_not_count() {
    let mut alone = Alone::new(Marks {
        unstable_since: Some(Epoch(THEN - 5_000)),
        answered: Some(Epoch(THEN - 4_000)),
        ..Marks::default()
    });
    alone.sees(0, Saw::Refused);
    alone.sees(10, Saw::Refused);
    assert_eq!(alone.marks.unstable_since, Some(Epoch(THEN + 10)));
}

#[test]
fn the_lock_comes_first() {
    let mut alone = Alone::new(held(0, 195));
    alone.memory.failures = 2;
    let mut seen = look(200, Saw::TimedOut, &alone.marks);
    seen.lock = lock(false);
    let decision = alone.decides(&seen);
    let wanted = [Next::TakeLock(Some(Revision("l".to_owned())))];
    assert_eq!(decision.next, wanted);
    assert_eq!(alone.marks.run, None);
    // The same sights, with the lock.
    seen.lock = lock(true);
    seen.mono = seconds(201);
    assert!(begins(&alone.decides(&seen)));
    assert_eq!(alone.memory.failures, 3, "the same sights count once");
}

#[test]
fn a_lock_that_is_not_needed_is_given_back() {
    let mut alone = Alone::new(Marks::default());
    let release = [Next::ReleaseLock(Revision("l".to_owned()))];
    assert_eq!(alone.sees(0, Saw::Answers).next, release);
    alone.marks.paused = Some(String::new());
    assert_eq!(alone.sees(10, Saw::TimedOut).next, release);
}

#[test]
fn a_look_is_good_for_so_long() {
    let mut alone = Alone::new(held(0, 195));
    alone.memory.failures = 2;
    let mut seen = look(200, Saw::TimedOut, &alone.marks);
    seen.began = seconds(169);
    let decision = alone.decides(&seen);
    assert_eq!(codes(&decision), [Code::StaleLook]);
    assert_eq!((decision.persist, decision.next), (None, Vec::new()));
    seen.began = seconds(170);
    let decision = alone.decides(&seen);
    assert!(begins(&decision));
    assert!(decision.still_valid(seconds(200)));
    assert!(!decision.still_valid(seconds(201)));
}

#[test]
fn an_answer_in_a_look_that_is_too_old_is_an_answer() {
    let mut alone = Alone::new(held(0, 150));
    alone.memory.failures = 2;
    let mut late = look(190, Saw::Answers, &alone.marks);
    late.began = seconds(150);
    assert_eq!(codes(&alone.decides(&late)), [Code::StaleLook]);
    alone.marks = held(0, 195);
    let decision = alone.sees(200, Saw::TimedOut);
    assert!(decision.says(Code::Recovered) && !begins(&decision));
}

#[test]
fn a_stepped_clock_is_taken_out_of_the_marks() {
    let mut alone = Alone::new(held(0, 0));
    alone.sees(0, Saw::TimedOut);
    let mut seen = look(10, Saw::TimedOut, &alone.marks);
    if let Known::Is(reading) = &mut seen.reading {
        reading.now = Epoch(THEN + 60);
    }
    let decision = alone.decides(&seen);
    assert!(!begins(&decision));
    // Ten seconds are held, so it says fifty now.
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 50)));
}

#[test]
fn no_holdoff_is_older_than_an_answer() {
    let mut alone = Alone::new(Marks::default());
    alone.sees(100, Saw::Answers);
    // Somebody dates a holdoff back to before that.
    alone.marks = held(0, 115);
    let decision = alone.sees(120, Saw::TimedOut);
    assert_eq!(decision.holdoff.unwrap().held, seconds(20));
    // It is set right for all.
    assert_eq!(alone.marks.degraded_since, Some(Epoch(THEN + 100)));
    let decision = alone.sees(200, Saw::TimedOut);
    assert_eq!(decision.holdoff.unwrap().held, seconds(99));
    assert!(!begins(&decision));
}

#[test]
fn while_paused_an_answer_ends_the_holdoff_and_nothing_keeps_it_up() {
    let mut paused = held(0, 100);
    paused.paused = Some("x".to_owned());
    let mut alone = Alone::new(paused);
    assert_eq!(alone.sees(150, Saw::TimedOut).persist, None);
    alone.sees(160, Saw::Answers);
    assert_eq!(alone.marks.degraded_since, None);
    let mut running = Marks {
        paused: Some("x".to_owned()),
        ..Marks::default()
    };
    running.run = run(Stage::Acting);
    assert_eq!(
        Alone::new(running).sees(0, Saw::TimedOut).state,
        State::Paused
    );
}

fn run(stage: Stage) -> Option<Run> {
    Some(Run {
        id: "r".to_owned(),
        began: Epoch(THEN),
        stage,
    })
}

#[test]
fn a_person_can_overrule_what_may_be_overruled() {
    let mut alone = Alone::new(Marks::default());
    let mut seen = look(0, Saw::Answers, &alone.marks);
    seen.demand = Demand::ByHand(BTreeSet::new());
    let decision = alone.decides(&seen);
    assert!(!begins(&decision) && decision.says(Code::PrimaryAnswers));
    seen.demand = Demand::ByHand(BTreeSet::from([Code::PrimaryAnswers]));
    assert!(begins(&alone.decides(&seen)));

    let mut alone = Alone::new(Marks::default());
    let mut seen = look(0, Saw::TimedOut, &alone.marks);
    let over = BTreeSet::from([Code::HoldoffRunning, Code::NotYetSure, Code::RunInProgress]);
    seen.demand = Demand::ByHand(over);
    seen.lock = Known::Is(Lock::Held("b".to_owned()));
    assert_eq!(codes(&alone.decides(&seen)), [Code::RunInProgress]);
    seen.lock = lock(true);
    assert!(begins(&alone.decides(&seen)));
}
