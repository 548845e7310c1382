//! The journals of the two regions: who holds the term, and the seal that takes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstay_bucket::{Bucket, Role};
use backstay_cluster::Region;
use backstay_failover::act::Barrier;
use backstay_failover::sight::{Known, Side};
use backstay_global::identity;
use backstay_global::recovery::outside::{Holder, end_source, holder};
use backstay_pair::Pair;
use backstay_retry::Deadline;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::buckets;

/// Longest wait for what a look asks of a bucket, and for whether it is there at all.
const LOOK: Duration = Duration::from_secs(3);
/// Longest attempt to seal one that is there: its state is read, which may be large.
const SEAL: Duration = Duration::from_secs(300);

/// Both buckets, opened when they are first needed, as the standby's environment says.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    source: OnceCell<Bucket>,
    own: OnceCell<Bucket>,
    sealed: AtomicBool,
    /// Whether there is a journal of ours in the source at all.
    ours: OnceCell<bool>,
}

impl Journals {
    async fn source(&self, standby: &Region, pair: &Pair) -> Result<&Bucket, String> {
        let open = || async {
            let config =
                buckets::config(standby, pair, Role::RecoverFrom, Deadline::after(LOOK)).await?;
            Bucket::open(config)
                .await
                .map_err(|error| error.to_string())
        };
        self.source.get_or_try_init(open).await
    }

    async fn own(&self, standby: &Region, pair: &Pair) -> Result<&Bucket, String> {
        let open = || async {
            let config = buckets::config(standby, pair, Role::Own, Deadline::after(LOOK)).await?;
            Bucket::open(config)
                .await
                .map_err(|error| error.to_string())
        };
        self.own.get_or_try_init(open).await
    }

    /// Who holds the term of the primary's journal.
    pub(crate) async fn term(&self, standby: &Region, pair: &Pair) -> Known<Side> {
        match timeout(LOOK, self.holder(standby, pair)).await {
            Ok(Ok(side)) => Known::Is(side),
            Ok(Err(why)) => Known::Unknown(why),
            Err(_) => Known::Unknown("the primary's bucket does not answer in time".to_owned()),
        }
    }

    async fn holder(&self, standby: &Region, pair: &Pair) -> Result<Side, String> {
        let source = self.source(standby, pair).await?;
        let holder = holder(source).await.map_err(|error| error.to_string())?;
        if holder != Holder::Nobody {
            // Whoever is told otherwise has told it already.
            let _ = self.ours.set(true);
        }
        if holder == Holder::Itself {
            // It has gone on since, in a term of its own: what was sealed before is history.
            self.sealed.store(false, Ordering::Release);
        }
        match holder {
            Holder::Nobody => Err("there is no journal in the primary's bucket".to_owned()),
            Holder::Itself => Ok(Side::Primary),
            Holder::Other { cluster_id, term } => {
                let own = self.own(standby, pair).await?;
                let us = identity::read(own)
                    .await
                    .map_err(|error| error.to_string())?;
                match us.as_deref() == Some(cluster_id.as_str()) {
                    true => Ok(Side::Secondary),
                    false => Err(format!(
                        "cluster {cluster_id} has begun term {term} in the primary's journal, and \
                         it is neither of the two"
                    )),
                }
            }
        }
    }

    /// Whether the standby has begun its term.
    pub(crate) async fn begun(&self, standby: &Region, pair: &Pair) -> Option<bool> {
        match self.term(standby, pair).await {
            Known::Is(side) => Some(side == Side::Secondary),
            Known::Unknown(_) => None,
        }
    }

    /// Whether we have sealed it, and it has not begun a term of its own since, as a failback lets it.
    pub(crate) fn sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Seals every stream of the primary, in the standby's name.
    pub(crate) async fn seal(&self, standby: &Region, pair: &Pair) -> Result<(), String> {
        let there = async {
            let source = self.source(standby, pair).await?;
            identity::read(source)
                .await
                .map_err(|error| error.to_string())
        };
        // One that is out of reach must be known soon: the standby's node is then to seal it.
        match timeout(LOOK, there).await {
            Ok(found) => found.map(drop)?,
            Err(_) => {
                return Err(format!(
                    "the primary's bucket has not answered for {} s",
                    LOOK.as_secs()
                ));
            }
        }
        let sealing = async {
            let source = self.source(standby, pair).await?;
            let own = self.own(standby, pair).await?;
            end_source(source, own)
                .await
                .map_err(|error| error.to_string())
        };
        match timeout(SEAL, sealing).await {
            Ok(Ok(cluster)) => {
                self.sealed.store(true, Ordering::Release);
                tracing::info!(cluster, "the primary's journal is sealed");
                Ok(())
            }
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!(
                "the primary's journal could not be sealed within {} s",
                SEAL.as_secs()
            )),
        }
    }

    /// What keeps two regions from writing. Whoever has no journal of ours in its bucket (a real
    /// LogScale has Kafka) has nothing to be sealed. A bucket that cannot be reached may have one.
    pub(crate) async fn barrier(&self, standby: &Region, pair: &Pair) -> Barrier {
        let look = || async {
            let source = self.source(standby, pair).await.map_err(drop)?;
            let identity = identity::read(source).await.map_err(drop)?;
            Ok::<bool, ()>(identity.is_some())
        };
        let found = timeout(LOOK, self.ours.get_or_try_init(look)).await;
        match found {
            Ok(Ok(false)) => Barrier::TrafficOnly,
            Ok(Ok(true) | Err(())) | Err(_) => Barrier::SealByEither,
        }
    }
}
