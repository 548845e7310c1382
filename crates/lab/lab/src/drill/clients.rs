//! The clients of the global name: those that send, and one that searches; and how fast they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstay_pair::Side;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::traffic::Lookup;
use crate::workload::RunName;
use crate::workload::ledger::Ledger;
use crate::workload::sender::{Address, Senders};

/// From one search to the next.
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);

/// By so much does the wait for the next batch grow: what an act has to send lasts for as long as it
/// takes, which nobody knows.
const WAIT_GROWTH: f64 = 1.015;

/// Parts of a hundred of all events that have been allowed to go when an act has come to its end.
pub(super) const HISTORY_PERCENT: u64 = 20;
pub(super) const TRICKLE_PERCENT: u64 = 35;
pub(super) const FAILOVER_PERCENT: u64 = 45;
pub(super) const PROMOTION_PERCENT: u64 = 70;
pub(super) const FAILBACK_PERCENT: u64 = 94;
/// Acknowledged when the disaster comes, beyond the trickle.
pub(super) const BEFORE_DISASTER_PERCENT: u64 = 4;

/// Those who use the global name.
pub(super) struct Clients {
    pub(super) run: RunName,
    pub(super) ledger: Arc<Ledger>,
    /// The repository of this drill.
    pub(super) repository: String,
    /// The ingest token that requests carry.
    pub(super) token: Arc<str>,
    /// Where the name points.
    pub(super) name: watch::Receiver<Address>,
    pub(super) senders: Senders,
    allow: watch::Sender<u64>,
    /// The first wait of those who go slowly.
    pub(super) pace: Duration,
    pub(super) _lookup: Lookup,
}

impl Clients {
    pub(super) fn new(
        run: RunName,
        ledger: Arc<Ledger>,
        (lookup, name): (Lookup, watch::Receiver<Address>),
        (repository, token): (String, Arc<str>),
        (senders, allow): (Senders, watch::Sender<u64>),
        pace: Duration,
    ) -> Self {
        Self {
            run,
            ledger,
            repository,
            token,
            name,
            senders,
            allow,
            pace,
            _lookup: lookup,
        }
    }

    /// So many parts of a hundred of all events, in whole batches: one that reaches beyond what is
    /// allowed is held back.
    pub(super) fn part(&self, percent: u64) -> u64 {
        let (events, batch) = (self.ledger.events(), self.ledger.batch_size());
        if percent >= 100 {
            return events;
        }
        let part = events * percent / 100;
        part - part % batch
    }

    /// Lets them go to there, as fast as they can.
    pub(super) fn allow(&self, events: u64) {
        self.allow
            .send_if_modified(|now| std::mem::replace(now, events.max(*now)) < events);
    }

    /// What they may send now.
    pub(super) fn allowed(&self) -> u64 {
        *self.allow.borrow()
    }

    /// Lets them go to there steadily, until the pace is dropped.
    pub(super) fn steadily(&self, to: u64) -> Pace {
        let (allow, batch) = (self.allow.clone(), self.ledger.batch_size());
        let mut wait = self.pace;
        Pace(tokio::spawn(async move {
            loop {
                let mut more = false;
                allow.send_if_modified(|now| {
                    let next = (*now + batch).min(to);
                    more = next > *now;
                    *now = next.max(*now);
                    more
                });
                if !more {
                    return;
                }
                tokio::time::sleep(wait).await;
                wait = wait.mul_f64(WAIT_GROWTH);
            }
        }))
    }

    /// Where the name points now.
    pub(super) fn side(&self) -> Side {
        self.name.borrow().side
    }
}

/// Clients that go slowly. Dropping it holds them back.
pub(super) struct Pace(JoinHandle<()>);

impl Drop for Pace {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What came of searches.
#[derive(Debug, Default)]
pub(super) struct Searched {
    pub(super) all: u64,
    pub(super) failed: u64,
    /// Why the last of those that failed has done so.
    pub(super) last_failure: Option<String>,
}

/// Somebody who searches through the global name again and again. A search that has no answer, or
/// finds less than had been acknowledged before it was asked, has failed.
pub(super) struct Searching {
    task: JoinHandle<Searched>,
    stop: Arc<AtomicBool>,
}

impl Searching {
    pub(super) fn start(clients: &Clients, admin: String) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        let (name, ledger) = (clients.name.clone(), clients.ledger.clone());
        let (repository, ended) = (clients.repository.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut searched = Searched::default();
            while !ended.load(Ordering::Acquire) {
                let address = name.borrow().clone();
                let known = ledger.acknowledged_events();
                searched.all += 1;
                let failed = match address.node.count(&admin, &repository).await {
                    Ok(found) if found >= known => None,
                    Ok(found) => Some(format!("it finds {found} of {known} events")),
                    Err(error) => Some(error.to_string()),
                };
                if failed.is_some() {
                    searched.failed += 1;
                    searched.last_failure = failed;
                }
                tokio::time::sleep(SEARCH_INTERVAL).await;
            }
            searched
        });
        Self { task, stop }
    }

    /// Ends it after its last search.
    pub(super) async fn end(self) -> Searched {
        self.stop.store(true, Ordering::Release);
        // One that broke down has searched for nothing, and that is no good promotion.
        self.task.await.unwrap_or_default()
    }
}
