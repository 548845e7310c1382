//! The journals of the two regions: who holds the term, and the seal that takes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstay_bucket::{Bucket, Role};
use backstay_cluster::{ClusterError, Region};
use backstay_failover::observation::Known;
use backstay_failover::takeover::Barrier;
use backstay_global::identity::{self, IdentityError};
use backstay_global::recovery::LoadError;
use backstay_global::recovery::outside::{Holder, HolderWatch, end_source};
use backstay_pair::{Dr, Pair, Side, derive};
use backstay_retry::{Deadline, WriteGuard};
use backstay_verify::{Environment, EnvironmentError, declared, effective};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Longest wait for what a look asks of a bucket, and for whether it is there at all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest attempt to seal one that is there: its state is read, which may be large.
const SEAL_TIMEOUT: Duration = Duration::from_secs(300);

/// Who holds the journal in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing was ever written there.
    Nobody,
    /// The region that has begun its newest term.
    By(Side),
    /// Neither of the two.
    Stranger {
        /// That cluster's id.
        cluster_id: String,
        /// The term that it has begun.
        term: u64,
    },
}

/// Why a region's journal could not be reached, read or sealed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The standby's cluster does not say how.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// What it says makes no configuration of a bucket.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// It says nothing of that bucket.
    #[error("no variable of HumioCluster {cluster} in {region} names that bucket")]
    Undeclared {
        /// The HumioCluster.
        cluster: String,
        /// Where it is.
        region: String,
    },
    /// The bucket cannot be opened.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// Whose bucket it is, is not known.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The journal can be neither read nor sealed.
    #[error(transparent)]
    Journal(#[from] LoadError),
    /// A look has taken too long.
    #[error("the {0}'s bucket does not answer in time")]
    Silent(Side),
    /// The primary's bucket is out of reach, so its journal is not sealed from here.
    #[error("the primary's bucket has not answered for {} s", .0.as_secs())]
    Unanswered(Duration),
    /// To seal it has taken too long.
    #[error("the primary's journal could not be sealed within {} s", .0.as_secs())]
    Unsealed(Duration),
}

impl JournalError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_retryable(),
            Self::Environment(error) => error.is_unreachable(),
            Self::Bucket(error) => error.is_retryable(),
            Self::Identity(error) => error.is_retryable(),
            Self::Journal(error) => error.is_retryable(),
            Self::Silent(_) | Self::Unanswered(_) | Self::Unsealed(_) => true,
            Self::Undeclared { .. } => false,
        }
    }
}

/// Both buckets, opened when they are first needed, as the standby's own nodes would open them.
#[derive(Debug)]
pub(crate) struct Journals {
    standby: Region,
    pair: Pair,
    source: OnceCell<HolderWatch>,
    own: OnceCell<HolderWatch>,
    sealed: AtomicBool,
    /// Whether there is a journal of ours in the source at all.
    ours: OnceCell<bool>,
}

impl Journals {
    pub(crate) fn new(standby: Region, pair: Pair) -> Self {
        Self {
            standby,
            pair,
            source: OnceCell::new(),
            own: OnceCell::new(),
            sealed: AtomicBool::new(false),
            ours: OnceCell::new(),
        }
    }

    /// Opens the bucket in this role. What the standby's HumioCluster declares wins over what it
    /// should declare: it is what its nodes will meet.
    async fn open(&self, role: Role) -> Result<Bucket, JournalError> {
        let (standby, deadline) = (&self.standby, Deadline::after(REQUEST_TIMEOUT));
        let name = &self.pair.secondary.cluster;
        let cluster = standby.humio_cluster(name, deadline).await;
        let declared = declared(standby, &cluster?)?;
        let derived = derive(&self.pair, Side::Secondary, Dr::Standby, false);
        let variables = effective(&derived, &declared);
        let environment = Environment::read(standby, &variables, deadline).await;
        let undeclared = || JournalError::Undeclared {
            cluster: name.clone(),
            region: standby.name().to_owned(),
        };
        let config = environment.bucket(role)?.ok_or_else(undeclared)?;
        Ok(Bucket::open(config).await?)
    }

    /// Whose bucket the source is, if anybody's.
    async fn identity(&self) -> Result<Option<String>, JournalError> {
        Ok(identity::read(self.bucket(Side::Primary).await?).await?)
    }

    /// Who holds the term of the primary's journal.
    pub(crate) async fn term(&self) -> Known<Side> {
        let held = match self.held(Side::Primary).await {
            Ok(held) => held,
            Err(error) => return Known::Unknown(error.to_string()),
        };
        match held {
            Held::Nobody => {
                Known::Unknown("there is no journal in the primary's bucket".to_owned())
            }
            Held::By(Side::Primary) => {
                // It has gone on since, in a term of its own: what was sealed before is history.
                self.sealed.store(false, Ordering::Release);
                Known::Is(Side::Primary)
            }
            Held::By(Side::Secondary) => Known::Is(Side::Secondary),
            Held::Stranger { cluster_id, term } => Known::Unknown(format!(
                "cluster {cluster_id} has begun term {term} in the primary's journal, and it is \
                 neither of the two"
            )),
        }
    }

    /// A region's bucket.
    pub(crate) async fn bucket(&self, side: Side) -> Result<&Bucket, JournalError> {
        Ok(self.watched(side).await?.bucket())
    }

    async fn watched(&self, side: Side) -> Result<&HolderWatch, JournalError> {
        let (cell, role) = match side {
            Side::Primary => (&self.source, Role::RecoverFrom),
            Side::Secondary => (&self.own, Role::Own),
        };
        let open = async || Ok(HolderWatch::new(self.open(role).await?));
        cell.get_or_try_init(open).await
    }

    /// Who holds the journal in a region's bucket.
    pub(crate) async fn held(&self, side: Side) -> Result<Held, JournalError> {
        timeout(REQUEST_TIMEOUT, self.holder(side))
            .await
            .unwrap_or(Err(JournalError::Silent(side)))
    }

    async fn holder(&self, side: Side) -> Result<Held, JournalError> {
        let holder = self.watched(side).await?.look().await?;
        if side == Side::Primary && holder != Holder::Nobody {
            // Whoever is told otherwise has told it already.
            let _ = self.ours.set(true);
        }
        Ok(match holder {
            Holder::Nobody => Held::Nobody,
            Holder::Itself => Held::By(side),
            Holder::Other { cluster_id, term } => {
                let other = self.bucket(side.other()).await?;
                let other = identity::read(other).await?;
                match other.as_deref() == Some(cluster_id.as_str()) {
                    true => Held::By(side.other()),
                    false => Held::Stranger { cluster_id, term },
                }
            }
        })
    }

    /// Whether we have sealed it, and it has not begun a term of its own since, as a failback lets it.
    pub(crate) fn sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Seals every stream of the primary, in the standby's name.
    pub(crate) async fn seal(&self, guard: &WriteGuard) -> Result<(), JournalError> {
        // One that is out of reach must be known soon: the standby's node is then to seal it.
        match timeout(REQUEST_TIMEOUT, self.identity()).await {
            Ok(found) => found.map(drop)?,
            Err(_) => return Err(JournalError::Unanswered(REQUEST_TIMEOUT)),
        }
        let sealing = async {
            let source = self.bucket(Side::Primary).await?;
            let own = self.bucket(Side::Secondary).await?;
            Ok(end_source(source, own, guard).await?)
        };
        match timeout(SEAL_TIMEOUT, sealing).await {
            Ok(Ok(cluster)) => {
                self.sealed.store(true, Ordering::Release);
                tracing::info!(cluster, "the primary's journal is sealed");
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(JournalError::Unsealed(SEAL_TIMEOUT)),
        }
    }

    /// What keeps two regions from writing. Whoever has no journal of ours in its bucket (a real
    /// LogScale has Kafka) has nothing to be sealed. A bucket that cannot be reached may have one.
    pub(crate) async fn barrier(&self) -> Barrier {
        let look = || async { self.identity().await.map(|it| it.is_some()) };
        match timeout(REQUEST_TIMEOUT, self.ours.get_or_try_init(look)).await {
            Ok(Ok(false)) => Barrier::TrafficOnly,
            Ok(Ok(true) | Err(_)) | Err(_) => Barrier::SealByEither,
        }
    }
}
