//! The verdict on one endpoint: failures in a row at each vantage point, a quorum over them.
//!
//! Source: <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-monitoring>: "If the
//! number of consecutive failures is higher than the Tolerated Number of Failures setting, then
//! that endpoint is marked as unhealthy", "the consecutive failure determination happens within
//! each region", and one success brings it back (step 10 of the timeline). Azure does not publish
//! how regions are combined; here a quorum of them must agree, so that one bad path is no
//! disaster.

use crate::status::Health;

/// What one vantage point knows of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    failures: u32,
    health: Health,
}

impl Agent {
    /// Takes the result of a probe.
    pub fn observe(&mut self, ok: bool, tolerated: u32) -> Health {
        if ok {
            self.failures = 0;
            self.health = Health::Healthy;
        } else {
            self.failures = self.failures.saturating_add(1);
            if self.failures > tolerated {
                self.health = Health::Unhealthy;
            }
        }
        self.health
    }

    /// The verdict of this vantage point.
    pub fn health(self) -> Health {
        self.health
    }

    /// How many probes have failed in a row.
    pub fn failures(self) -> u32 {
        self.failures
    }
}

/// What all vantage points together know of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    agents: Vec<Agent>,
    quorum: usize,
    health: Health,
}

impl Monitor {
    /// Nothing is known yet, or `health` from an earlier run of the server, which stands until a
    /// quorum says otherwise.
    pub fn new(vantage_points: usize, quorum: usize, health: Health) -> Self {
        Self {
            agents: vec![Agent::default(); vantage_points],
            quorum,
            health,
        }
    }

    /// Takes the result of a probe from a vantage point. Returns the verdict if it has changed.
    ///
    /// The verdict changes when a quorum of vantage points says so; while neither side has one, it
    /// stays as it is.
    pub fn observe(&mut self, vantage: usize, ok: bool, tolerated: u32) -> Option<Health> {
        self.agents.get_mut(vantage)?.observe(ok, tolerated);
        let verdict = [Health::Unhealthy, Health::Healthy]
            .into_iter()
            .find(|side| self.count(*side) >= self.quorum)?;
        (verdict != self.health).then(|| {
            self.health = verdict;
            verdict
        })
    }

    /// The verdict of the quorum.
    pub fn health(&self) -> Health {
        self.health
    }

    /// What each vantage point knows.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    fn count(&self, health: Health) -> usize {
        self.agents.iter().filter(|it| it.health == health).count()
    }
}

/// How many of so many vantage points are more than half.
pub fn majority(vantage_points: usize) -> usize {
    vantage_points / 2 + 1
}

#[cfg(test)]
mod tests;
