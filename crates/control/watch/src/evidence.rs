//! What is left behind of a failover: log lines with the run's id, events on the standby's operator,
//! and the timing report in the source's phases.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backstay_cluster::{Note, Severity};
use backstay_failover::marks::{Persist, Stage};
use backstay_failover::observation::Saw;
use backstay_failover::reason::{self, Code};
use backstay_failover::takeover::{Facts, Plan, Step};
use backstay_failover::timing::{Moments, Report};
use backstay_failover::verdict::{Decision, Look, State};
use backstay_retry::Deadline;
use tracing::Span;

use crate::clock::Clock;
use crate::world::World;

/// Longest wait for an event to be written: the takeover does not wait for its own chronicle.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// What one instance has lived through.
#[derive(Debug)]
pub(crate) struct Evidence {
    world: Arc<World>,
    clock: Clock,
    /// The wall clock when ours began; all moments are ours, counted from it.
    epoch: Duration,
    state: State,
    told: Vec<Code>,
    run: Option<String>,
    moments: Moments,
    report: Option<Report>,
    /// The run's trace, its steps below it.
    trace: Span,
}

impl Evidence {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self {
            world,
            clock: Clock::start(),
            epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            state: State::Healthy,
            told: Vec::new(),
            run: None,
            moments: Moments::default(),
            report: None,
            trace: Span::none(),
        }
    }

    /// Milliseconds since 1970, by a clock that is not stepped.
    fn now(&self) -> u64 {
        let now = self.epoch.saturating_add(self.clock.now());
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    /// The span of a step, below that of its run.
    pub(crate) fn step(&mut self, step: Step) -> Span {
        if self.trace.is_none() {
            let run = self.run().to_owned();
            self.trace = tracing::info_span!(parent: None, "failover", run);
        }
        tracing::info_span!(parent: &self.trace, "step", run = self.run(), what = step.words())
    }

    fn run(&self) -> &str {
        self.run.as_deref().unwrap_or("none")
    }

    /// The timing report of the last run that this instance has ended.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    pub(crate) fn alerted(&mut self) {
        let now = self.now();
        self.moments.alerted.get_or_insert(now);
        tracing::info!(run = self.run(), "an alert woke us");
    }

    pub(crate) fn decided(&mut self, look: &Look, decision: &Decision) {
        let answers = look.observations.iter().any(|it| it.saw == Saw::Answers);
        if answers && self.run.is_none() {
            self.moments = Moments {
                failed: Some(self.now()),
                ..Moments::default()
            };
        }
        let marked = look.reading.known().and_then(|it| it.marks.run.as_ref());
        let acting = marked.filter(|run| run.stage == Stage::Acting);
        self.run = acting.map(|run| run.id.clone());
        let told: Vec<Code> = decision.reasons.iter().map(|it| it.code).collect();
        if self.state != decision.state || self.told != told {
            tracing::info!(
                run = self.run(),
                from = ?self.state,
                to = ?decision.state,
                reasons = reason::sentences(&decision.reasons),
                "decided"
            );
        }
        self.state = decision.state;
        self.told = told;
    }

    /// What would have been done.
    pub(crate) fn would(&self, decision: &Decision) {
        if decision.persist.is_some() || !decision.next.is_empty() {
            tracing::info!(
                state = ?decision.state,
                next = ?decision.next,
                reasons = reason::sentences(&decision.reasons),
                "would act; nothing is changed"
            );
        }
    }

    /// The marks were changed.
    pub(crate) async fn persisted(&mut self, look: &Look, change: &Persist) {
        let now = self.now();
        match (change.from.degraded_since, change.to.degraded_since) {
            (None, Some(_)) => {
                self.moments.degraded = Some(now);
                let seen = reason::down(&look.observations);
                let holdoff = self.world.settings.holdoff.as_secs();
                let message = format!(
                    "The primary is down ({seen}); a failover begins in {holdoff} s if it stays so."
                );
                self.event("HoldoffStarted", message, Severity::Warning)
                    .await;
            }
            (Some(_), None) if change.to.run == change.from.run => {
                self.moments.degraded = None;
                let message = "The primary answers; the holdoff ends without a failover.";
                self.event("HoldoffEnded", message.to_owned(), Severity::Normal)
                    .await;
            }
            _ => {}
        }
        if change.from.run != change.to.run
            && let Some(run) = &change.to.run
        {
            self.moments.began = Some(now);
            self.run = Some(run.id.clone());
            tracing::warn!(run = run.id, "the failover begins");
            let message = format!("Failover run {} begins.", run.id);
            self.event("FailoverStarted", message, Severity::Warning)
                .await;
        }
    }

    /// The takeover goes on.
    pub(crate) fn acting(&mut self, facts: &Facts, plan: &Plan) {
        let now = self.now();
        let moment = |at: &mut Option<u64>, step| {
            if at.is_none() && facts.holds(step) {
                *at = Some(now);
                tracing::info!(run = self.run.as_deref(), step = Step::words(step), "holds");
            }
        };
        moment(&mut self.moments.operator, Step::Operator);
        moment(&mut self.moments.recovered, Step::Status);
        // The name may point there before anybody answers; traffic it is when both hold.
        if facts.holds(Step::Status) {
            moment(&mut self.moments.traffic, Step::Traffic);
        }
        // Whoever answers runs, whatever the list of pods said a moment before.
        let runs = self.world.recoveries.running() || self.moments.recovered.is_some();
        if runs && self.moments.operator.is_some() {
            self.moments.pod_started.get_or_insert(now);
        }
        tracing::debug!(run = self.run(), now = ?plan.now, pending_failures = ?plan.pending_failures, "the takeover");
    }

    /// The run is marked as done.
    pub(crate) async fn finished(&mut self, look: &Look) {
        let marked = look.reading.known().and_then(|it| it.marks.run.as_ref());
        let run = marked.map(|it| it.id.clone()).unwrap_or_default();
        let mut message = format!("Failover run {run} is done: the secondary serves.");
        match Report::new(run.as_str(), &self.moments) {
            Ok(report) => {
                let phases: Vec<String> = report
                    .phases
                    .iter()
                    .map(|it| format!("{:?} {} ms", it.name, it.duration_ms))
                    .collect();
                message = format!("{message} {}", phases.join(", "));
                let text = serde_json::to_string(&report).unwrap_or_default();
                tracing::warn!(run, timing = text, "the failover is done");
                self.report = Some(report);
            }
            Err(error) => tracing::warn!(run, %error, "the failover is done"),
        }
        self.event("FailoverFinished", message, Severity::Normal)
            .await;
        self.moments = Moments::default();
        self.trace = Span::none();
    }

    /// Somebody has enabled the primary's endpoint.
    pub(crate) async fn reopened(&mut self) {
        let message = "The primary's endpoint was enabled while the secondary serves; it is \
                       disabled again.";
        tracing::warn!(run = self.run(), "{message}");
        self.event("EndpointReopened", message.to_owned(), Severity::Warning)
            .await;
    }

    async fn event(&self, reason: &str, message: String, severity: Severity) {
        let deadline = Deadline::after(EVENT_TIMEOUT);
        let (standby, name) = (&self.world.standby, &self.world.settings.place.deployment);
        let note = Note {
            reason: reason.to_owned(),
            message,
            severity,
        };
        let written = async {
            let operator = standby.operator(name, deadline).await?;
            standby.record(&operator, &note, deadline).await
        };
        if let Err(error) = written.await {
            tracing::warn!(run = self.run(), reason, %error, "an event could not be written");
        }
    }
}
