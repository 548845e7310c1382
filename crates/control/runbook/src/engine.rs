//! One step after another: check, write down, act, look until it holds, write down.
//!
//! It decides nothing about the world. What it promises is that a step acts only when the steps in
//! front of it hold and are written down, only while the lock is ours, and that a run which is cut off
//! anywhere goes on there: what was begun is checked again, what had held must still hold where that
//! is demanded.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backstay_report::{Cause, with_causes};
use tokio::time::{Instant, sleep};

use crate::error::StepError;
use crate::record::{OtherVersion, Record, State, StepState};
use crate::step::{Answer, Step, StepId};

/// From one look to the next, at first.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// And later.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// What does not hold so long after the act is done again.
const REPEAT_AFTER: Duration = Duration::from_secs(10);
/// After an act that has failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What the steps do to the world.
pub trait Works {
    /// Whether a step holds. Changes nothing.
    ///
    /// # Errors
    /// See [`StepError`]: whether it holds is then not known, and asked again.
    fn check(
        &self,
        step: &Step,
        record: &Record,
    ) -> impl Future<Output = Result<Answer, StepError>>;

    /// Brings it about, or begins to. May be done again.
    ///
    /// # Errors
    /// See [`StepError`]: it is tried again.
    fn act(&self, step: &Step, record: &Record) -> impl Future<Output = Result<(), StepError>>;
}

/// Where a run is written down, and the lock that goes with it.
pub trait Log {
    /// Writes it down, if nobody else has.
    fn write(&mut self, record: &Record) -> impl Future<Output = Result<(), LogError>>;

    /// Whether the lock is still ours.
    ///
    /// # Errors
    /// [`LogError::Lost`] if not.
    fn hold(&mut self) -> impl Future<Output = Result<(), LogError>>;
}

/// Why nothing can be written down.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody else goes on with the run.
    #[error("{0}; nothing more is done here")]
    Lost(#[source] Cause),
    /// The standby's cluster does not take it.
    #[error("the run cannot be written down: {0}")]
    Unwritten(#[source] Cause),
}

/// What happens in a run, reported while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A step acts, or waits.
    Begun(&'a Step),
    /// It does not hold yet.
    Waits(&'a Step, &'a str),
    /// It holds.
    Ended(&'a Step, StepState, &'a str),
    /// What had held does so no more.
    Reopened(&'a Step, &'a str),
}

/// What was seen last of a step that has not come to hold.
#[derive(Debug, thiserror::Error)]
pub enum LastSeen {
    /// It was looked at, and did not hold.
    #[error("{0}")]
    Open(String),
    /// It could not be looked at, or not be done.
    #[error(transparent)]
    Failed(#[from] StepError),
}

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// A step has not come to hold.
    #[error("{step}: not so after {} s: {last}", .waited.as_secs())]
    Failed {
        /// The step at which the run ended.
        step: StepId,
        /// For how long it was waited for.
        waited: Duration,
        /// How it was then.
        #[source]
        last: LastSeen,
    },
    /// A step has refused.
    #[error("{step}: {why}")]
    Refused {
        /// The step at which the run ended.
        step: StepId,
        /// What was found.
        why: String,
        /// What to do.
        next: String,
    },
    /// A person has to do something.
    #[error("{step}: {what}")]
    Person {
        /// The step at which the run ended.
        step: StepId,
        /// What the person has to do.
        what: String,
    },
    /// It could not be written down.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is another version's.
    #[error(transparent)]
    Version(#[from] OtherVersion),
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Goes on with a run, to its end or until it stops.
///
/// # Errors
/// See [`Stopped`]. What is done stays, and is written down.
pub async fn run<W: Works, L: Log>(
    works: &W,
    log: &mut L,
    record: &mut Record,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<(), Stopped> {
    let plan = record.plan()?;
    (record.state, record.error, record.next) = (State::Running, None, None);
    log.write(record).await?;
    let ended = go_on(works, log, record, tell, &plan).await;
    let (state, error, next) = match &ended {
        Ok(()) => (State::Done, None, None),
        // Whoever goes on with it writes it down.
        Err(Stopped::Log(_) | Stopped::Version(_)) => return ended,
        Err(Stopped::Failed { .. }) => {
            let again = format!("backstay runs resume {}", record.run);
            (State::Failed, ended.as_ref().err(), Some(again))
        }
        Err(Stopped::Refused { next, .. }) => {
            (State::Refused, ended.as_ref().err(), Some(next.clone()))
        }
        Err(Stopped::Person { .. }) => {
            let again = format!("backstay runs resume {}", record.run);
            (State::Waiting, ended.as_ref().err(), Some(again))
        }
    };
    record.state = state;
    record.error = error.map(ToString::to_string);
    record.next = next;
    record.ended_ms = record.is_over().then(now_ms);
    log.write(record).await?;
    ended
}

async fn go_on<W: Works, L: Log>(
    works: &W,
    log: &mut L,
    record: &mut Record,
    tell: &(dyn Fn(Event<'_>) + Sync),
    plan: &[&'static Step],
) -> Result<(), Stopped> {
    for place in record.standing(plan) {
        let step = plan[place];
        // One look is enough to doubt it: the step itself asks until it knows.
        let why = match works.check(step, record).await {
            Ok(Answer::Holds(_)) => continue,
            Ok(answer) => answer.detail().to_owned(),
            Err(error) => error.to_string(),
        };
        tell(Event::Reopened(step, &why));
        record.reopen(place);
        break;
    }
    while let Some(place) = record.position() {
        perform(works, log, record, tell, plan[place], place).await?;
    }
    Ok(())
}

/// Says that a step has no answer, or was not done; with all its causes in the log.
fn failed(step: &Step, error: StepError, tell: &(dyn Fn(Event<'_>) + Sync)) -> StepError {
    tracing::debug!(
        step = step.id.as_str(),
        error = with_causes(&error),
        retryable = error.is_retryable(),
        "a step has no answer, or was not done"
    );
    tell(Event::Waits(step, &error.to_string()));
    error
}

async fn perform<W: Works, L: Log>(
    works: &W,
    log: &mut L,
    record: &mut Record,
    tell: &(dyn Fn(Event<'_>) + Sync),
    step: &'static Step,
    place: usize,
) -> Result<(), Stopped> {
    let until = Instant::now() + step.timeout;
    let [before, after, recorded] = step.id.failpoints();
    let mut acted: Option<Instant> = None;
    let mut failure: Option<StepError> = None;
    let mut pause = FIRST_POLL_INTERVAL;
    loop {
        let answer = works.check(step, record).await;
        let open = match answer {
            Ok(Answer::Holds(detail)) => {
                let begun = record.steps[place].state == StepState::Begun;
                let state = match begun {
                    true => StepState::Done,
                    false => StepState::Already,
                };
                let now = now_ms();
                let entry = &mut record.steps[place];
                entry.state = state;
                entry.detail = detail;
                entry.began_ms.get_or_insert(now);
                entry.ended_ms = Some(now);
                log.write(record).await?;
                backstay_failpoint::hit(recorded);
                tell(Event::Ended(step, state, &record.steps[place].detail));
                return Ok(());
            }
            Ok(Answer::Refused { why, next }) => {
                let step = step.id;
                return Err(Stopped::Refused { step, why, next });
            }
            Ok(Answer::Person { what }) => {
                let step = step.id;
                return Err(Stopped::Person { step, what });
            }
            Ok(Answer::Open(detail)) => {
                tell(Event::Waits(step, &detail));
                record.steps[place].detail = detail;
                true
            }
            Err(error) => {
                failure = Some(failed(step, error, tell));
                false
            }
        };
        if Instant::now() >= until {
            let seen = || LastSeen::Open(record.steps[place].detail.clone());
            return Err(Stopped::Failed {
                step: step.id,
                waited: step.timeout,
                last: failure.map_or_else(seen, LastSeen::Failed),
            });
        }
        if open && acted.is_none_or(|it| it.elapsed() >= REPEAT_AFTER) {
            log.hold().await?;
            if record.steps[place].state != StepState::Begun {
                record.steps[place].state = StepState::Begun;
                record.steps[place].began_ms.get_or_insert(now_ms());
                tell(Event::Begun(step));
            }
            record.steps[place].attempts = record.steps[place].attempts.saturating_add(1);
            log.write(record).await?;
            backstay_failpoint::hit(before);
            let done = works.act(step, record).await;
            backstay_failpoint::hit(after);
            match done {
                Ok(()) => {
                    acted = Some(Instant::now());
                    failure = None;
                    pause = FIRST_POLL_INTERVAL;
                    continue;
                }
                Err(error) => {
                    failure = Some(failed(step, error, tell));
                    pause = RETRY_DELAY;
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests;
