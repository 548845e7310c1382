//! The verdict: is the primary dead, may the standby take over, and what is to be done now.
//!
//! [`decide`] is a function of what one look has found, of the marks that all instances share, and
//! of the little that one instance remembers. It does nothing itself: it says what to persist (on
//! which condition), what to do next, and why.
//!
//! # The states
//! ```text
//! Healthy ──seen down──► Suspect ──`failures` looks──► Holding ──holdoff──► FailingOver ─► FailedOver
//!    ▲                      │                             │
//!    └──────── answers for `recovered` ───── Resolved ◄──answers
//! Cooldown: Holding, with the last failover not long ago.   Paused: an operator's word.
//! ```
//!
//! # The rules
//! 1. **An answer, seen from anywhere, restarts the holdoff**, and one that could not be told to
//!    the others at once is owed until it is. Alerts are not even an input: they only wake.
//! 2. **The holdoff is kept in the marks**, so it survives its instance, and its length is measured
//!    by [`Aged`], never on a wall clock of ours. What another instance has begun is gone on with,
//!    for as much as the API server's clock says at first sight, if nobody stopped looking for
//!    longer than [`Settings::unwatched`] (`last-seen-down-epoch`), if it is not dated in the
//!    future, and if we have seen no answer since; otherwise it starts again. And whatever is
//!    marked, no holdoff is older than the last answer that we have seen. So nobody's skewed
//!    clock shortens it; the API server's own, if it is stepped while *no* instance follows the
//!    holdoff, does so by [`Settings::unwatched`] at most.
//! 3. **A run begins by a compare-and-set of the marks.** A veto that reaches them first wins.
//! 4. **A look is good for [`Settings::look`]**, counted from its first probe. The marks must be
//!    read after the sights are in: otherwise a holdoff that starts in between would be younger
//!    than an answer that is not counted against it.
//! 5. **Once begun, a run is carried to its end**, by whichever instance has the lock, whether or
//!    not the primary comes back. Afterwards nothing here returns the traffic: the reconciler
//!    only ever disables the primary's endpoint, and only while the secondary holds the term.

mod normal;
mod taken;

use std::collections::BTreeSet;
use std::time::Duration;

use backstay_pair::Side;
use serde::{Deserialize, Serialize};

use crate::clock::{Aged, Epoch};
use crate::lock::Lock;
use crate::marks::{LAST_FAILOVER, Marks, Persist, RUN, Reading, Revision, Stage};
use crate::observation::{self, Known, Observation, OurSide, View};
use crate::reason::{self, Code, Reason};
use crate::settings::Settings;

/// Where the failover stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The primary answers.
    #[default]
    Healthy,
    /// It is seen down, or not seen; no holdoff runs.
    Suspect,
    /// The holdoff runs, or is over and something else stands against it.
    Holding,
    /// A run is under way.
    FailingOver,
    /// The secondary serves.
    FailedOver,
    /// The primary answers again, but not yet for long.
    Resolved,
    /// The primary is down, but the last failover is not long ago.
    Cooldown,
    /// An operator has paused it.
    Paused,
}

/// Whether an endpoint of the traffic manager is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// It can get traffic.
    Enabled,
    /// It gets none.
    Disabled,
}

/// Something that keeps the standby from taking over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessBlocker {
    /// What is wrong, and where.
    pub what: String,
    /// The next command to type.
    pub remedy: Option<String>,
}

/// Who wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// The process that watches.
    #[default]
    Watch,
    /// A person who wants a failover now, and overrules these; see [`Code::can_be_overruled`].
    ByHand(BTreeSet<Code>),
}

/// All that one look has found.
#[derive(Clone, Debug)]
pub struct Look {
    /// When the first probe was sent, by our own monotonic clock.
    pub began: Duration,
    /// Our own monotonic clock, now.
    pub mono: Duration,
    /// What each vantage point saw of the primary.
    pub observations: Vec<Observation>,
    /// How we are ourselves.
    pub ours: OurSide,
    /// The marks, read after the sights were in.
    pub reading: Known<Reading>,
    /// The run lock, as [`LeaseWatch::judge`](crate::lock::LeaseWatch::judge) says.
    pub lock: Known<Lock>,
    /// What keeps the standby from taking over; nothing, if it is able.
    pub standby: Known<Vec<ReadinessBlocker>>,
    /// The primary's endpoint.
    pub endpoint: Known<Endpoint>,
    /// Who holds the journal's term.
    pub term: Known<Side>,
    /// Who wants to know.
    pub demand: Demand,
    /// The name that a run would get if it began now.
    pub run_id: String,
}

/// What one instance remembers from look to look. A new instance starts without; what is lost with
/// the old one is at most an answer that it alone has seen and could not tell anybody.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: State,
    failures: u32,
    last_failure: Option<Duration>,
    last_look: Option<Duration>,
    answering_since: Option<Duration>,
    last_answer: Option<Duration>,
    /// An answer, against the holdoff.
    answer: Owed,
    /// A recovery, against the instability.
    recovery: Owed,
    degraded: Option<Aged>,
    seen_down: Option<Aged>,
    answered: Option<Aged>,
    unstable: Option<Aged>,
    last_failover: Option<Aged>,
}

/// Something seen that contradicts a mark and has not reached it yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owed {
    #[default]
    Nothing,
    /// It contradicts the mark with this value.
    Against(Epoch),
    /// The marks could not be read: it contradicts any value.
    Any,
}

impl Owed {
    /// `seen`: it has been seen (again) now. `mark`: what is marked, if that could be read.
    fn settle(&mut self, seen: bool, mark: Option<Option<Epoch>>) {
        *self = match (seen, mark, *self) {
            (true, None, _) => Self::Any,
            (_, Some(None), _) => Self::Nothing,
            (true, Some(Some(now)), _) => Self::Against(now),
            // Whatever is marked now will be contradicted, if not at once.
            (false, Some(Some(now)), Self::Any) => Self::Against(now),
            (false, Some(Some(now)), Self::Against(old)) if now != old => Self::Nothing,
            (false, _, owed) => owed,
        };
    }

    fn contradicts(self, mark: Epoch) -> bool {
        self == Self::Any || self == Self::Against(mark)
    }
}

/// What to do, after what is to be persisted has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    /// Take the run lock, on this condition, and decide again on the same look.
    TakeLock(Option<Revision>),
    /// Give the run lock back.
    ReleaseLock(Revision),
    /// A run begins with what is persisted. Read the marks again, and decide again.
    Begin,
    /// Renew the lock, find out the takeover's facts, and do what [`crate::takeover::plan`] says.
    TakeOver(Revision),
    /// Disable the primary's endpoint again, and raise an event.
    DisableAgain,
}

/// How far the holdoff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Countdown {
    /// Its start, as marked.
    pub since: Epoch,
    /// So much of it has passed for certain.
    pub held: Duration,
    /// So much is left.
    pub left: Duration,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Where the failover stands.
    pub state: State,
    /// What to persist before anything else. If that fails, the rest is void: look again at once.
    pub persist: Option<Persist>,
    /// What to do then, all of it.
    pub next: Vec<Next>,
    /// Why, the most important first.
    pub reasons: Vec<Reason>,
    /// The holdoff, if it runs.
    pub holdoff: Option<Countdown>,
    /// Nothing of this may be begun later than that, by our own monotonic clock.
    pub valid_until: Duration,
}

impl Decision {
    /// Whether it may still be carried out. A process that was stopped in between (frozen,
    /// swapped out, its machine suspended) would act on what was true then.
    pub fn still_valid(&self, mono: Duration) -> bool {
        mono <= self.valid_until
    }

    /// Whether one of the reasons has this code.
    pub fn says(&self, code: Code) -> bool {
        self.reasons.iter().any(|it| it.code == code)
    }
}

/// Decides on a look.
///
/// It may be called again on the same sights (same [`Look::began`]) with a newer
/// [`Look::reading`], [`Look::lock`] and [`Look::mono`], after something was persisted, as long as
/// the look is good.
pub fn decide(settings: &Settings, memory: &mut Memory, look: &Look) -> Decision {
    let mut decision = Decision {
        state: memory.state,
        persist: None,
        next: Vec::new(),
        reasons: Vec::new(),
        holdoff: None,
        valid_until: look.began.saturating_add(settings.look),
    };
    let seen = observation::put_together(&look.observations, look.ours, settings.witnesses);
    // An answer stays an answer, however late it is heard of.
    let fresh = decision.still_valid(look.mono);
    let answers = matches!(seen.view, View::Answers(_));
    if fresh || answers {
        memory.note(settings, &seen.view, look);
    }
    let streak = memory.streak(look.began);
    let recovered = streak.is_some_and(|it| it >= settings.recovered);
    if !fresh {
        let took = look.mono.saturating_sub(look.began);
        let text = format!(
            "the look took {}, and is good for {} only",
            reason::seconds(took),
            reason::seconds(settings.look)
        );
        decision.reasons.push(Reason::new(Code::StaleLook, text));
        if answers {
            memory.owe(&seen.view, recovered, None);
        }
        return decision;
    }

    let reading = match &look.reading {
        Known::Is(reading) => reading,
        Known::Unknown(why) => {
            memory.owe(&seen.view, recovered, None);
            let text = format!("the standby's API server cannot be read: {why}");
            let reason = Reason::new(Code::StandbyApiUnreachable, text);
            decision.reasons.push(reason.then(settings.place.show()));
            decision.state = match (&seen.view, memory.state) {
                (_, held @ (State::FailingOver | State::FailedOver | State::Paused)) => held,
                (View::Answers(_), _) => State::Healthy,
                _ => State::Suspect,
            };
            memory.state = decision.state;
            return decision;
        }
    };
    memory.follow(reading, look.mono);

    let context = Context {
        settings,
        look,
        reading,
        seen: &seen,
    };
    for (name, text) in &reading.marks.unreadable {
        let told = match name.as_str() {
            RUN => continue,
            _ => reason::unreadable_time(&settings.place, name, text),
        };
        decision.reasons.push(told);
    }
    if let Some(why) = &reading.marks.paused {
        decision.state = State::Paused;
        decision
            .reasons
            .insert(0, reason::paused(&settings.place, why));
        normal::only_clear(&context, memory, &mut decision);
        taken::release(&context, &mut decision);
    } else if let Some(text) = reading.marks.unreadable(RUN) {
        decision.state = State::Suspect;
        decision
            .reasons
            .insert(0, reason::unreadable_run(&settings.place, text));
        taken::release(&context, &mut decision);
    } else {
        let stage = reading.marks.run.as_ref().map(|run| run.stage);
        let holder = look.term.known().copied();
        match (stage, holder) {
            (Some(Stage::Acting), _) => taken::acting(&context, &mut decision),
            (Some(Stage::Done), _) => taken::failed_over(&context, &mut decision),
            (None, Some(Side::Secondary)) => taken::taken_up(&context, &mut decision),
            (None, _) => normal::decide(&context, memory, &mut decision),
        }
    }
    memory.owe(&seen.view, recovered, Some(reading));
    memory.state = decision.state;
    decision
}

/// What the parts of the decision look at.
struct Context<'a> {
    settings: &'a Settings,
    look: &'a Look,
    reading: &'a Reading,
    seen: &'a observation::Seen,
}

impl Memory {
    /// Takes note of a view; once for each look.
    fn note(&mut self, settings: &Settings, view: &View, look: &Look) {
        let began = look.began;
        if matches!(view, View::Answers(_)) {
            self.last_answer = Some(look.mono);
        }
        if self.last_look == Some(began) {
            return;
        }
        let gap = self.last_look.map(|last| began.saturating_sub(last));
        if gap.is_some_and(|gap| gap > settings.unwatched) {
            self.answering_since = None;
            self.failures = 0;
        }
        self.last_look = Some(began);
        match view {
            View::Answers(_) => {
                self.failures = 0;
                self.last_failure = None;
                self.answering_since.get_or_insert(began);
            }
            View::Down(_) => {
                self.answering_since = None;
                let last = self.last_failure;
                if last.is_none_or(|last| began.saturating_sub(last) >= settings.spacing) {
                    self.failures = self.failures.saturating_add(1);
                    self.last_failure = Some(began);
                }
            }
            View::Blind(_) => {}
        }
    }

    fn follow(&mut self, reading: &Reading, mono: Duration) {
        let (marks, now) = (&reading.marks, reading.now);
        Aged::follow(&mut self.degraded, marks.degraded_since, now, mono);
        Aged::follow(&mut self.seen_down, marks.seen_down, now, mono);
        Aged::follow(&mut self.answered, marks.answered, now, mono);
        Aged::follow(&mut self.unstable, marks.unstable_since, now, mono);
        Aged::follow(&mut self.last_failover, marks.last_failover, now, mono);
    }

    /// Settles what is owed to the marks, or owes it again. Without a reading, all is owed.
    fn owe(&mut self, view: &View, recovered: bool, reading: Option<&Reading>) {
        let answers = matches!(view, View::Answers(_));
        let marks = reading.map(|it| &it.marks);
        self.answer
            .settle(answers, marks.map(|it| it.degraded_since));
        self.recovery
            .settle(answers && recovered, marks.map(|it| it.unstable_since));
    }

    /// Whether these marks say what we have seen to be otherwise.
    fn owes(&self, marks: &Marks) -> bool {
        let answer = marks.degraded_since;
        let recovery = marks.unstable_since;
        answer.is_some_and(|it| self.answer.contradicts(it))
            || recovery.is_some_and(|it| self.recovery.contradicts(it))
    }

    /// For how long the primary has answered without a break, as of the look that began then.
    fn streak(&self, began: Duration) -> Option<Duration> {
        self.answering_since.map(|it| began.saturating_sub(it))
    }
}

/// A second failover so soon after the last is refused.
fn cooldown(context: &Context<'_>, memory: &Memory) -> Option<Reason> {
    let since = memory.last_failover?.at_least(context.look.mono);
    let left = context.settings.cooldown.checked_sub(since)?;
    (!left.is_zero()).then(|| {
        let text = format!(
            "the last failover is not long ago: {} of the cooldown are left",
            reason::seconds(left)
        );
        Reason::new(Code::Cooldown, text).then(context.settings.place.remove(LAST_FAILOVER))
    })
}

#[cfg(test)]
mod tests;
