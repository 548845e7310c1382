//! The world that the instances talk to: the standby's API server, the buckets, the traffic
//! manager, the two regions.

use std::collections::BTreeMap;

use backstay_failover::clock::Epoch;
use backstay_failover::lock::Lease;
use backstay_failover::marks::{Marks, PAUSED, Persist, Reading, Revision, Stage};
use backstay_failover::observation::Saw;
use backstay_failover::takeover::Barrier;
use backstay_failover::verdict::Endpoint;
use backstay_pair::Side;

use crate::bug::Bug;
use crate::judge::{Evidence, Judge};
use crate::scenario::{ArmFault, Health, Node, START, Scenario};

/// So long does the primary answer 200 without reaching its bucket.
const PATIENCE: u64 = 5_000;
/// The traffic manager's tolerated failures.
const TOLERATED: u32 = 3;

/// What an instance asks.
#[derive(Clone, Debug)]
pub enum Request {
    Probe,
    ControlDns,
    ControlNetwork,
    Monitor,
    Marks,
    Term,
    Write(Box<Persist>, Box<Evidence>),
    Take(Option<Revision>, String),
    Release(Revision),
    Seal,
    Disable,
    Clean,
    Operator,
    Sealed,
    Region,
    Status,
    Answer,
}

impl Request {
    pub fn to(&self) -> Node {
        match self {
            Self::Probe => Node::Primary,
            Self::ControlDns | Self::Answer => Node::Dns,
            Self::ControlNetwork | Self::Monitor | Self::Disable => Node::Arm,
            Self::Term | Self::Seal | Self::Sealed => Node::BucketP,
            _ => Node::Standby,
        }
    }
}

/// What it is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    Saw(Saw),
    Control,
    Monitor(Endpoint, bool),
    Marks(Box<(Reading, Option<Lease>, bool)>),
    Term(Side),
    Done,
    Changed,
    Region {
        operator: bool,
        stale: bool,
        ready: bool,
        recovered: bool,
    },
    Flag(bool),
    Failed,
    /// No answer in time.
    Lost,
}

/// The standby's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pod {
    None,
    /// It starts, for the nth time.
    Starting(u32),
    Recovering,
    Serving,
}

pub struct World {
    pub annotations: BTreeMap<String, String>,
    revision: u64,
    lease: Option<(Option<String>, u64)>,
    lease_revision: u64,
    clock_step: i64,
    pub sealed: bool,
    fenced: bool,
    last_contact: u64,
    pub endpoint: Endpoint,
    /// Whether anybody has ever disabled it.
    disabled: bool,
    failures: [u32; 2],
    operator: bool,
    stale_secrets: bool,
    pub pod: Pod,
    pub judge: Judge,
    bug: Option<Bug>,
}

impl World {
    pub fn new(scenario: &Scenario, bug: Option<Bug>) -> Self {
        let annotations = scenario.annotations.iter();
        Self {
            annotations: annotations
                .map(|(name, text)| ((*name).to_owned(), text.clone()))
                .collect(),
            revision: 1,
            lease: None,
            lease_revision: 0,
            clock_step: 0,
            sealed: false,
            fenced: false,
            last_contact: 0,
            endpoint: Endpoint::Enabled,
            disabled: false,
            failures: [0, TOLERATED + 1],
            operator: false,
            stale_secrets: scenario.stale_secrets,
            pod: Pod::None,
            judge: Judge::new(scenario),
            bug,
        }
    }

    fn now(&self, at: u64) -> Epoch {
        Epoch((START + at / 1_000).saturating_add_signed(self.clock_step))
    }

    pub fn step_clock(&mut self, by: i64) {
        self.clock_step += by;
    }

    pub fn pause(&mut self, paused: bool) {
        if paused {
            self.annotations
                .insert(PAUSED.to_owned(), "a test".to_owned());
        } else {
            self.annotations.remove(PAUSED);
        }
        self.revision += 1;
    }

    pub fn lose_marks(&mut self) {
        self.annotations.clear();
        self.revision += 1;
        self.judge.marks_lost(self.sealed);
    }

    fn answers(&self, scenario: &Scenario, at: u64) -> Saw {
        match scenario.primary_at(at) {
            Health::Up if self.fenced || at > self.last_contact + PATIENCE => Saw::WrongStatus(503),
            Health::Up => Saw::Answers,
            Health::Broken => Saw::WrongStatus(503),
            Health::Silent | Health::Frozen => Saw::TimedOut,
            Health::Killed | Health::CrashLoop { .. } => Saw::Refused,
        }
    }

    /// The primary puts an entry: acknowledged if nobody has sealed.
    pub fn primary_writes(&mut self, scenario: &Scenario, at: u64) {
        match scenario.primary_at(at) {
            Health::Up if scenario.linked(Node::Primary, Node::BucketP, at) => {
                self.last_contact = at;
                if self.sealed {
                    self.fenced = true;
                } else {
                    self.judge
                        .primary_acknowledges(at, self.pod == Pod::Serving);
                }
            }
            // A process that starts again is patient again; one that thaws goes on where it was.
            Health::Killed | Health::Silent | Health::Frozen => self.last_contact = at,
            _ => {}
        }
    }

    pub fn standby_writes(&mut self, scenario: &Scenario, at: u64) {
        if self.pod == Pod::Serving && scenario.linked(Node::Standby, Node::BucketS, at) {
            self.judge.secondary_acknowledges();
        }
    }

    pub fn monitor_probes(&mut self, scenario: &Scenario, at: u64) {
        let primary = scenario.linked(Node::Arm, Node::Primary, at)
            && self.answers(scenario, at) == Saw::Answers;
        let secondary = scenario.linked(Node::Arm, Node::Standby, at) && self.pod == Pod::Serving;
        for (failures, well) in self.failures.iter_mut().zip([primary, secondary]) {
            *failures = if well { 0 } else { *failures + 1 };
        }
    }

    fn healthy(&self, side: usize) -> bool {
        self.failures[side] <= TOLERATED
    }

    /// Whether the global name points to the secondary.
    pub fn points_to_secondary(&self) -> bool {
        !(self.endpoint == Endpoint::Enabled && self.healthy(0)) && self.healthy(1)
    }

    /// The pod takes its next step; says in how long it takes another.
    pub fn pod_steps(&mut self, scenario: &Scenario, at: u64) -> Option<u64> {
        match self.pod {
            Pod::None | Pod::Serving => None,
            Pod::Starting(_) if self.stale_secrets => Some(5_000),
            Pod::Starting(n) if n < scenario.pod_crashes => {
                self.pod = Pod::Starting(n + 1);
                Some(scenario.pod_start)
            }
            Pod::Starting(_) => {
                self.pod = Pod::Recovering;
                Some(500)
            }
            Pod::Recovering => {
                let able = !scenario.unable.iter().any(|it| it.holds(at))
                    && scenario.linked(Node::Standby, Node::BucketP, at)
                    && scenario.linked(Node::Standby, Node::BucketS, at);
                if !able {
                    return Some(3_000);
                }
                if scenario.barrier == Barrier::SealByEither {
                    self.sealed = true;
                }
                self.pod = Pod::Serving;
                None
            }
        }
    }

    /// Carries out a request. Says whether the pod starts now.
    pub fn serve(&mut self, scenario: &Scenario, at: u64, request: &Request) -> (Reply, bool) {
        let mut starts = false;
        let fault = scenario.arm_faults.iter().find(|it| it.1.holds(at));
        let reply = match request {
            Request::Probe => match self.answers(scenario, at) {
                Saw::TimedOut => Reply::Lost,
                saw => Reply::Saw(saw),
            },
            Request::ControlDns | Request::ControlNetwork => Reply::Control,
            Request::Monitor | Request::Disable => {
                let fault = fault.map(|it| it.0);
                if fault == Some(ArmFault::Refuses) {
                    return (Reply::Failed, false);
                }
                if matches!(request, Request::Disable) && fault != Some(ArmFault::Lies) {
                    self.endpoint = Endpoint::Disabled;
                    self.disabled = true;
                }
                if fault == Some(ArmFault::Mute) {
                    return (Reply::Lost, false);
                }
                Reply::Monitor(self.endpoint, self.healthy(0))
            }
            Request::Marks => {
                let reading = Reading {
                    marks: Marks::read(&self.annotations),
                    revision: Revision(self.revision.to_string()),
                    now: self.now(at),
                };
                let lease = self.lease.as_ref().map(|(holder, revision)| Lease {
                    holder: holder.clone(),
                    revision: Revision(revision.to_string()),
                    promised: std::time::Duration::ZERO,
                });
                let able = !scenario.unable.iter().any(|it| it.holds(at));
                Reply::Marks(Box::new((reading, lease, able)))
            }
            Request::Term if self.sealed => Reply::Term(Side::Secondary),
            Request::Term => Reply::Term(Side::Primary),
            Request::Write(persist, evidence) => self.write(scenario, at, persist, evidence),
            Request::Take(expected, me) => {
                let current = self.lease.as_ref().map(|it| it.1.to_string());
                let wanted = expected.as_ref().map(|it| it.0.clone());
                if current != wanted && self.bug != Some(Bug::LockIgnored) {
                    return (Reply::Changed, false);
                }
                self.lease_revision += 1;
                self.lease = Some((Some(me.clone()), self.lease_revision));
                Reply::Done
            }
            Request::Release(expected) => {
                if self.lease.as_ref().map(|it| it.1.to_string()) != Some(expected.0.clone()) {
                    return (Reply::Changed, false);
                }
                self.lease_revision += 1;
                self.lease = Some((None, self.lease_revision));
                Reply::Done
            }
            Request::Seal => {
                self.sealed = true;
                Reply::Done
            }
            Request::Clean => {
                self.stale_secrets = false;
                Reply::Done
            }
            Request::Operator => {
                self.judge.operator_started(at);
                self.revision += 1;
                if !self.operator {
                    self.operator = true;
                    self.pod = Pod::Starting(0);
                    starts = true;
                }
                Reply::Done
            }
            Request::Sealed => Reply::Flag(self.sealed),
            Request::Region => Reply::Region {
                operator: self.operator,
                stale: self.stale_secrets,
                ready: self.pod == Pod::Serving,
                recovered: self.pod == Pod::Serving,
            },
            Request::Status => Reply::Flag(self.pod == Pod::Serving),
            Request::Answer => Reply::Flag(self.points_to_secondary()),
        };
        (reply, starts)
    }

    fn write(
        &mut self,
        scenario: &Scenario,
        at: u64,
        persist: &Persist,
        evidence: &Evidence,
    ) -> Reply {
        let current = Revision(self.revision.to_string());
        if persist.expected != current && self.bug != Some(Bug::NoCompareAndSet) {
            return Reply::Changed;
        }
        // Once it is sealed, a run that is begun is one that is taken up again.
        let begins = !self.sealed
            && persist.from.run.is_none()
            && (persist.to.run.as_ref()).is_some_and(|it| it.stage == Stage::Acting);
        if begins {
            let paused = self.annotations.contains_key(PAUSED);
            self.judge.begins(scenario, at, evidence, paused);
        }
        if (persist.to.run.as_ref()).is_some_and(|it| it.stage == Stage::Done) {
            self.judge.finishes(at, self.sealed && self.disabled);
        }
        for (name, text) in persist.annotations() {
            match text {
                Some(text) => self.annotations.insert(name.to_owned(), text),
                None => self.annotations.remove(name),
            };
        }
        self.revision += 1;
        Reply::Done
    }

    fn end(&self) -> (Marks, bool, bool) {
        let serves = self.pod == Pod::Serving && self.points_to_secondary();
        let closed = self.endpoint == Endpoint::Disabled && self.sealed;
        (Marks::read(&self.annotations), serves, closed)
    }

    /// Whether it has come to the end that it must come to.
    pub fn settled(&self, scenario: &Scenario) -> bool {
        let (marks, serves, closed) = self.end();
        self.judge.settled(scenario, &marks, serves, closed)
    }

    /// What must be so when all has long been calm.
    pub fn check_end(&mut self, scenario: &Scenario) {
        let (marks, serves, closed) = self.end();
        self.judge.ends(scenario, &marks, serves, closed);
    }
}
