//! The engine over a world of switches, cut off anywhere.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::{Event, LastSeen, Log, LogError, Stopped, Works, run};
use crate::error::StepError;
use crate::plan::{Choices, Command, steps};
use crate::record::{Record, State, StepState};
use crate::step::{Answer, Holds, Step, StepId};

/// What holds. A later step ends what an earlier one has brought about, as starting a region ends
/// that it is stopped.
#[derive(Debug, Default)]
struct Switches {
    on: Mutex<BTreeSet<StepId>>,
    acts: Mutex<Vec<StepId>>,
    /// Calls that are still answered; then whoever runs it dies.
    left: Mutex<Option<usize>>,
    refuses: Option<StepId>,
    person: Option<StepId>,
    stubborn: Option<StepId>,
    plan: Vec<&'static Step>,
}

/// A call that never comes back: the process has died.
async fn died() -> ! {
    std::future::pending::<()>().await;
    unreachable!()
}

impl Switches {
    fn of(command: Command) -> Self {
        Self {
            plan: steps(command, Choices::default()),
            ..Self::default()
        }
    }

    async fn alive(&self) {
        let dead = {
            let mut left = self.left.lock();
            match left.as_mut() {
                Some(0) => true,
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            }
        };
        if dead {
            died().await;
        }
    }

    fn switch(&self, id: StepId) {
        let mut on = self.on.lock();
        on.insert(id);
        for step in &self.plan {
            if step.holds == Holds::Until(id) && step.id.as_str().ends_with("stopped") {
                on.remove(&step.id);
            }
        }
    }
}

impl Works for Switches {
    async fn check(&self, step: &Step, _: &Record) -> Result<Answer, StepError> {
        self.alive().await;
        if self.refuses == Some(step.id) {
            return Ok(Answer::refused("no", "do this"));
        }
        if self.person == Some(step.id) {
            return Ok(Answer::Person {
                what: "do that".to_owned(),
            });
        }
        Ok(Answer::of(self.on.lock().contains(&step.id), "seen"))
    }

    async fn act(&self, step: &Step, record: &Record) -> Result<(), StepError> {
        self.alive().await;
        // Whatever it counts on holds, and it was written down that it would act.
        for earlier in self.plan.iter().take_while(|it| it.id != step.id) {
            if let Holds::Until(id) = earlier.holds
                && self
                    .plan
                    .iter()
                    .skip_while(|it| it.id != step.id)
                    .any(|it| it.id == id)
            {
                assert!(
                    self.on.lock().contains(&earlier.id),
                    "{} without {}",
                    step.id,
                    earlier.id
                );
            }
        }
        assert_eq!(record.step(step.id).unwrap().state, StepState::Begun);
        if self.stubborn == Some(step.id) {
            return Err(StepError::Void("it does not want to"));
        }
        let own = self.plan.iter().find(|it| it.id == step.id).unwrap();
        self.acts.lock().push(own.id);
        self.switch(own.id);
        self.alive().await;
        Ok(())
    }
}

/// What was written down last, as JSON.
#[derive(Debug, Default)]
struct Paper {
    written: Option<String>,
    lost: bool,
    /// Writes that still reach the paper.
    left: Option<usize>,
}

impl Log for Paper {
    async fn write(&mut self, record: &Record) -> Result<(), LogError> {
        match self.left.as_mut() {
            Some(0) => died().await,
            Some(left) => *left -= 1,
            None => {}
        }
        self.written = Some(serde_json::to_string(record).unwrap());
        Ok(())
    }

    async fn hold(&mut self) -> Result<(), LogError> {
        match self.lost {
            true => Err(LogError::Lost("another has it".into())),
            false => Ok(()),
        }
    }
}

fn record(command: Command) -> Record {
    Record::new("r".into(), command, "pair", Choices::default(), "me", 7)
}

fn quietly(_: Event<'_>) {}

async fn whole(command: Command, works: &Switches) -> (Result<(), Stopped>, Record, Paper) {
    let (mut record, mut log) = (record(command), Paper::default());
    let ended = run(works, &mut log, &mut record, &quietly).await;
    (ended, record, log)
}

#[tokio::test(start_paused = true)]
async fn each_step_acts_once_in_its_order_and_all_is_written_down() {
    for command in [Command::Promote, Command::Failback, Command::CleanSecondary] {
        let works = Switches::of(command);
        let (ended, record, log) = whole(command, &works).await;
        ended.unwrap();
        assert_eq!(record.state, State::Done);
        let ids: Vec<StepId> = works.plan.iter().map(|it| it.id).collect();
        assert_eq!(*works.acts.lock(), ids);
        let written: Record = serde_json::from_str(&log.written.unwrap()).unwrap();
        assert_eq!(written, record);
        assert!(
            record
                .steps
                .iter()
                .all(|it| it.state == StepState::Done && it.attempts == 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_holds_already_is_not_done() {
    let works = Switches::of(Command::Promote);
    works.switch(StepId::Pools);
    let (ended, record, _) = whole(Command::Promote, &works).await;
    ended.unwrap();
    assert!(!works.acts.lock().contains(&StepId::Pools));
    assert_eq!(
        record.step(StepId::Pools).unwrap().state,
        StepState::Already
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_stops_it_and_says_what_to_do() {
    let works = Switches {
        refuses: Some(StepId::PrimaryReachable),
        ..Switches::of(Command::Failback)
    };
    let (ended, record, log) = whole(Command::Failback, &works).await;
    assert!(
        matches!(
            ended,
            Err(Stopped::Refused {
                step: StepId::PrimaryReachable,
                ..
            })
        ),
        "{ended:?}"
    );
    assert_eq!(record.state, State::Refused);
    let written: Record = serde_json::from_str(&log.written.unwrap()).unwrap();
    assert_eq!(written.next.as_deref(), Some("do this"));
    assert_eq!(works.acts.lock().last(), Some(&StepId::Paused));
}

#[tokio::test(start_paused = true)]
async fn a_person_is_waited_for_and_it_goes_on() {
    let mut works = Switches {
        person: Some(StepId::TopicReset),
        ..Switches::of(Command::CleanSecondary)
    };
    let (ended, mut record, mut log) = whole(Command::CleanSecondary, &works).await;
    assert!(
        matches!(
            ended,
            Err(Stopped::Person {
                step: StepId::TopicReset,
                ..
            })
        ),
        "{ended:?}"
    );
    assert_eq!(record.state, State::Waiting);
    works.person = None;
    run(&works, &mut log, &mut record, &quietly).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_to_its_end_and_can_be_resumed() {
    let mut works = Switches {
        stubborn: Some(StepId::Paused),
        ..Switches::of(Command::Failback)
    };
    let (ended, mut record, mut log) = whole(Command::Failback, &works).await;
    let Err(Stopped::Failed {
        step: StepId::Paused,
        last,
        ..
    }) = ended
    else {
        panic!("{ended:?}")
    };
    assert!(last.to_string().contains("does not want to"), "{last}");
    assert!(
        matches!(last, LastSeen::Failed(StepError::Void(_))),
        "{last:?}"
    );
    assert!(record.step(StepId::Paused).unwrap().attempts > 10);
    assert_eq!(record.state, State::Failed);
    works.stubborn = None;
    run(&works, &mut log, &mut record, &quietly).await.unwrap();
    assert_eq!(record.state, State::Done);
}

#[tokio::test(start_paused = true)]
async fn without_the_lock_nothing_is_done() {
    let works = Switches::of(Command::Promote);
    let mut log = Paper {
        lost: true,
        ..Paper::default()
    };
    let ended = run(&works, &mut log, &mut record(Command::Promote), &quietly).await;
    assert!(
        matches!(ended, Err(Stopped::Log(LogError::Lost(_)))),
        "{ended:?}"
    );
    assert!(works.acts.lock().is_empty());
}

/// A run that is cut off after so many calls, and so many writes, and resumed; again and again.
async fn cut_off(command: Command, cuts: Vec<(usize, Option<usize>)>) -> (Switches, Record) {
    let works = Switches::of(command);
    let mut paper = Paper::default();
    let begun = record(command);
    paper.written = Some(serde_json::to_string(&begun).unwrap());
    for (calls, writes) in cuts {
        *works.left.lock() = Some(calls);
        paper.left = writes;
        let mut record: Record = serde_json::from_str(paper.written.as_ref().unwrap()).unwrap();
        let going = run(&works, &mut paper, &mut record, &quietly);
        let day = std::time::Duration::from_secs(86_400);
        if let Ok(ended) = tokio::time::timeout(day, going).await {
            ended.unwrap();
        }
    }
    *works.left.lock() = None;
    paper.left = None;
    let mut last: Record = serde_json::from_str(paper.written.as_ref().unwrap()).unwrap();
    run(&works, &mut paper, &mut last, &quietly).await.unwrap();
    (works, last)
}

#[tokio::test(start_paused = true)]
async fn cut_off_at_any_call_it_ends_the_same() {
    for command in [Command::Promote, Command::Failback, Command::CleanSecondary] {
        let uncut = Switches::of(command);
        whole(command, &uncut).await.0.unwrap();
        for calls in 0..100 {
            let (works, record) = cut_off(command, vec![(calls, None)]).await;
            assert_eq!(
                *works.on.lock(),
                *uncut.on.lock(),
                "{command:?} after {calls}"
            );
            assert_eq!(record.state, State::Done);
        }
        for writes in 0..100 {
            let (works, _) = cut_off(command, vec![(10_000, Some(writes))]).await;
            assert_eq!(
                *works.on.lock(),
                *uncut.on.lock(),
                "{command:?} after {writes} writes"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cut_off_again_and_again_it_ends_the_same(
        cuts in proptest::collection::vec((0_usize..40, proptest::option::of(0_usize..20)), 0..8),
        which in 0_usize..3,
    ) {
        let command = [Command::Promote, Command::Failback, Command::CleanSecondary][which];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let uncut = Switches::of(command);
            whole(command, &uncut).await.0.unwrap();
            let (works, record) = cut_off(command, cuts).await;
            assert_eq!(*works.on.lock(), *uncut.on.lock());
            assert!(record.steps.iter().all(crate::record::StepRecord::is_done));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_stopped_to_hold_meanwhile_is_done_again() {
    let works = Switches::of(Command::Failback);
    let mut paper = Paper::default();
    let mut record = record(Command::Failback);
    *works.left.lock() = Some(30);
    let day = std::time::Duration::from_secs(86_400);
    let going = run(&works, &mut paper, &mut record, &quietly);
    assert!(tokio::time::timeout(day, going).await.is_err());
    let mut again: Record = serde_json::from_str(paper.written.as_ref().unwrap()).unwrap();
    assert!(
        again.step(StepId::PrimaryStopped).unwrap().is_done(),
        "cut off too early"
    );
    assert!(
        !again.step(StepId::PrimaryStarted).unwrap().is_done(),
        "cut off too late"
    );
    // Somebody has started the primary's operator while nobody went on.
    works.on.lock().remove(&StepId::PrimaryStopped);
    works.acts.lock().clear();
    *works.left.lock() = None;
    let reopened = Mutex::new(Vec::new());
    let tell = |event: Event<'_>| {
        if let Event::Reopened(step, _) = event {
            reopened.lock().push(step.id);
        }
    };
    run(&works, &mut paper, &mut again, &tell).await.unwrap();
    assert_eq!(*reopened.lock(), [StepId::PrimaryStopped]);
    assert_eq!(works.acts.lock().first(), Some(&StepId::PrimaryStopped));
}
