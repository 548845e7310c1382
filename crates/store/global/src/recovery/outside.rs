//! Ending the source from outside: what a failover does before the standby's node has started.
//!
//! It is done in the standby's own name, so that the node's recovery finds the seals that it would
//! have made itself and goes on from there. A repetition makes no second seal.
//!
//! [`HolderWatch`] is how a watch knows who writes. [`take_back`] is the way back without a recovery, and [`gained`] says what that would lose.

use backstay_bucket::Bucket;
use backstay_journal::{Journal, StreamId, WriterId};
use backstay_retry::WriteGuard;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::identity;
use crate::recovery::error::LoadError;
use crate::recovery::loader::source_state;
use crate::recovery::probe;
use crate::recovery::takeover::Source;
use crate::store::journal_over;

pub use crate::recovery::gained::{Counted, Gained, gained};
pub use crate::recovery::take_back::take_back;

/// Who holds the journal of a cluster: who has begun its newest term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: nothing was ever written there.
    Nobody,
    /// The cluster whose bucket it is.
    Itself,
    /// Another cluster has sealed it.
    Other {
        /// Id of the cluster that sealed it.
        cluster_id: String,
        /// The term that it has begun.
        term: u64,
    },
}

/// A name for the entries that are made from outside.
pub(super) fn writer() -> WriterId {
    WriterId(format!("outside-{}", Uuid::new_v4().simple()))
}

/// Who holds the journal in this bucket.
///
/// # Errors
/// See [`LoadError`].
pub async fn holder(bucket: &Bucket) -> Result<Holder, LoadError> {
    HolderWatch::new(bucket.clone()).look().await
}

/// For whoever asks again and again who holds the journal in a bucket: entries never change, so those
/// that were there when it last looked are not read again.
#[derive(Debug)]
pub struct HolderWatch {
    bucket: Bucket,
    journal: Journal,
    last: Mutex<Option<Observation>>,
}

/// What was found, and all that it depends on.
#[derive(Debug)]
struct Observation {
    cluster_id: String,
    slots: Vec<u64>,
    holder: Holder,
}

impl HolderWatch {
    /// Looks into this bucket.
    pub fn new(bucket: Bucket) -> Self {
        Self {
            journal: journal_over(&bucket, writer()),
            bucket,
            last: Mutex::default(),
        }
    }

    /// The bucket that is looked at.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Who holds it now.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn look(&self) -> Result<Holder, LoadError> {
        let Some(own) = identity::read(&self.bucket).await? else {
            return Ok(Holder::Nobody);
        };
        let slots = probe::slots(&self.journal, StreamId::Global).await?;
        let decisive = probe::last(&slots);
        if let Some(last) = &*self.last.lock()
            && last.cluster_id == own
            && last.slots == decisive
        {
            return Ok(last.holder.clone());
        }
        let found = probe::probe_at(&self.journal, &own, &slots).await?;
        let holder = match (found.first, found.sealed_by) {
            (None, _) => Holder::Nobody,
            (Some(_), None) => Holder::Itself,
            (Some(_), Some(cluster_id)) => Holder::Other {
                cluster_id,
                term: found.term,
            },
        };
        *self.last.lock() = Some(Observation {
            cluster_id: own,
            slots: decisive.to_vec(),
            holder: holder.clone(),
        });
        Ok(holder)
    }
}

/// Seals every stream of the source in the name of the cluster whose bucket `own` is (one begins
/// there if there is none yet), and says in whose. From then on the source acknowledges nothing.
/// `guard` is asked when all is read and before anything is sealed.
///
/// # Errors
/// See [`LoadError`]. It may have been done in part, and can be repeated.
pub async fn end_source(
    source: &Bucket,
    own: &Bucket,
    guard: &WriteGuard,
) -> Result<String, LoadError> {
    let proposal = Uuid::new_v4().simple().to_string();
    let cluster_id = identity::establish(own, &proposal).await?;
    let (mut state, _) = source_state(source, &cluster_id).await?;
    let journal = journal_over(source, writer());
    let ending = Source {
        journal: &journal,
        seal: true,
    };
    guard.check().await?;
    ending.end_global(&mut state, &cluster_id).await?;
    ending.end_partitions(&state, &cluster_id).await?;
    Ok(cluster_id)
}
