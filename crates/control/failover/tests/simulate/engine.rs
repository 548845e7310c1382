//! The engine: one queue of events, one clock, one source of chance.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::bug::Bug;
use crate::instance::{Instance, Wants};
use crate::judge::Broken;
use crate::scenario::{LATE, Node, Scenario};
use crate::trace::Trace;
use crate::world::{Reply, Request, World};

/// After so long without an answer, other requests than probes are given up.
const PATIENCE: u64 = 5_000;
/// A run that has been where it must end for so long is at its end.
const SETTLED: u64 = 120_000;

enum Event {
    Starts(usize),
    Dies(usize),
    /// An instance wakes by its timer.
    Wakes(usize, u64),
    Alert(usize),
    /// A request arrives.
    Arrives(usize, u64, Box<Request>, u64),
    /// Its answer does, or does not; with the time at which it was served.
    Returns(usize, u64, Box<Request>, Reply, u64),
    PrimaryWrites,
    StandbyWrites,
    MonitorProbes,
    PodSteps,
    Terraform,
    MarksLost,
    ClockSteps(i64),
    Pause(bool),
}

struct Entry {
    at: u64,
    place: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.place) == (other.at, other.place)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.place).cmp(&(other.at, other.place))
    }
}

/// How a run ended.
pub struct Outcome {
    /// The promise that was broken.
    pub broken: Option<Broken>,
    /// When the run began, if it did.
    pub begun: Option<u64>,
    /// What happened, if that was asked for.
    pub trace: Option<String>,
}

pub struct Engine<'a> {
    scenario: &'a Scenario,
    bug: Option<Bug>,
    random: SmallRng,
    queue: BinaryHeap<Reverse<Entry>>,
    places: u64,
    world: World,
    instances: [Option<Instance>; 2],
    incarnations: u64,
    settled_since: Option<u64>,
    trace: Trace,
}

/// Runs a seed.
pub fn run(seed: u64, bug: Option<Bug>, traced: bool) -> Outcome {
    let scenario = Scenario::new(seed);
    let mut engine = Engine {
        scenario: &scenario,
        bug,
        random: SmallRng::seed_from_u64(seed ^ 0x9e37_79b9_7f4a_7c15),
        queue: BinaryHeap::new(),
        places: 0,
        world: World::new(&scenario, bug),
        instances: [None, None],
        incarnations: 0,
        settled_since: None,
        trace: Trace {
            text: traced.then(String::new),
        },
    };
    engine
        .trace
        .say(0, || format!("seed {seed}: {scenario:#?}"));
    engine.prepare();
    engine.play();
    Outcome {
        broken: engine.world.judge.broken,
        begun: engine.world.judge.begun,
        trace: engine.trace.text,
    }
}

impl Engine<'_> {
    fn push(&mut self, at: u64, event: Event) {
        self.places += 1;
        let place = self.places;
        self.queue.push(Reverse(Entry { at, place, event }));
    }

    fn prepare(&mut self) {
        let scenario = self.scenario;
        for who in 0..2 {
            let at = self.random.random_range(0..5_000);
            self.push(at, Event::Starts(who));
        }
        for (who, span) in &scenario.deaths {
            self.push(span.from, Event::Dies(*who));
            if span.to != u64::MAX {
                self.push(span.to, Event::Starts(*who));
            }
        }
        for (at, who) in &scenario.alerts {
            // Some arrive twice, some late.
            self.push(*at, Event::Alert(*who));
            if at % 3 == 0 {
                self.push(at + at % 40_000, Event::Alert(*who));
            }
        }
        for at in &scenario.terraform {
            self.push((*at).min(scenario.calm + LATE), Event::Terraform);
        }
        for at in &scenario.losses {
            self.push(*at, Event::MarksLost);
        }
        for (at, by) in &scenario.steps {
            self.push(*at, Event::ClockSteps(*by));
        }
        for span in &scenario.pauses {
            self.push(span.from, Event::Pause(true));
            self.push(span.to, Event::Pause(false));
        }
        self.push(0, Event::PrimaryWrites);
        self.push(0, Event::MonitorProbes);
    }

    fn play(&mut self) {
        while let Some(Reverse(Entry { at, event, .. })) = self.queue.pop() {
            let settled = self.settled_since.is_some_and(|it| at > it + SETTLED);
            if at >= self.scenario.end || settled {
                break;
            }
            self.happens(at, event);
            if self.world.judge.broken.is_some() {
                break;
            }
        }
        self.world.check_end(self.scenario);
        if let Some(broken) = &self.world.judge.broken {
            self.trace.say(broken.at, || format!("BROKEN {broken}"));
        }
    }

    /// Until when an instance is stopped, if it is.
    fn frozen(&self, who: usize, at: u64) -> Option<u64> {
        let stopped = self.scenario.freezes.iter();
        let stopped = stopped.filter(|it| it.0 == who && it.1.holds(at));
        stopped.map(|it| it.1.to).max()
    }

    fn happens(&mut self, at: u64, event: Event) {
        if let Event::Wakes(who, _) | Event::Alert(who) | Event::Returns(who, ..) = event
            && let Some(thaws) = self.frozen(who, at)
        {
            self.push(thaws, event);
            return;
        }
        match event {
            Event::Starts(who) => self.starts(at, who),
            Event::Dies(who) => {
                self.trace.say(at, || format!("instance {who} is killed"));
                self.instances[who] = None;
            }
            Event::Wakes(who, incarnation) => {
                let asleep = self.instances[who]
                    .as_ref()
                    .is_some_and(|it| it.asleep() && it.incarnation == incarnation);
                if asleep {
                    self.wakes(at, who);
                }
            }
            Event::Alert(who) => {
                self.trace
                    .say(at, || format!("an alert reaches instance {who}"));
                if let Some(instance) = &mut self.instances[who] {
                    instance.alarm(at);
                    if instance.asleep() {
                        self.wakes(at, who);
                    }
                }
            }
            Event::Arrives(who, incarnation, request, deadline) => {
                self.arrives(at, who, incarnation, request, deadline);
            }
            Event::Returns(who, incarnation, request, reply, served) => {
                self.returns(at, who, incarnation, &request, reply, served);
            }
            Event::PrimaryWrites => {
                self.world.primary_writes(self.scenario, at);
                self.push(at + 1_500, Event::PrimaryWrites);
            }
            Event::StandbyWrites => {
                self.world.standby_writes(self.scenario, at);
                self.push(at + 1_500, Event::StandbyWrites);
            }
            Event::MonitorProbes => {
                self.world.monitor_probes(self.scenario, at);
                self.world.judge.waits(self.scenario, at);
                let late = at > self.scenario.calm + LATE;
                self.settled_since = (late && self.world.settled(self.scenario))
                    .then(|| self.settled_since.unwrap_or(at));
                self.push(at + self.scenario.monitor_interval, Event::MonitorProbes);
            }
            Event::PodSteps => {
                let again = self.world.pod_steps(self.scenario, at);
                let pod = self.world.pod;
                self.trace.say(at, || format!("the standby's pod: {pod:?}"));
                match again {
                    Some(after) => self.push(at + after, Event::PodSteps),
                    None => self.push(at, Event::StandbyWrites),
                }
            }
            Event::Terraform => {
                self.trace
                    .say(at, || "terraform apply on the primary".to_owned());
                self.world.endpoint = backstay_failover::verdict::Endpoint::Enabled;
            }
            Event::MarksLost => {
                self.trace.say(at, || "the marks are lost".to_owned());
                self.world.lose_marks();
            }
            Event::ClockSteps(by) => {
                self.trace
                    .say(at, || format!("the API server's clock: {by:+} s"));
                self.world.step_clock(by);
            }
            Event::Pause(paused) => {
                self.trace
                    .say(at, || format!("an operator: paused={paused}"));
                self.world.pause(paused);
            }
        }
    }

    fn starts(&mut self, at: u64, who: usize) {
        let mut deaths = self.scenario.deaths.iter();
        if self.instances[who].is_some() || deaths.any(|it| it.0 == who && it.1.holds(at)) {
            return;
        }
        self.incarnations += 1;
        self.trace.say(at, || format!("instance {who} starts"));
        let drift = self.scenario.drift[who];
        let instance = Instance::new(who, self.incarnations, at, drift, self.bug);
        self.instances[who] = Some(instance);
        self.push(at, Event::Wakes(who, self.incarnations));
    }

    fn wakes(&mut self, at: u64, who: usize) {
        if let Some(instance) = &mut self.instances[who] {
            let requests = instance.wake(at);
            self.asks(at, who, requests);
        }
    }

    fn latency(&mut self) -> u64 {
        match self.random.random_range(0..100) < self.scenario.slow_percent {
            true => self.random.random_range(500..3_000),
            false => self.random.random_range(2..60),
        }
    }

    fn asks(&mut self, at: u64, who: usize, requests: Vec<Request>) {
        let Some(instance) = &mut self.instances[who] else {
            return;
        };
        instance.pending = requests.len();
        let incarnation = instance.incarnation;
        for request in requests {
            let waits = match request {
                Request::Probe
                | Request::ControlDns
                | Request::ControlNetwork
                | Request::Monitor => self.scenario.probe_timeout,
                _ => PATIENCE,
            };
            let arrives = at + self.latency();
            let request = Box::new(request);
            if self
                .scenario
                .linked(Node::watch(who), request.to(), arrives)
            {
                let event = Event::Arrives(who, incarnation, request, at + waits);
                self.push(arrives, event);
            } else {
                let event = Event::Returns(who, incarnation, request, Reply::Lost, at);
                self.push(at + waits, event);
            }
        }
    }

    fn arrives(
        &mut self,
        at: u64,
        who: usize,
        incarnation: u64,
        request: Box<Request>,
        deadline: u64,
    ) {
        let (reply, starts) = self.world.serve(self.scenario, at, &request);
        if starts {
            self.push(at + self.scenario.pod_start, Event::PodSteps);
        }
        let returns = at + self.latency();
        let lost = matches!(reply, Reply::Lost)
            || returns > deadline
            || !self
                .scenario
                .linked(request.to(), Node::watch(who), returns);
        let (reply, returns) = match lost {
            true => (Reply::Lost, deadline.max(at)),
            false => (reply, returns),
        };
        let event = Event::Returns(who, incarnation, request, reply, at);
        self.push(returns, event);
    }

    fn returns(
        &mut self,
        at: u64,
        who: usize,
        incarnation: u64,
        request: &Request,
        reply: Reply,
        served: u64,
    ) {
        let Some(instance) = self.instances[who].as_mut() else {
            return;
        };
        if instance.incarnation != incarnation {
            return;
        }
        instance.hears(request, reply, served);
        instance.pending -= 1;
        if instance.pending > 0 {
            return;
        }
        let judge = &mut self.world.judge;
        match instance.goes_on(self.scenario, at, judge, &mut self.trace) {
            Wants::Asks(requests) => self.asks(at, who, requests),
            Wants::Sleeps(until) => self.push(until, Event::Wakes(who, incarnation)),
        }
    }
}
