//! The run lock: a Kubernetes Lease, so that two instances do not run the takeover side by side.
//!
//! Two that run the takeover side by side do no harm (each step can be repeated, and the marks are
//! changed by compare-and-set); the lock keeps the work and the log in one hand, and tells an
//! instance that was frozen and thaws after a failback that the takeover is over: it is asked before each
//! change.
//!
//! Whether a lease has run out is judged by how long this instance has seen it unchanged, on its own
//! monotonic clock, as in Kubernetes' own leader election (client-go, `tools/leaderelection`,
//! `observedTime`): the times written in it are another machine's and are not looked at, only for how
//! long its holder promises to be alive without renewing it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::marks::Revision;

/// The name of the Lease.
pub const LEASE: &str = "backstay-failover";

/// Nobody is believed in for longer without a renewal, whatever he promises: a failover waits for him.
const MAX_LEASE: Duration = Duration::from_secs(120);

/// The Lease as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// `spec.holderIdentity`, `None` when it was given back.
    pub holder: Option<String>,
    /// Its `resourceVersion`, which changes with each renewal.
    pub revision: Revision,
    /// `spec.leaseDurationSeconds`: for how long its holder is believed in without a renewal. Another
    /// than us (a person's run) may have promised more than we do.
    #[serde(default)]
    pub promised: Duration,
}

/// Whose the lock is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// We hold it, in this version of the Lease.
    Mine(Revision),
    /// Nobody's: it can be taken, on condition that it is still at this revision (`None`: that it
    /// still does not exist).
    Free(Option<Revision>),
    /// Another's, who is alive as far as we know.
    Held(String),
}

/// What an instance remembers of the Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseWatch {
    seen: Option<(Revision, Duration)>,
}

impl LeaseWatch {
    /// Whose the lock is, for the instance `me`, whose monotonic clock says `mono`. `lease` is
    /// `None` when there is none.
    pub fn judge(
        &mut self,
        lease: Option<&Lease>,
        me: &str,
        mono: Duration,
        lasts: Duration,
    ) -> Lock {
        let Some(lease) = lease else {
            self.seen = None;
            return Lock::Free(None);
        };
        let since = match &self.seen {
            Some((revision, since)) if *revision == lease.revision => *since,
            _ => mono,
        };
        self.seen = Some((lease.revision.clone(), since));
        let lasts = lasts.max(lease.promised.min(MAX_LEASE));
        match lease.holder.as_deref() {
            Some(holder) if holder == me => Lock::Mine(lease.revision.clone()),
            Some(holder) if mono.saturating_sub(since) < lasts => Lock::Held(holder.to_owned()),
            _ => Lock::Free(Some(lease.revision.clone())),
        }
    }
}

#[cfg(test)]
mod tests;
