//! What all instances share: the marks on the standby's operator, and the run lock.

use std::time::{Duration, UNIX_EPOCH};

use backstay_cluster::{ClusterError, WriteOutcome};
use backstay_failover::clock::Epoch;
use backstay_failover::edge::{Locked, Marked, Written};
use backstay_failover::lock::{LEASE, Lease};
use backstay_failover::marks::{Marks, Persist, Reading, Revision};
use backstay_failover::observation::Known;
use backstay_retry::Deadline;

use crate::world::World;

/// Longest wait for a conditional write, which is tried once.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

fn written(outcome: Result<WriteOutcome, ClusterError>) -> Written {
    match outcome {
        Ok(WriteOutcome::Written) => Written::Yes,
        Ok(WriteOutcome::Changed) => Written::Changed,
        Err(error) => Written::Unknown(error.to_string()),
    }
}

impl Marked for World {
    async fn read(&self) -> Known<Reading> {
        let name = &self.settings.place.deployment;
        match self.standby.operator_and_clock(name, Self::soon()).await {
            Ok((operator, clock)) => {
                let since = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
                Known::Is(Reading {
                    marks: Marks::read(&operator.annotations),
                    revision: Revision(operator.version),
                    now: Epoch(since.as_secs()),
                })
            }
            Err(error) => Known::Unknown(error.to_string()),
        }
    }

    async fn write(&self, change: &Persist) -> Written {
        let name = &self.settings.place.deployment;
        let version = &change.expected.0;
        let annotations = change.annotations();
        let deadline = Deadline::after(WRITE_TIMEOUT);
        written(
            self.standby
                .annotate_once(name, version, &annotations, deadline)
                .await,
        )
    }
}

impl Locked for World {
    async fn read(&self) -> Known<Option<Lease>> {
        match self.standby.lease(LEASE, Self::soon()).await {
            Ok(found) => Known::Is(found.map(|it| Lease {
                holder: it.holder,
                revision: Revision(it.version),
                promised: it.lasts,
            })),
            Err(error) => Known::Unknown(error.to_string()),
        }
    }

    async fn take(&self, expected: Option<&Revision>, me: &str) -> Written {
        self.lease(expected, Some(me)).await
    }

    async fn release(&self, expected: &Revision) -> Written {
        self.lease(Some(expected), None).await
    }
}

impl World {
    async fn lease(&self, expected: Option<&Revision>, holder: Option<&str>) -> Written {
        let version = expected.map(|it| it.0.as_str());
        let (lasts, deadline) = (self.settings.lease, Deadline::after(WRITE_TIMEOUT));
        written(
            self.standby
                .write_lease(LEASE, version, holder, lasts, deadline)
                .await,
        )
    }
}
