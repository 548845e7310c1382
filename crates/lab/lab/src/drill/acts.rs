//! The acts of the story.

pub(super) mod cleaning;
pub(super) mod disaster;
pub(super) mod failback;
pub(super) mod failover;
pub(super) mod old_primary;
pub(super) mod promotion;
pub(super) mod provision;
pub(super) mod search;

use backstay_pair::Side;

use super::clients::Clients;
use super::clock::{Clock, POLL_INTERVAL, Wait};
use super::operator::{Operator, Run};
use super::report::Measured;
use super::scene::Scene;
use super::watcher::Watch;
use super::{DrillError, Options};

/// A play under way.
pub(super) struct Play<'a> {
    pub(super) options: &'a Options,
    pub(super) scene: &'a Scene,
    pub(super) clock: Clock<'a>,
    pub(super) clients: Clients,
    pub(super) watch: Watch,
    pub(super) operator: Operator,
    pub(super) measured: Measured,
}

impl Play<'_> {
    /// What is known, for whoever has waited in vain.
    pub(super) fn known(&self) -> String {
        let ledger = &self.clients.ledger;
        format!(
            "{} of {} events are acknowledged, and the global name points to the {}; {}",
            ledger.acknowledged_events(),
            ledger.events(),
            self.clients.side(),
            self.scene.look(),
        )
    }

    /// Lets the clients go to there as fast as they can, and waits until everything is acknowledged
    /// and nobody waits for an answer.
    pub(super) async fn settle(
        &mut self,
        events: u64,
        what: &'static str,
    ) -> Result<(), DrillError> {
        self.clients.allow(events);
        let wait = Wait::new(what);
        let ledger = self.clients.ledger.clone();
        loop {
            self.clients.senders.finished()?;
            let acknowledged = ledger.acknowledged_events();
            self.clock.progress.at(acknowledged);
            if acknowledged >= events && ledger.in_flight() == 0 {
                return Ok(());
            }
            wait.tick(POLL_INTERVAL, || self.known()).await?;
        }
    }

    /// Has a command of the runbook run. Its steps are phases of the drill.
    pub(super) async fn runbook(
        &mut self,
        command: &'static str,
        flags: &[&str],
    ) -> Result<Run, DrillError> {
        self.clock.announce(command, None);
        let progress = self.clock.progress;
        let run = self
            .operator
            .run(command, flags, &|what| progress.note(what))
            .await?;
        for (name, from, to) in phases(&run) {
            let (from, to) = (self.clock.at(from), self.clock.at(to));
            self.clock.add(name, from, to);
        }
        self.measured.runbook.push(run.clone());
        Ok(run)
    }

    /// Waits until the global name points to a region, as clients see it.
    pub(super) async fn moved_to(&mut self, side: Side) -> Result<(), DrillError> {
        let wait = Wait::new("the clients' way to the region that serves");
        while self.clients.side() != side {
            self.clients.senders.finished()?;
            wait.tick(POLL_INTERVAL, || self.known()).await?;
        }
        Ok(())
    }
}

/// The steps of the failback that give the traffic to the primary.
const TRAFFIC: [&str; 3] = ["endpoint-on", "endpoint-online", "global-name"];

/// The phases of a run, in the manual's numbers: name, beginning and end by the wall clock.
fn phases(run: &Run) -> Vec<(&'static str, i64, i64)> {
    let mut all: Vec<(&'static str, i64, i64)> = Vec::new();
    for step in &run.steps {
        let (Some(from), Some(took)) = (step.began_ms, step.duration_ms) else {
            continue;
        };
        let to = from.saturating_add(i64::try_from(took).unwrap_or_default());
        let name = match (run.command.as_str(), step.phase) {
            ("promote", 1) => "promote 1",
            ("promote", _) => "promote 2",
            ("failback", _) if TRAFFIC.contains(&step.id.as_str()) => "failback: traffic",
            ("failback", 1) => "failback 1",
            ("failback", 2) => "failback 2",
            ("failback", 3) => "failback 3",
            ("failback", _) => "failback 5",
            _ => "clean-secondary",
        };
        match all.iter_mut().find(|it| it.0 == name) {
            Some(phase) => {
                phase.1 = phase.1.min(from);
                phase.2 = phase.2.max(to);
            }
            None => all.push((name, from, to)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::operator::{Run, Step};
    use super::phases;

    #[test]
    fn the_runbooks_steps_are_phases_in_the_manuals_numbers() {
        let step = |id: &str, phase, began_ms, duration_ms| Step {
            id: id.to_owned(),
            phase,
            name: String::new(),
            state: "done".to_owned(),
            began_ms,
            duration_ms,
            attempts: 1,
        };
        let run = Run {
            command: "failback".to_owned(),
            ok: true,
            steps: vec![
                step("alert-off", 1, Some(100), Some(10)),
                step("secondary-stopped", 3, Some(110), Some(500)),
                step("primary-recovered", 3, Some(610), Some(300)),
                step("endpoint-on", 3, Some(910), Some(20)),
                step("global-name", 3, Some(930), Some(70)),
                step("alert-on", 5, Some(1_000), Some(5)),
                step("unpaused", 5, None, None),
            ],
            ..Run::default()
        };
        assert_eq!(
            phases(&run),
            [
                ("failback 1", 100, 110),
                ("failback 3", 110, 910),
                ("failback: traffic", 910, 1_000),
                ("failback 5", 1_000, 1_005),
            ]
        );
    }
}
