//! What can be set about the decision, and which settings contradict each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The holdoff: so long must the primary have been down without an answer
    /// (`pre_failover_failure_seconds`, 180 in the source).
    pub holdoff: Duration,
    /// So many looks in a row must see it down before the holdoff starts, and each instance must
    /// have seen it down so often itself before it begins a run: a function that keeps no memory
    /// between its calls must look so often in one call.
    pub failures: u32,
    /// Looks that are closer together than this count as one, so that a storm of alerts, which
    /// only wakes, makes no series of failures.
    pub spacing: Duration,
    /// So many vantage points must see it down.
    pub witnesses: usize,
    /// Only a primary that has answered for so long without a break has recovered. A shorter
    /// answer restarts the holdoff, but see [`crash_loop`](Self::crash_loop).
    pub recovered: Duration,
    /// The bound for a primary that crash-loops, answering shortly between its restarts. Each
    /// answer restarts the holdoff; but when, for this long, the primary has never answered for
    /// [`recovered`](Self::recovered) without a break, the holdoff is no longer waited for: it is
    /// failed over as soon as it is down again for [`failures`](Self::failures) looks. `None`
    /// switches the rule off.
    ///
    /// A primary whose outages are all shorter than `failures` looks is not called down at all.
    pub crash_loop: Option<Duration>,
    /// The longest time for which nobody need have looked: a holdoff with a longer gap in it
    /// starts again, because the primary may have answered in between. A function that a timer
    /// calls each minute needs more than a minute. It bounds, too, what a step of the API server's
    /// clock can do while nobody follows the holdoff.
    pub unwatched: Duration,
    /// So long is a look good for: what is decided on it must be begun by then. More than a probe
    /// takes when it times out.
    pub look: Duration,
    /// No second failover for so long after one (300 s in the siblings).
    pub cooldown: Duration,
    /// A run lock that has not been renewed for so long is free.
    pub lease: Duration,
    /// Where the marks are, for the commands that reasons name.
    pub place: OperatorLocation,
}

/// Where the marks are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorLocation {
    /// The standby's kube context.
    pub context: String,
    /// The namespace of the operator's Deployment.
    pub namespace: String,
    /// The operator's Deployment.
    pub deployment: String,
}

impl Default for OperatorLocation {
    fn default() -> Self {
        Self {
            context: "aks-secondary".to_owned(),
            namespace: "logging".to_owned(),
            deployment: "humio-operator".to_owned(),
        }
    }
}

impl OperatorLocation {
    /// The command that removes a mark.
    pub fn remove(&self, annotation: &str) -> String {
        format!(
            "kubectl --context {} -n {} annotate deployment {} {annotation}-",
            self.context, self.namespace, self.deployment
        )
    }

    /// The command that shows the marks.
    pub fn show(&self) -> String {
        format!(
            "kubectl --context {} -n {} get deployment {} -o jsonpath='{{.metadata.annotations}}'",
            self.context, self.namespace, self.deployment
        )
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            holdoff: Duration::from_secs(180),
            failures: 3,
            spacing: Duration::from_secs(10),
            witnesses: 1,
            recovered: Duration::from_secs(60),
            crash_loop: Some(Duration::from_secs(900)),
            unwatched: Duration::from_secs(90),
            look: Duration::from_secs(30),
            cooldown: Duration::from_secs(300),
            lease: Duration::from_secs(15),
            place: OperatorLocation::default(),
        }
    }
}

/// Settings that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number that must not be zero.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
    /// The gap rule would restart the holdoff at every look.
    #[error(
        "unwatched ({unwatched:?}) must be at least three times the spacing of looks ({spacing:?}): \
         otherwise one late look restarts the holdoff; raise unwatched or look more often"
    )]
    NeverWatched {
        /// The gap that is allowed.
        unwatched: Duration,
        /// How far apart looks are.
        spacing: Duration,
    },
    /// The bound for crash loops undercuts the holdoff.
    #[error(
        "crash_loop ({crash_loop:?}) must not be shorter than holdoff ({holdoff:?}) and recovered \
         ({recovered:?}) together: it would cut the holdoff short for every primary"
    )]
    CrashLoopTooShort {
        /// The bound.
        crash_loop: Duration,
        /// The holdoff.
        holdoff: Duration,
        /// The time after which a primary counts as recovered.
        recovered: Duration,
    },
}

impl Settings {
    /// Whether they can work together.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), SettingsError> {
        let zero = [
            ("failures", self.failures == 0),
            ("witnesses", self.witnesses == 0),
            ("spacing", self.spacing.is_zero()),
            ("recovered", self.recovered.is_zero()),
            ("look", self.look.is_zero()),
            ("lease", self.lease.is_zero()),
        ];
        if let Some((name, _)) = zero.into_iter().find(|(_, zero)| *zero) {
            return Err(SettingsError::Zero(name));
        }
        if self.unwatched < self.spacing.saturating_mul(3) {
            return Err(SettingsError::NeverWatched {
                unwatched: self.unwatched,
                spacing: self.spacing,
            });
        }
        match self.crash_loop {
            Some(crash_loop) if crash_loop < self.holdoff.saturating_add(self.recovered) => {
                Err(SettingsError::CrashLoopTooShort {
                    crash_loop,
                    holdoff: self.holdoff,
                    recovered: self.recovered,
                })
            }
            _ => Ok(()),
        }
    }

    /// How often somebody who sees the primary down writes that down: a third of the gap that is
    /// allowed, so that one write can be lost.
    pub fn checkpoint(&self) -> Duration {
        self.unwatched / 3
    }

    /// How long an answer that another instance saw holds back the start of a holdoff.
    pub fn veto(&self) -> Duration {
        self.spacing.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests;
