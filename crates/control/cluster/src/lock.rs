//! The run lock: a Lease, held by one of us at a time.

use std::time::Duration;

use backstay_kinds::LEASE;
use backstay_retry::Deadline;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::PostParams;
use tokio::time::Instant;
use uuid::Uuid;

use crate::election::{Election, ElectionStep, Moment, Record};
use crate::{ClusterError, Region};

pub(crate) const LEASES: &str = LEASE.resource;
/// So often someone else may come first before we say so.
const MAX_LOST_RACES: usize = 5;

/// How it stands with the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is ours.
    Held {
        /// For so long, unless it is renewed.
        left: Duration,
    },
    /// It is another's.
    HeldBy {
        /// The holder's name, as the Lease has it.
        holder: String,
        /// It runs out after so long if its holder does not renew it.
        left: Duration,
    },
}

/// A lock that one of us can hold.
#[derive(Debug)]
pub struct Lock {
    region: Region,
    lease: String,
    election: Election,
    started: Instant,
}

impl Lock {
    /// A lock by this Lease. `who` is for people; what is written is made unique, since two with the
    /// same name would both hold it.
    pub fn new(region: Region, lease: &str, who: &str, duration: Duration) -> Self {
        let me = format!("{who}-{}", Uuid::new_v4().simple());
        Self {
            region,
            lease: lease.to_owned(),
            election: Election::new(me, duration),
            started: Instant::now(),
        }
    }

    /// The name that we hold it by.
    pub fn me(&self) -> &str {
        self.election.me()
    }

    /// Whether it is ours now.
    pub fn holds(&self) -> bool {
        self.election.holds(self.now())
    }

    /// How long it is ours, unless it is renewed.
    pub fn left(&self) -> Duration {
        let until = self.election.held_until().unwrap_or_default();
        until.saturating_sub(self.now())
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Takes the lock if it is free or has run out, or renews it. To hold it, call this at least
    /// every third of the duration; to wait for it, as often as you like.
    ///
    /// # Errors
    /// See [`ClusterError`]. That another holds it is no error.
    pub async fn acquire_or_renew(&mut self, deadline: Deadline) -> Result<Standing, ClusterError> {
        self.hold(deadline, |election, now| election.next(now))
            .await
    }

    /// Renews the lock if it is ours still. What another has had meanwhile is not taken again, even if it
    /// is free by now: that one may have ended what we were doing.
    ///
    /// # Errors
    /// See [`ClusterError`]. That another holds it, or nobody (its name is empty then), is no error.
    pub async fn renew(&mut self, deadline: Deadline) -> Result<Standing, ClusterError> {
        self.hold(deadline, Election::renew).await
    }

    /// Takes the lock although another holds it and it has not run out: because a person said so, who
    /// has seen whose it is. That is the holder that was seen by the last call, or, where there was
    /// none, is seen now; of two who take it over from the same one, one gets it, and the other is
    /// told [`Standing::HeldBy`] that one.
    ///
    /// Who held it believes so until its next [`acquire_or_renew`](Self::acquire_or_renew), and is
    /// told there. What is done under the lock has to bear that.
    ///
    /// # Errors
    /// See [`ClusterError`]. That another was first is no error.
    pub async fn take_over(&mut self, deadline: Deadline) -> Result<Standing, ClusterError> {
        let mut from = self.election.rival().map(|it| Some(it.to_owned()));
        self.hold(deadline, |election, now| {
            // Whoever is met after the first look has come first.
            let from = from.get_or_insert_with(|| election.rival().map(str::to_owned));
            election.take_over(now, from.as_deref())
        })
        .await
    }

    async fn hold(
        &mut self,
        deadline: Deadline,
        mut next: impl FnMut(&Election, Moment) -> ElectionStep,
    ) -> Result<Standing, ClusterError> {
        for _ in 0..MAX_LOST_RACES {
            let lease = self.read(deadline).await?;
            self.election
                .observe(self.now(), lease.as_ref().map(record));
            match next(&self.election, self.now()) {
                ElectionStep::Wait { holder, until } => {
                    let left = until.saturating_sub(self.now());
                    return Ok(Standing::HeldBy { holder, left });
                }
                ElectionStep::Create | ElectionStep::Write { .. } => {}
            }
            let asked = self.now();
            let wanted = self.ours(lease);
            if let Some(written) = self.write(&wanted, deadline).await? {
                self.election.written(asked, self.now(), record(&written));
                if self.holds() {
                    return Ok(Standing::Held { left: self.left() });
                }
                // The answer took longer than what it is good for; it is renewed.
            }
        }
        Err(ClusterError::Contended {
            region: self.region.name().to_owned(),
            object: format!("{LEASES} {}", self.lease),
            message: format!("{MAX_LOST_RACES} attempts to hold it as {}", self.me()),
        })
    }

    /// Gives it back, so that the next one need not wait. What was another's stays so.
    ///
    /// # Errors
    /// See [`ClusterError`]; it is ours no more in any case.
    pub async fn release(&mut self, deadline: Deadline) -> Result<(), ClusterError> {
        self.election.resign();
        for _ in 0..MAX_LOST_RACES {
            let Some(mut lease) = self.read(deadline).await? else {
                return Ok(());
            };
            self.election.observe(self.now(), Some(record(&lease)));
            if self.election.ours().is_none() {
                return Ok(());
            }
            let spec = lease.spec.get_or_insert_default();
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(later(spec.renew_time.as_ref()));
            if self.write(&lease, deadline).await?.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn read(&self, deadline: Deadline) -> Result<Option<Lease>, ClusterError> {
        let api = self.region.api::<Lease>();
        let read = self.region.call("get", LEASES, &self.lease, deadline, || {
            api.get(&self.lease)
        });
        match read.await {
            Ok(lease) => Ok(Some(lease)),
            Err(ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it over the version that it was read at; `None` when that is another by now.
    async fn write(
        &self,
        lease: &Lease,
        deadline: Deadline,
    ) -> Result<Option<Lease>, ClusterError> {
        let api = self.region.api::<Lease>();
        let parameters = PostParams::default();
        let (name, region) = (&self.lease, &self.region);
        let written = match lease.metadata.resource_version {
            None => {
                region
                    .call("create", LEASES, name, deadline, || {
                        api.create(&parameters, lease)
                    })
                    .await
            }
            Some(_) => {
                region
                    .call("update", LEASES, name, deadline, || {
                        api.replace(name, &parameters, lease)
                    })
                    .await
            }
        };
        match written {
            Ok(written) => Ok(Some(written)),
            Err(ClusterError::Contended { .. } | ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The lease as ours.
    fn ours(&self, old: Option<Lease>) -> Lease {
        let me = self.election.me().to_owned();
        let seconds = i32::try_from(self.election.duration().as_secs()).unwrap_or(i32::MAX);
        let mut lease = old.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.lease.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
        let renewed = later(spec.renew_time.as_ref());
        if spec.holder_identity.as_deref() != Some(self.election.me()) {
            spec.acquire_time = Some(renewed.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        spec.holder_identity = Some(me);
        spec.lease_duration_seconds = Some(seconds);
        spec.renew_time = Some(renewed);
        lease
    }
}

/// Now by the wall clock, for people; but never the time that is there already, since a write that
/// changes nothing makes no new version.
fn later(old: Option<&MicroTime>) -> MicroTime {
    let now = Timestamp::now();
    let after = old.and_then(|it| it.0.checked_add(SignedDuration::from_micros(1)).ok());
    MicroTime(after.map_or(now, |after| after.max(now)))
}

pub(crate) fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|it| it.lease_duration_seconds).unwrap_or(0);
    Record {
        holder: spec
            .and_then(|it| it.holder_identity.clone())
            .unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        version: lease.resource_version().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
