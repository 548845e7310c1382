//! The run lock, renewed while a run goes on.
//!
//! It is the Lease that a failover takes too, so that neither begins beside the other, and two
//! operators do not either.

use std::sync::Arc;
use std::time::Duration;

use backstay_cluster::{ClusterError, Lock, Region, Standing};
use backstay_failover::lock::LEASE;
use backstay_retry::{Deadline, WriteGuard};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A holder that has not renewed for so long has died.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// From one renewal to the next.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// From one look to the next while somebody else holds it.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Longest wait for one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// Why we do not have the lock.
#[derive(Debug, thiserror::Error)]
pub enum NotHeld {
    /// It is another's, who lives.
    #[error("{holder} holds the run lock (lease {LEASE} in {region})")]
    By {
        /// The holder's name, as the Lease has it.
        holder: String,
        /// The cluster that the Lease is in.
        region: String,
    },
    /// The cluster does not say.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The lock, ours.
#[derive(Debug)]
pub struct Held {
    lock: Arc<Mutex<Lock>>,
    renewal: JoinHandle<()>,
    guard: WriteGuard,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Held {
    /// Takes it: when it is free, when its holder has not renewed it for as long as it lasts (which
    /// is waited for; `waits` is told of whom), or at once, whoever holds it (`take_over`).
    ///
    /// # Errors
    /// See [`NotHeld`].
    pub async fn take(
        region: &Region,
        who: &str,
        take_over: bool,
        waits: &(dyn Fn(&str, Duration) + Sync),
    ) -> Result<Self, NotHeld> {
        let mut lock = Lock::new(region.clone(), LEASE, who, LEASE_DURATION);
        if take_over {
            lock.take_over(Deadline::after(CALL_TIMEOUT)).await?;
        }
        let mut seen: Option<(String, Duration)> = None;
        loop {
            match lock.acquire_or_renew(Deadline::after(CALL_TIMEOUT)).await? {
                Standing::Held { .. } => return Ok(Self::renewing(lock, region)),
                Standing::HeldBy { holder, left } => {
                    // It has more time than at the last look: it was renewed, so its holder lives.
                    let renewed = seen
                        .as_ref()
                        .is_some_and(|(who, was)| *who != holder || left > *was);
                    if renewed {
                        let region = region.name().to_owned();
                        return Err(NotHeld::By { holder, region });
                    }
                    if seen.is_none() {
                        waits(&holder, left);
                    }
                    seen = Some((holder, left));
                    sleep(POLL_INTERVAL).await;
                }
            }
        }
    }

    fn renewing(lock: Lock, region: &Region) -> Self {
        let guard = region.while_holding(LEASE, lock.me());
        let lock = Arc::new(Mutex::new(lock));
        let renewed = Arc::clone(&lock);
        let renewal = tokio::spawn(async move {
            loop {
                sleep(RENEW_INTERVAL).await;
                let mut lock = renewed.lock().await;
                match lock.renew(Deadline::after(CALL_TIMEOUT)).await {
                    Ok(Standing::Held { .. }) => {}
                    // It is told at the next step; taking it back would be a quarrel.
                    Ok(Standing::HeldBy { .. }) => return,
                    Err(error) => tracing::warn!(%error, "the run lock is not renewed"),
                }
            }
        });
        Self {
            lock,
            renewal,
            guard,
        }
    }

    /// Authorizes changes while the lock is ours.
    pub fn guard(&self) -> WriteGuard {
        self.guard.clone()
    }

    /// Renews it.
    ///
    /// # Errors
    /// When it is not ours any more, or nobody says.
    pub async fn hold(&self) -> Result<(), NotHeld> {
        let mut lock = self.lock.lock().await;
        // Renewed a moment ago.
        if lock.left() > LEASE_DURATION / 2 {
            return Ok(());
        }
        match lock.renew(Deadline::after(CALL_TIMEOUT)).await? {
            Standing::Held { .. } => Ok(()),
            Standing::HeldBy { holder, .. } => Err(NotHeld::By {
                holder: match holder.as_str() {
                    "" => "nobody".to_owned(),
                    _ => holder,
                },
                region: "the standby's cluster".to_owned(),
            }),
        }
    }

    /// Gives it back.
    pub async fn release(self) {
        self.renewal.abort();
        // One that stays runs out.
        let _ = self
            .lock
            .lock()
            .await
            .release(Deadline::after(CALL_TIMEOUT))
            .await;
    }
}

/// Who we are, for other people.
pub fn operator() -> String {
    let host = backstay_watch::host();
    match std::env::var("USER") {
        Ok(user) if !user.is_empty() => format!("{user}@{host}"),
        Ok(_) | Err(_) => host,
    }
}
