//! An instance of `backstay watch`: the process, as the crate's documentation describes it,
//! around the real decision and the real plan.

use std::collections::BTreeMap;
use std::time::Duration;

use backstay_failover::lock::LeaseWatch;
use backstay_failover::marks::Persist;
use backstay_failover::observation::Saw;
use backstay_failover::takeover::{Barrier, Fact, Facts, Step, plan};
use backstay_failover::verdict::{Decision, Endpoint, Memory, Next, State, decide};

use crate::bug::Bug;
use crate::judge::{Evidence, Judge, millis};
use crate::look::Gathered;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::{Reply, Request};

/// What an instance waits for.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Asleep,
    /// Only with [`Bug::MarksFirst`].
    MarksFirst,
    Sights,
    Readings,
    Persisting(Box<Decision>),
    /// After that, the marks are read again, or not.
    Following(bool),
    Renewing,
    Facts,
    Performing,
}

/// What an instance wants after it has been told something.
pub enum Wants {
    /// These are to be asked.
    Asks(Vec<Request>),
    /// To be woken at that time.
    Sleeps(u64),
}

pub struct Instance {
    pub who: usize,
    pub incarnation: u64,
    started: u64,
    drift: f64,
    pub bug: Option<Bug>,
    stage: Stage,
    pub pending: usize,
    pub gathered: Gathered,
    memory: Memory,
    pub leases: LeaseWatch,
    facts: Facts,
    failed: BTreeMap<Step, String>,
    pub alarmed_until: u64,
    state: State,
    /// Answers seen and not yet told: the latest, and for how long it has answered.
    untold: Option<(u64, Duration)>,
    last_answer: Option<u64>,
    /// When the looks began that saw it answer without a break: the first and the last.
    streak: Option<(u64, u64)>,
}

impl Instance {
    pub fn new(who: usize, incarnation: u64, started: u64, drift: f64, bug: Option<Bug>) -> Self {
        Self {
            who,
            incarnation,
            started,
            drift,
            bug,
            stage: Stage::Asleep,
            pending: 0,
            gathered: Gathered::default(),
            memory: Memory::default(),
            leases: LeaseWatch::default(),
            facts: Facts::default(),
            failed: BTreeMap::new(),
            alarmed_until: 0,
            state: State::Healthy,
            untold: None,
            last_answer: None,
            streak: None,
        }
    }

    pub fn me(&self) -> String {
        format!("{}{}", ["a", "b"][self.who], self.incarnation)
    }

    pub fn mono(&self, at: u64) -> Duration {
        let lived = Duration::from_millis(at - self.started);
        lived.mul_f64(1.0 + self.drift)
    }

    pub fn asleep(&self) -> bool {
        self.stage == Stage::Asleep
    }

    pub fn alarm(&mut self, at: u64) {
        self.alarmed_until = at + 60_000;
    }

    /// A look begins.
    pub fn wake(&mut self, at: u64) -> Vec<Request> {
        self.gathered = Gathered {
            began: at,
            ..Gathered::default()
        };
        if self.bug == Some(Bug::MarksFirst) {
            self.stage = Stage::MarksFirst;
            return vec![Request::Marks, Request::Term];
        }
        self.stage = Stage::Sights;
        Self::sights()
    }

    fn sights() -> Vec<Request> {
        vec![
            Request::Probe,
            Request::ControlDns,
            Request::ControlNetwork,
            Request::Monitor,
        ]
    }

    /// An answer, to what was served at that time.
    pub fn hears(&mut self, request: &Request, reply: Reply, served: u64) {
        let got = &mut self.gathered;
        match (request, reply) {
            (Request::Probe, Reply::Saw(saw)) => {
                got.probe = Some(saw);
                got.answered = (saw == Saw::Answers).then_some(served);
            }
            (Request::ControlDns, Reply::Control) => got.dns = true,
            (Request::ControlNetwork, Reply::Control) => got.network = true,
            (Request::Monitor, Reply::Monitor(endpoint, healthy)) => {
                got.monitor = Some((endpoint, healthy));
                let believed =
                    self.bug == Some(Bug::NotReadBack) && self.facts.holds(Step::Disable);
                if self.stage == Stage::Facts && !believed {
                    let disabled = endpoint == Endpoint::Disabled;
                    self.fact(Step::Disable, disabled);
                }
            }
            (Request::Marks, Reply::Marks(all)) => {
                let (reading, lease, able) = *all;
                got.reading = Some(reading);
                got.lease = Some(lease);
                got.able = able;
            }
            (Request::Term, Reply::Term(side)) => got.term = Some(side),
            (Request::Write(..) | Request::Take(..) | Request::Release(_), reply) => {
                got.written = matches!(reply, Reply::Done);
            }
            (Request::Sealed, Reply::Flag(sealed)) => self.fact(Step::Seal, sealed),
            (Request::Status, Reply::Flag(well)) => self.fact(Step::Status, well),
            (Request::Answer, Reply::Flag(moved)) => self.fact(Step::Traffic, moved),
            (
                Request::Region,
                Reply::Region {
                    operator,
                    stale,
                    ready,
                    recovered,
                },
            ) => {
                self.fact(Step::Operator, operator);
                self.fact(Step::CleanSecrets, !stale);
                self.fact(Step::PodReady, ready);
                self.fact(Step::Recovery, recovered);
            }
            (Request::Seal | Request::Disable | Request::Clean | Request::Operator, reply) => {
                let step = match request {
                    Request::Seal => Step::Seal,
                    Request::Disable => Step::Disable,
                    Request::Clean => Step::CleanSecrets,
                    _ => Step::Operator,
                };
                match reply {
                    Reply::Done | Reply::Monitor(Endpoint::Disabled, _) => {
                        self.failed.remove(&step);
                    }
                    _ => {
                        self.failed
                            .insert(step, "no answer, or another one".to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    fn fact(&mut self, step: Step, holds: bool) {
        let fact = match self.failed.get(&step) {
            _ if holds => Fact::Holds,
            Some(why) => Fact::Failed(why.clone()),
            None => Fact::Open,
        };
        self.facts.0.insert(step, fact);
    }

    /// All that was asked has been answered, or given up.
    pub fn goes_on(
        &mut self,
        scenario: &Scenario,
        at: u64,
        judge: &mut Judge,
        trace: &mut Trace,
    ) -> Wants {
        match std::mem::replace(&mut self.stage, Stage::Asleep) {
            Stage::Asleep => self.sleeps(scenario, at, false),
            Stage::Sights => {
                self.take_note(scenario, at, judge);
                if self.bug == Some(Bug::MarksFirst) {
                    return self.decides(scenario, at, judge, trace);
                }
                self.asks(Stage::Readings, vec![Request::Marks, Request::Term])
            }
            Stage::MarksFirst => self.asks(Stage::Sights, Self::sights()),
            Stage::Readings => self.decides(scenario, at, judge, trace),
            Stage::Persisting(decision) if self.gathered.written => {
                self.tell(scenario, judge);
                self.follows(scenario, at, *decision)
            }
            Stage::Following(true) if self.gathered.written => {
                self.gathered.reading = None;
                self.asks(Stage::Readings, vec![Request::Marks])
            }
            Stage::Renewing if self.gathered.written => self.asks_for_facts(),
            Stage::Persisting(_) | Stage::Following(_) | Stage::Renewing | Stage::Performing => {
                self.sleeps(scenario, at, true)
            }
            Stage::Facts => self.performs(scenario, at, trace),
        }
    }

    fn asks(&mut self, stage: Stage, requests: Vec<Request>) -> Wants {
        self.gathered.written = false;
        self.stage = stage;
        Wants::Asks(requests)
    }

    fn sleeps(&self, scenario: &Scenario, at: u64, soon: bool) -> Wants {
        let spacing = millis(scenario.settings.spacing);
        if soon || self.state == State::FailingOver {
            return Wants::Sleeps(at + 500);
        }
        Wants::Sleeps((self.gathered.began + spacing).max(at + 200))
    }

    fn evidence(&self) -> Evidence {
        Evidence {
            began: self.gathered.began,
            probe: self.gathered.probe,
            controls: [self.gathered.dns, self.gathered.network],
            monitor: self.gathered.monitor,
            last_answer: self.last_answer,
        }
    }

    /// For the judge: what was really seen.
    fn take_note(&mut self, scenario: &Scenario, at: u64, judge: &mut Judge) {
        let began = self.gathered.began;
        if let Some(answered) = self.gathered.answered {
            let unwatched = millis(scenario.settings.unwatched);
            let (first, _) = (self.streak)
                .filter(|(_, last)| began - last <= unwatched)
                .unwrap_or((began, began));
            self.streak = Some((first, began));
            self.last_answer = Some(answered);
            self.untold = Some((answered, Duration::from_millis(began - first)));
        } else if self.evidence().down() {
            self.streak = None;
            judge.seen_down(at);
        }
    }

    /// For the judge: what was seen has been told.
    fn tell(&mut self, scenario: &Scenario, judge: &mut Judge) {
        if let Some((answered, streak)) = self.untold.take() {
            judge.told(answered, streak, scenario.settings.recovered);
        }
    }

    fn decides(
        &mut self,
        scenario: &Scenario,
        at: u64,
        judge: &mut Judge,
        trace: &mut Trace,
    ) -> Wants {
        let mut settings = scenario.settings.clone();
        match self.bug {
            Some(Bug::NoHoldoff) => settings.holdoff = Duration::ZERO,
            Some(Bug::AlertsDecide) if at < self.alarmed_until => {
                settings.holdoff = Duration::ZERO;
                settings.failures = 1;
            }
            Some(Bug::UnwatchedCounts) => settings.unwatched = Duration::from_secs(1 << 30),
            Some(Bug::NoCrashLoopRule) => settings.crash_loop = None,
            Some(Bug::CooldownIgnored) => settings.cooldown = Duration::ZERO,
            _ => {}
        }
        let look = self.look(scenario, at);
        let mut decision = decide(&settings, &mut self.memory, &look);
        if self.bug == Some(Bug::AnswersNotTold) {
            decision.persist = decision
                .persist
                .filter(|it| it.from.degraded_since.is_none() || it.to.degraded_since.is_some());
        }
        if self.bug == Some(Bug::NoReconciler) {
            decision.next.retain(|it| *it != Next::DisableAgain);
        }
        self.state = decision.state;
        trace.say(at, || {
            let sentences = decision.reasons.iter().map(|it| it.sentence.as_str());
            let persist = decision.persist.as_ref().map(Persist::annotations);
            format!(
                "{} {:?}: {}{}{}",
                self.me(),
                decision.state,
                sentences.collect::<Vec<_>>().join("; "),
                persist.map_or_else(String::new, |it| format!(" | writes {it:?}")),
                match decision.next.is_empty() {
                    true => String::new(),
                    false => format!(" | {:?}", decision.next),
                }
            )
        });
        let valid = self.valid(&decision, at);
        match decision.persist.clone() {
            Some(persist) if valid => {
                let request = Request::Write(Box::new(persist), Box::new(self.evidence()));
                self.asks(Stage::Persisting(Box::new(decision)), vec![request])
            }
            Some(_) => self.sleeps(scenario, at, true),
            None => {
                if self.gathered.reading.is_some() && valid {
                    self.tell(scenario, judge);
                }
                self.follows(scenario, at, decision)
            }
        }
    }

    fn valid(&self, decision: &Decision, at: u64) -> bool {
        decision.still_valid(self.mono(at)) || self.bug == Some(Bug::OldLooksCount)
    }

    fn follows(&mut self, scenario: &Scenario, at: u64, decision: Decision) -> Wants {
        if !self.valid(&decision, at) {
            return self.sleeps(scenario, at, true);
        }
        let mut requests = Vec::new();
        let mut again = false;
        for next in decision.next {
            match next {
                Next::TakeLock(expected) => {
                    again = true;
                    requests.push(Request::Take(expected, self.me()));
                }
                Next::Begin => {
                    self.gathered.reading = None;
                    return self.asks(Stage::Readings, vec![Request::Marks]);
                }
                Next::TakeOver(revision) => {
                    let renew = Request::Take(Some(revision), self.me());
                    return self.asks(Stage::Renewing, vec![renew]);
                }
                Next::ReleaseLock(revision) => requests.push(Request::Release(revision)),
                Next::DisableAgain => requests.push(Request::Disable),
            }
        }
        if requests.is_empty() {
            return self.sleeps(scenario, at, false);
        }
        self.asks(Stage::Following(again), requests)
    }

    fn asks_for_facts(&mut self) -> Wants {
        let kept = match self.bug {
            Some(Bug::NotReadBack) => self.facts.0.get(&Step::Disable).cloned(),
            _ => None,
        };
        let failed = self.failed.iter();
        let failed = failed.map(|(step, why)| (*step, Fact::Failed(why.clone())));
        self.facts = Facts(failed.collect());
        self.facts.0.insert(Step::Lock, Fact::Holds);
        if kept == Some(Fact::Holds) {
            self.facts.0.insert(Step::Disable, Fact::Holds);
        }
        let requests = vec![
            Request::Region,
            Request::Sealed,
            Request::Monitor,
            Request::Status,
            Request::Answer,
        ];
        self.asks(Stage::Facts, requests)
    }

    fn performs(&mut self, scenario: &Scenario, at: u64, trace: &mut Trace) -> Wants {
        let recovered = self.facts.holds(Step::Recovery);
        if recovered && scenario.barrier == Barrier::SealByEither {
            // The recovery's own lines say that it has sealed.
            self.fact(Step::Seal, true);
        }
        match self.bug {
            Some(Bug::SealSkipped) => self.fact(Step::Seal, true),
            Some(Bug::SecretsLeft) => self.fact(Step::CleanSecrets, true),
            _ => {}
        }
        let mut plan = plan(&self.facts, scenario.barrier);
        trace.say(at, || {
            format!(
                "{} does {:?}, pending_failures {:?}",
                self.me(),
                plan.now,
                plan.pending_failures
            )
        });
        match self.bug {
            Some(Bug::NotRetried) => plan.now.retain(|it| !self.failed.contains_key(it)),
            Some(Bug::OperatorFirst) => {
                plan.now.insert(Step::Operator);
            }
            _ => {}
        }
        let mut requests = Vec::new();
        for step in plan.now {
            match step {
                Step::Seal => requests.push(Request::Seal),
                Step::Disable => {
                    requests.push(Request::Disable);
                    if self.bug == Some(Bug::NotReadBack) {
                        self.facts.0.insert(Step::Disable, Fact::Holds);
                    }
                }
                Step::CleanSecrets => requests.push(Request::Clean),
                Step::Operator => requests.push(Request::Operator),
                Step::Finish => {
                    let reading = self.gathered.reading.as_ref();
                    if let Some(persist) = reading.and_then(Persist::finish) {
                        let evidence = Box::new(self.evidence());
                        requests.push(Request::Write(Box::new(persist), evidence));
                    }
                }
                // These are waited for: the next round looks again.
                Step::Lock | Step::PodReady | Step::Recovery | Step::Status | Step::Traffic => {}
            }
        }
        if requests.is_empty() {
            return self.sleeps(scenario, at, true);
        }
        self.asks(Stage::Performing, requests)
    }
}
