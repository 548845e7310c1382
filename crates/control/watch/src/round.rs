//! One round after another. See [`backstay_failover`] for why each is in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backstay_failover::edge::{Locked, LookOut, Marked, Takeover, Traffic, Written};
use backstay_failover::lock::{LeaseWatch, Lock};
use backstay_failover::marks::{Persist, Revision};
use backstay_failover::observation::{Known, Observation, OurSide};
use backstay_failover::takeover::{Fact, PendingFailure, Step, plan};
use backstay_failover::timing::Report;
use backstay_failover::verdict::{Decision, Demand, Look, Memory, Next, State, decide};
use backstay_retry::{Deadline, WriteGuard};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::on_record::OnRecord;
use crate::status::WatchStatus;
use crate::takeover::STEP_TIMEOUT;
use crate::world::World;

/// Longest wait for steps under way before the world is looked at again.
const STEPS_WAIT: Duration = Duration::from_millis(250);
/// Between two rounds while something is under way.
const BUSY_ROUND_INTERVAL: Duration = Duration::from_millis(100);
/// Before a step that has failed is tried again.
const STEP_RETRY_DELAY: Duration = Duration::from_secs(1);
/// After a round that came to nothing.
const ROUND_RETRY_DELAY: Duration = Duration::from_millis(500);
/// So often is decided on the same sights.
const MAX_DECISIONS_PER_ROUND: usize = 8;

/// When the next round is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A spacing after this one began.
    Usual,
    /// After so long.
    In(Duration),
}

impl Pace {
    /// How long to pause, where the usual pause is so long.
    pub fn pause(self, usual: Duration) -> Duration {
        match self {
            Self::Usual => usual,
            Self::In(pause) => pause,
        }
    }
}

/// An instance that watches.
#[derive(Debug)]
pub struct Watcher {
    world: Arc<World>,
    clock: Clock,
    memory: Memory,
    leases: LeaseWatch,
    demand: Demand,
    evidence: Evidence,
    /// Steps under way.
    steps: JoinSet<(Step, Fact)>,
    busy: BTreeSet<Step>,
    failed: BTreeMap<Step, Failure>,
    dry_run: bool,
}

/// How a step has failed.
#[derive(Debug)]
struct Failure {
    why: String,
    /// When it may be tried again, by our clock.
    again: Duration,
}

/// How a decision was carried out.
enum Carried {
    /// Decide again, on the same sights.
    Again,
    /// The round is over.
    Over(Pace),
}

/// Where a test can end the process: in front of a change of the marks and behind it.
fn failpoints(change: &Persist) -> (&'static str, &'static str) {
    match change.from.run == change.to.run {
        true => ("failover.marks.before_write", "failover.marks.after_write"),
        false => ("failover.begin.before_write", "failover.begin.after_write"),
    }
}

impl Watcher {
    /// A new instance. There is one of a [`World`], and it bears its name.
    pub fn new(world: Arc<World>, demand: Demand) -> Self {
        Self {
            clock: Clock::start(),
            memory: Memory::default(),
            leases: LeaseWatch::default(),
            demand,
            evidence: Evidence::new(world.clone()),
            steps: JoinSet::new(),
            busy: BTreeSet::new(),
            failed: BTreeMap::new(),
            dry_run: false,
            world,
        }
    }

    /// From now on its rounds change nothing: they only say what they would do.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Its name, in the run lock.
    pub fn me(&self) -> &str {
        &self.world.me
    }

    /// From one look to the next.
    pub fn spacing(&self) -> Duration {
        self.world.settings.spacing
    }

    /// An alert has come. It changes nothing but the timing report.
    pub fn alerted(&mut self) {
        self.evidence.alerted();
    }

    /// Looks and decides, and changes nothing.
    pub async fn look(&mut self) -> (WatchStatus, Decision) {
        let began = self.clock.now();
        let sights = self.world.look().await;
        let (look, decision) = self.decide(began, &sights).await;
        let mut status = WatchStatus::of(&look, &decision, &self.world.me);
        let facts = self.world.facts().await;
        let barrier = self.world.journals.barrier().await;
        status.takeover(&facts, plan(&facts, barrier));
        self.world.complete(&mut status).await;
        self.world.inspect(&mut status).await;
        (status, decision)
    }

    /// A round: looks, decides, carries it out.
    pub async fn round(&mut self) -> (WatchStatus, Pace) {
        if self.dry_run {
            let (status, decision) = self.look().await;
            self.evidence.would(&decision);
            return (status, Pace::Usual);
        }
        let began = self.clock.now();
        let sights = self.world.look().await;
        let mut status = WatchStatus::default();
        for _ in 0..MAX_DECISIONS_PER_ROUND {
            let (look, decision) = self.decide(began, &sights).await;
            status = WatchStatus::of(&look, &decision, &self.world.me);
            self.evidence.decided(&look, &decision);
            match self.carry_out(&look, &decision, &mut status).await {
                Carried::Again => {}
                Carried::Over(pace) => {
                    self.world.complete(&mut status).await;
                    return (status, pace);
                }
            }
        }
        (status, Pace::In(ROUND_RETRY_DELAY))
    }

    async fn decide(
        &mut self,
        began: Duration,
        (observations, ours): &(Vec<Observation>, OurSide),
    ) -> (Look, Decision) {
        let world = &self.world;
        let (reading, lease, endpoint, term, standby) = tokio::join!(
            Marked::read(&**world),
            Locked::read(&**world),
            world.endpoint(),
            world.term(),
            world.able(),
        );
        let mono = self.clock.now();
        let lasts = world.settings.lease;
        let lock = match lease {
            Known::Is(lease) => {
                Known::Is(
                    self.leases
                        .judge(lease.as_ref(), &self.world.me, mono, lasts),
                )
            }
            Known::Unknown(why) => Known::Unknown(why),
        };
        let look = Look {
            began,
            mono,
            observations: observations.clone(),
            ours: *ours,
            reading,
            lock,
            standby,
            endpoint,
            term,
            demand: self.demand.clone(),
            run_id: Uuid::new_v4().simple().to_string(),
        };
        let decision = decide(&world.settings, &mut self.memory, &look);
        (look, decision)
    }

    fn valid(&self, decision: &Decision) -> bool {
        decision.still_valid(self.clock.now())
    }

    async fn carry_out(
        &mut self,
        look: &Look,
        decision: &Decision,
        status: &mut WatchStatus,
    ) -> Carried {
        if let Some(change) = &decision.persist {
            if !self.valid(decision) {
                return Carried::Over(Pace::In(BUSY_ROUND_INTERVAL));
            }
            let (before, after) = failpoints(change);
            backstay_failpoint::hit(before);
            let written = self.world.write(change).await;
            backstay_failpoint::hit(after);
            match written {
                Written::Yes => self.evidence.persisted(look, change).await,
                Written::Changed => return Carried::Over(Pace::In(BUSY_ROUND_INTERVAL)),
                Written::Unknown(why) => {
                    tracing::warn!(why, "whether the marks are written is not known");
                    return Carried::Over(Pace::In(ROUND_RETRY_DELAY));
                }
            }
        }
        let mut again = false;
        for next in &decision.next {
            if !self.valid(decision) {
                return Carried::Over(Pace::In(BUSY_ROUND_INTERVAL));
            }
            match next {
                Next::Begin => return Carried::Again,
                Next::TakeLock(expected) => {
                    let taken = self.world.take(expected.as_ref(), &self.world.me).await;
                    backstay_failpoint::hit("failover.lock.after_take");
                    match taken {
                        Written::Yes => again = true,
                        Written::Changed => return Carried::Over(Pace::In(BUSY_ROUND_INTERVAL)),
                        Written::Unknown(_) => return Carried::Over(Pace::In(ROUND_RETRY_DELAY)),
                    }
                }
                Next::ReleaseLock(expected) => {
                    // One that stays runs out.
                    let _ = self.world.release(expected).await;
                }
                Next::DisableAgain => self.disable_again(look, status).await,
                Next::TakeOver(revision) => {
                    return Carried::Over(self.take_over(look, decision, revision, status).await);
                }
            }
        }
        // One of which nothing is left is over once it is marked; the next look would only be later.
        let over = decision.holdoff.is_some_and(|it| it.left.is_zero());
        again |= over && decision.persist.is_some();
        match (again, decision.state) {
            (true, _) => Carried::Again,
            (false, State::FailingOver) => Carried::Over(Pace::In(ROUND_RETRY_DELAY)),
            (false, _) => Carried::Over(Pace::Usual),
        }
    }

    /// The reconciler: nobody sends traffic back to a primary that was failed over.
    async fn disable_again(&mut self, look: &Look, status: &mut WatchStatus) {
        let Known::Is(reading) = &look.reading else {
            return;
        };
        let Some(run) = &reading.marks.run else {
            return;
        };
        self.evidence.reopened().await;
        let (world, run) = (self.world.clone(), run.id.clone());
        let azure = self
            .world
            .azure
            .under(WriteGuard::authorized_by(OnRecord { world, run }));
        if let Err(error) = self
            .world
            .disable(&azure, Deadline::after(STEP_TIMEOUT))
            .await
        {
            let (step, why) = (Step::Disable, error.to_string());
            status.pending_failures = vec![PendingFailure { step, why }];
        }
    }

    /// Goes on with the takeover: what has ended is taken note of, what is for now is begun, and the
    /// world is looked at again before long, whatever is still under way.
    async fn take_over(
        &mut self,
        look: &Look,
        decision: &Decision,
        revision: &Revision,
        status: &mut WatchStatus,
    ) -> Pace {
        if self.world.take(Some(revision), &self.world.me).await != Written::Yes {
            return Pace::In(BUSY_ROUND_INTERVAL);
        }
        let (mut facts, barrier) = tokio::join!(self.world.facts(), self.world.journals.barrier());
        while let Some(ended) = self.steps.try_join_next() {
            self.note_end(ended);
        }
        facts.0.insert(Step::Lock, Fact::Holds);
        for (step, fact) in &mut facts.0 {
            if *fact == Fact::Holds {
                self.failed.remove(step);
            } else if let Some(failure) = self.failed.get(step) {
                *fact = Fact::Failed(failure.why.clone());
            }
        }
        let plan = plan(&facts, barrier);
        let now = plan.now.clone();
        self.evidence.acting(&facts, &plan);
        status.takeover(&facts, plan);
        if !self.valid(decision) {
            return Pace::In(BUSY_ROUND_INTERVAL);
        }
        if now.contains(&Step::Finish) {
            self.finish(look).await;
            return Pace::In(BUSY_ROUND_INTERVAL);
        }
        let mono = self.clock.now();
        for step in now {
            let due = self.failed.get(&step).is_none_or(|it| it.again <= mono);
            if step.changes() && due && self.busy.insert(step) {
                let world = self.world.clone();
                let span = self.evidence.step(step);
                let performed = async move { (step, world.perform(step).await) };
                self.steps.spawn(performed.instrument(span));
            }
        }
        // There is none to wait for when nothing is under way.
        if let Ok(Some(ended)) = timeout(STEPS_WAIT, self.steps.join_next()).await {
            self.note_end(ended);
        }
        Pace::In(BUSY_ROUND_INTERVAL)
    }

    fn note_end(&mut self, ended: Result<(Step, Fact), JoinError>) {
        match ended {
            Ok((step, Fact::Failed(why))) => {
                tracing::warn!(
                    step = step.words(),
                    why,
                    "a step has failed; it is tried again"
                );
                self.busy.remove(&step);
                let again = self.clock.now().saturating_add(STEP_RETRY_DELAY);
                self.failed.insert(step, Failure { why, again });
            }
            Ok((step, _)) => {
                self.busy.remove(&step);
                self.failed.remove(&step);
            }
            Err(error) => {
                tracing::error!(%error, "a step broke down; it is tried again");
                self.busy.clear();
            }
        }
    }

    async fn finish(&mut self, look: &Look) {
        let Known::Is(reading) = &look.reading else {
            return;
        };
        backstay_failpoint::hit("failover.finish.before");
        if let Some(change) = Persist::finish(reading)
            && self.world.write(&change).await == Written::Yes
        {
            backstay_failpoint::hit("failover.finish.after");
            self.evidence.finished(look).await;
        }
    }

    /// The timing report of the last run that this instance has ended.
    pub fn report(&self) -> Option<&Report> {
        self.evidence.report()
    }

    /// Gives back what is held. For the end of the process.
    pub async fn stop(mut self) {
        self.steps.abort_all();
        if let Known::Is(lease) = Locked::read(&*self.world).await {
            let mono = self.clock.now();
            let lasts = self.world.settings.lease;
            if let Lock::Mine(revision) =
                self.leases
                    .judge(lease.as_ref(), &self.world.me, mono, lasts)
            {
                let _ = self.world.release(&revision).await;
            }
        }
    }
}
