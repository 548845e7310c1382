//! The judge: it knows what really happened, and says which promise was broken.
//!
//! It shares nothing with the code under test but the settings: it sees the probes as they were
//! answered, the requests as they took effect, and the true time.

use std::time::Duration;

use backstay_failover::marks::{Marks, Stage};
use backstay_failover::observation::Saw;
use backstay_failover::verdict::Endpoint;

use crate::scenario::{Fate, Scenario};

/// What an instance really had before it when it began a run.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// When its look began.
    pub began: u64,
    /// What its probe saw; `None` if the probe got no answer.
    pub probe: Option<Saw>,
    /// Whether the controls of our own side worked.
    pub controls: [bool; 2],
    /// What the traffic manager said.
    pub monitor: Option<(Endpoint, bool)>,
    /// When the primary last answered it.
    pub last_answer: Option<u64>,
}

impl Evidence {
    fn given_up(&self) -> bool {
        self.monitor == Some((Endpoint::Enabled, false))
    }

    /// Whether anybody sees the primary down, and it is no outage of ours.
    pub fn down(&self) -> bool {
        match self.probe {
            Some(Saw::Answers) => false,
            Some(_) => true,
            None => self.controls == [true, true] || self.given_up(),
        }
    }
}

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Never two regions that can be written to.
    OneWriter,
    /// Never a failover while the primary answered within the holdoff.
    Holdoff,
    /// No holdoff counts that nobody has watched.
    Watched,
    /// A failover only on what was seen just now, and is no outage of ours.
    Sight,
    /// No failover against a refusal.
    Refusals,
    /// One failover is one.
    Once,
    /// No run ends before the primary is sealed and its endpoint was disabled.
    Closed,
    /// Always a failover, in bounded time, when the primary is dead and the standby able.
    InTime,
    /// Never an automatic return.
    NoReturn,
    /// The marks of a primary that is well say so.
    Tidy,
}

/// A promise that was broken: when, which, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub at: u64,
    pub promise: Promise,
    pub how: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.at as f64 / 1_000.0;
        write!(f, "{:?}: {} (at {seconds} s)", self.promise, self.how)
    }
}

pub struct Judge {
    pub broken: Option<Broken>,
    pub begun: Option<u64>,
    /// The marks were lost when a run had not sealed yet: it is forgotten, and may begin again.
    forgotten: bool,
    second_serves: bool,
    /// The latest answer that reached the marks, or had nothing there to contradict.
    told_answer: Option<u64>,
    /// The end of the latest series of answers that was long enough to count as recovered.
    stable: u64,
    last_down: Option<u64>,
    cooldown_known: bool,
    gap_ended: Option<u64>,
    gap: u64,
}

impl Judge {
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            broken: None,
            begun: None,
            forgotten: false,
            second_serves: false,
            told_answer: None,
            stable: 0,
            last_down: None,
            cooldown_known: true,
            gap_ended: None,
            gap: millis(scenario.settings.unwatched) + 10_000,
        }
    }

    fn breaks(&mut self, at: u64, promise: Promise, how: impl Into<String>) {
        self.broken.get_or_insert_with(|| Broken {
            at,
            promise,
            how: how.into(),
        });
    }

    /// An instance has seen an answer and has told it, or had nobody to tell it to.
    pub fn told(&mut self, answered: u64, streak: Duration, recovered: Duration) {
        self.told_answer = self.told_answer.max(Some(answered));
        // An instance's clock may be slow.
        if almost(streak) >= millis(recovered) {
            self.stable = self.stable.max(answered);
        }
    }

    /// An instance has seen it down.
    pub fn seen_down(&mut self, at: u64) {
        if self.last_down.is_some_and(|last| at - last > self.gap) {
            self.gap_ended = Some(at);
        }
        self.last_down = Some(at);
    }

    pub fn primary_acknowledges(&mut self, at: u64, secondary_serves: bool) {
        if self.second_serves || secondary_serves {
            self.breaks(
                at,
                Promise::OneWriter,
                "the primary acknowledges although the secondary serves",
            );
        }
    }

    pub fn secondary_acknowledges(&mut self) {
        self.second_serves = true;
    }

    pub fn operator_started(&mut self, at: u64) {
        if self.begun.is_none() {
            self.breaks(at, Promise::Once, "the operator is started without a run");
        }
    }

    /// A run begins: was it allowed to?
    pub fn begins(&mut self, scenario: &Scenario, at: u64, evidence: &Evidence, paused: bool) {
        let settings = &scenario.settings;
        let stepped = !scenario.steps.is_empty();
        if self.begun.is_some() && !std::mem::take(&mut self.forgotten) {
            self.breaks(at, Promise::Once, "a second run begins");
        }
        self.begun = Some(at);
        if paused {
            self.breaks(
                at,
                Promise::Refusals,
                "a run begins although an operator has paused it",
            );
        }
        let unable = |it: &crate::scenario::Span| it.holds(evidence.began) && it.holds(at);
        if scenario.unable.iter().any(unable) {
            self.breaks(
                at,
                Promise::Refusals,
                "a run begins although the standby is not able",
            );
        }
        if let Some(ago) = scenario.earlier_failover
            && !stepped
            && self.cooldown_known
            && at + ago < almost(settings.cooldown)
        {
            self.breaks(at, Promise::Refusals, "a run begins within the cooldown");
        }
        if at > evidence.began + millis(settings.look) + 10_000 {
            let age = at - evidence.began;
            self.breaks(
                at,
                Promise::Sight,
                format!("a run begins on a look that is {age} ms old"),
            );
        }
        if !evidence.down() {
            self.breaks(
                at,
                Promise::Sight,
                "a run begins on nothing but what an outage of ours explains",
            );
        }
        if evidence.monitor == Some((Endpoint::Enabled, true)) {
            self.breaks(
                at,
                Promise::Refusals,
                "a run begins although the traffic manager trusts the primary",
            );
        }
        let allowed = u64::try_from(scenario.steps.len()).unwrap() * millis(settings.unwatched);
        let needed = almost(settings.holdoff).saturating_sub(allowed);
        let crash_loop = settings.crash_loop.map_or(u64::MAX, almost);
        let loops = at - self.stable >= crash_loop;
        let answer = evidence.last_answer.max(self.told_answer);
        if let Some(answer) = answer
            && at - answer < needed
            && !loops
        {
            let ago = at - answer;
            self.breaks(
                at,
                Promise::Holdoff,
                format!("a run begins {ago} ms after the primary answered"),
            );
        }
        if let Some(gap) = self.gap_ended
            && !stepped
            && at - gap < needed
            && !loops
        {
            let ago = at - gap;
            let text = format!("a run begins {ago} ms after nobody had watched for long");
            self.breaks(at, Promise::Watched, text);
        }
    }

    /// Time passes.
    pub fn waits(&mut self, scenario: &Scenario, at: u64) {
        let begun = self.begun.is_some() && !self.forgotten;
        if scenario.fate == Fate::Dies && at > scenario.begin_by && !begun {
            let how = "the primary is long dead and nobody has failed over";
            self.breaks(at, Promise::InTime, how);
        }
    }

    pub fn marks_lost(&mut self, sealed: bool) {
        self.forgotten = self.begun.is_some() && !sealed;
        // The cooldown is lost with them.
        self.cooldown_known = false;
    }

    /// A run is marked as done.
    pub fn finishes(&mut self, at: u64, sealed_and_disabled: bool) {
        if !sealed_and_disabled {
            self.breaks(
                at,
                Promise::Closed,
                "a run ends without seal or with the endpoint never disabled",
            );
        }
    }

    /// Whether it has come to the end that it must come to.
    pub fn settled(&self, scenario: &Scenario, marks: &Marks, serves: bool, closed: bool) -> bool {
        let done = (marks.run.as_ref()).is_some_and(|it| it.stage == Stage::Done);
        let spared = scenario.fate == Fate::Lives && (self.begun.is_none() || self.forgotten);
        done && serves && closed || spared && marks.unstable_since.is_none()
    }

    /// All has long been calm.
    pub fn ends(&mut self, scenario: &Scenario, marks: &Marks, serves: bool, closed: bool) {
        let at = scenario.end;
        let done = (marks.run.as_ref()).is_some_and(|it| it.stage == Stage::Done);
        if self.forgotten && scenario.fate == Fate::Lives {
            // Nobody knows of the run any more, and its primary is well.
        } else if self.begun.is_some() {
            if done && !(serves && closed) {
                let text = format!("failed over, but serves={serves} closed={closed}");
                self.breaks(at, Promise::NoReturn, text);
            } else if !done {
                let text =
                    format!("begun, but not ended: done={done} serves={serves} closed={closed}");
                self.breaks(at, Promise::InTime, text);
            }
        } else if scenario.fate != Fate::Lives {
            self.breaks(
                at,
                Promise::InTime,
                "the primary is dead and nobody has failed over",
            );
        } else if scenario.slow_percent == 0
            && (marks.degraded_since.is_some() || marks.unstable_since.is_some())
        {
            self.breaks(
                at,
                Promise::Tidy,
                "the primary is well and the marks say otherwise",
            );
        }
    }
}

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// A wait, less what an instance's monotonic clock may be fast.
fn almost(duration: Duration) -> u64 {
    millis(duration) * 998 / 1_000
}
