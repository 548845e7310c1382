//! The buckets that the state names, opened when they are first needed.
//!
//! The cluster's own is open from the start. Any other is read-only and opened with what the state keeps
//! for it (`backstay_global::credentials`), or with the variables where they are given for it. They
//! win: whoever gives them means them. What they have opened is kept, so that they can be removed.

use std::collections::HashMap;
use std::sync::Arc;

use backstay_bucket::{Bucket, BucketConfig};
use backstay_failpoint::hit;
use backstay_global::credentials::{self, OpenError};
use backstay_global::identity;
use backstay_global::recovery::Place;
use backstay_global::{BucketEntity, Event, State};
use backstay_search::SourceError;
use parking_lot::Mutex;

use super::running::{GlobalError, Running};

/// A bucket that is open, or is about to be. What opens one does not wait for what opens another.
type Slot = Arc<tokio::sync::Mutex<Option<Bucket>>>;

pub(crate) struct Buckets {
    own_id: u32,
    own: Bucket,
    given: Option<Given>,
    opened: Mutex<HashMap<u32, Slot>>,
}

/// What the recovery variables say.
struct Given {
    config: BucketConfig,
    /// The bucket that they are for; `None` while that is not known: no entity is at their place,
    /// so only the bucket itself can say whose it is.
    of: Mutex<Option<u32>>,
}

/// Why the variables' credentials are not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewError {
    /// They do not open their bucket.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// They are for no bucket that the state names by its place, and their bucket does not say whose
    /// it is.
    #[error("the bucket of the {variables} variables: {source}")]
    Unknown {
        variables: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The state cannot be told.
    #[error(transparent)]
    Global(#[from] GlobalError),
}

impl From<credentials::CredentialError> for RenewError {
    fn from(error: credentials::CredentialError) -> Self {
        Self::Open(error.into())
    }
}

impl Buckets {
    pub(crate) fn new(
        own_id: u32,
        own: Bucket,
        given: Option<BucketConfig>,
        entities: &[BucketEntity],
    ) -> Self {
        let given = given.map(|config| Given {
            of: Mutex::new(given_for(&Place::of(&config), own_id, entities)),
            config,
        });
        Self {
            own_id,
            own,
            given,
            opened: Mutex::new(HashMap::new()),
        }
    }

    /// The id of the one writable bucket.
    pub(crate) fn own(&self) -> u32 {
        self.own_id
    }

    fn own_bucket(&self) -> &Bucket {
        &self.own
    }

    /// The bucket of that id, which the state should have as `entity`.
    pub(crate) async fn open_id(
        &self,
        id: u32,
        entity: Option<&BucketEntity>,
    ) -> Result<Bucket, SourceError> {
        match entity {
            Some(entity) => self.open(entity).await.map_err(SourceError::new),
            None => Err(SourceError::new(format!(
                "the state names no bucket {id}; was its entity removed?"
            ))),
        }
    }

    async fn open(&self, entity: &BucketEntity) -> Result<Bucket, OpenError> {
        if entity.id == self.own_id {
            return Ok(self.own.clone());
        }
        let slot = self.slot(entity.id);
        let mut slot = slot.lock().await;
        if let Some(bucket) = &*slot {
            return Ok(bucket.clone());
        }
        let bucket = match self.open_given(entity).await {
            Some(Ok(bucket)) => bucket,
            // Another credential would not reach it either.
            Some(Err(error)) if error.is_unreachable() => return Err(error),
            Some(Err(refused)) => match credentials::open_kept(&self.own, entity).await {
                Ok(bucket) => {
                    tracing::warn!(error = %refused, "the kept credential is used instead");
                    bucket
                }
                Err(_) => return Err(refused),
            },
            None => credentials::open_kept(&self.own, entity).await?,
        };
        Ok(slot.insert(bucket).clone())
    }

    fn slot(&self, id: u32) -> Slot {
        Arc::clone(self.opened.lock().entry(id).or_default())
    }

    /// Opens the bucket with the variables, if they are given for it, and keeps them if they do.
    async fn open_given(&self, entity: &BucketEntity) -> Option<Result<Bucket, OpenError>> {
        let given = self.given.as_ref()?;
        if *given.of.lock() != Some(entity.id) {
            return None;
        }
        let opened = credentials::open(given.config.clone(), entity).await;
        if opened.is_ok()
            && let Err(error) = self.keep(given, entity).await
        {
            // It is open all the same; `Running::renew` tries again.
            tracing::warn!(%error, "the variables' credential is not kept");
        }
        Some(opened)
    }

    async fn keep(
        &self,
        given: &Given,
        entity: &BucketEntity,
    ) -> Result<(), credentials::CredentialError> {
        let credential = credentials::of_config(&given.config, entity).await?;
        let entity = named(entity, &given.config);
        credentials::keep(&self.own, &entity, &credential).await?;
        Ok(())
    }
}

/// Which entity the variables are for, by its place.
fn given_for(given: &Place, own: u32, entities: &[BucketEntity]) -> Option<u32> {
    let others = entities.iter().filter(|it| it.id != own);
    let mut there = others.filter(|it| given.is_of(it));
    there.next().map(|it| it.id)
}

/// The entity as it is when the variables' credential is kept for it.
fn named(entity: &BucketEntity, given: &BucketConfig) -> BucketEntity {
    let place = Place::of(given);
    let reference = credentials::reference(entity.id);
    BucketEntity {
        endpoint: place.endpoint,
        account: place.account,
        credentials: reference.clone(),
        encryption_key_ref: reference,
        ..entity.clone()
    }
}

impl Running {
    /// Keeps the variables' credential where none is kept yet, without asking their bucket, whose
    /// region may be dark. What is kept already is only replaced by what has been tried: see
    /// [`Self::renew`].
    pub(crate) async fn keep_given(&self) -> Result<(), GlobalError> {
        let Some((given, entity)) = self.given() else {
            return Ok(());
        };
        let kept = credentials::read(self.buckets.own_bucket(), &entity).await;
        if kept.is_err()
            && let Err(error) = self.buckets.keep(given, &entity).await
        {
            tracing::warn!(%error, "the variables' credential is not kept");
            return Ok(());
        }
        hit("node.credentials.before_commit");
        self.name_given(given, entity.id, false).await
    }

    /// Opens the variables' bucket, whichever the state has it as, and keeps the credential.
    pub(crate) async fn renew(&self) -> Result<(), RenewError> {
        self.identify().await?;
        let Some((given, entity)) = self.given() else {
            return Ok(());
        };
        let bucket = credentials::open(given.config.clone(), &entity).await?;
        self.buckets.keep(given, &entity).await?;
        *self.buckets.slot(entity.id).lock().await = Some(bucket);
        hit("node.credentials.before_commit");
        self.name_given(given, entity.id, true).await?;
        Ok(())
    }

    fn given(&self) -> Option<(&Given, BucketEntity)> {
        let given = self.buckets.given.as_ref()?;
        let of = (*given.of.lock())?;
        let entity = self.global.read(|state| state.bucket(of).cloned())?;
        Some((given, entity))
    }

    /// Finds out which bucket the variables are for, where no entity is at their place: it may be
    /// reached in another way by now.
    async fn identify(&self) -> Result<(), RenewError> {
        let Some(given) = &self.buckets.given else {
            return Ok(());
        };
        if given.of.lock().is_some() {
            return Ok(());
        }
        let unknown = |source| RenewError::Unknown {
            variables: given.config.variable_prefix(),
            source,
        };
        let bucket = Bucket::open_to_read(given.config.clone()).await;
        let bucket = bucket.map_err(|error| unknown(error.into()))?;
        let found = identity::read(&bucket).await;
        let found = found.map_err(|error| unknown(error.into()))?;
        let own = self.buckets.own();
        let of = |state: &State| {
            let mut others = state.buckets.iter().filter(|it| it.id != own);
            let of = others.find(|it| found.is_some() && it.cluster_id == found);
            of.map(|it| it.id)
        };
        let of = self.global.read(of);
        if of.is_none() {
            // That of a cluster from which nothing has been recovered (yet).
            tracing::info!(cluster = ?found, container = given.config.container, "the recovery variables are for no bucket that the state names");
        }
        *given.of.lock() = of;
        Ok(())
    }

    /// The state says how the bucket is reached, and where its credential is.
    async fn name_given(&self, given: &Given, id: u32, reached: bool) -> Result<(), GlobalError> {
        let changed = |state: &State| {
            let known = state.bucket(id).filter(|known| known.read_only)?;
            let mut now = named(known, &given.config);
            if !reached {
                now.endpoint.clone_from(&known.endpoint);
            }
            (now != *known).then_some(Event::BucketChanged { bucket: now })
        };
        self.commit(|state| Ok(changed(state).into_iter().collect()))
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
