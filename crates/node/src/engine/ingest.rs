//! From a batch to an acknowledgement.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use backstay_search::Event;
use bytes::Bytes;

use super::api::{Accepted, IdempotencyKey, IngestError, RepositoryName};
use super::owned::{Owned, Refused};
use super::parcel::Parcel;
use super::record::KeyHash;
use super::running::Running;
use super::view;
use crate::memory::{MemoryUse, NoMemory};

/// When to come back to a partition whose keys cannot be read.
const DAMAGE_RETRY_DELAY: Duration = Duration::from_secs(30);

fn unknown(partition: u32, detail: String) -> IngestError {
    IngestError::KeysUnknown {
        partition,
        detail,
        retry_after: DAMAGE_RETRY_DELAY,
    }
}

/// When to come back to a partition that knows as many keys as it may: some go every half minute.
const KEYS_RETRY_DELAY: Duration = Duration::from_secs(10);

impl Running {
    /// Stores a batch in a partition of this node; see [`super::Engine::ingest`].
    pub(crate) async fn ingest(
        &self,
        repository: &RepositoryName,
        parcel: &mut Parcel,
        key: Option<&IdempotencyKey>,
    ) -> Result<Accepted, IngestError> {
        let begun = Instant::now();
        let name = repository.as_str();
        let id = self
            .global
            .read(|state| view::repository_id(state, name))
            .ok_or_else(|| IngestError::NoRepository {
                name: name.to_owned(),
            })?;
        let id = id.as_str();
        let key = key.map(|key| KeyHash::new(id, &key.0));
        let batch = parcel.encode(id, key, &self.memory)?;
        self.admit(batch.bytes.len())?;
        let duplicate = match key {
            Some(key) => self.ingest_once(key, batch.bytes).await?,
            None => self.ingest_anywhere(batch.bytes).await.map(|()| false)?,
        };
        let metrics = &self.metrics;
        metrics
            .ingest_seconds
            .observe(begun.elapsed().as_secs_f64());
        if duplicate {
            metrics.ingest_duplicates.inc();
        } else {
            metrics.ingest_batches.inc();
            metrics.ingest_events.inc_by(batch.events);
            metrics.ingest_bytes.inc_by(batch.raw_bytes);
        }
        Ok(Accepted { duplicate })
    }

    /// Stores what this node has logged. It is nobody's batch: what clients send is counted without it.
    pub(crate) async fn keep_own(&self, events: Vec<Event>) -> Result<(), IngestError> {
        let name = crate::own_log::REPOSITORY;
        let id = self.global.read(|state| view::repository_id(state, name));
        let id = id.ok_or_else(|| IngestError::NoRepository {
            name: name.to_owned(),
        })?;
        let batch = Parcel::new(events, None, 0).encode(id.as_str(), None, &self.memory)?;
        self.admit(batch.bytes.len())?;
        self.ingest_anywhere(batch.bytes).await
    }

    /// Whether the tails have room for a record of so many bytes besides what they hold and what is
    /// on its way to them: what they cannot hold could not be searched until it is in a segment.
    fn admit(&self, bytes: usize) -> Result<(), NoMemory> {
        let kind = MemoryUse::Tails;
        let share = self.memory.share(kind) / 4 * 3;
        if bytes > share {
            return Err(NoMemory::Never { kind, bytes, share });
        }
        let owned = self.all_owned();
        let waiting = owned.iter().map(|it| it.writer().health().backlog_bytes);
        let waiting: usize = waiting.sum();
        if self.memory.used(kind) + waiting + bytes > share {
            return Err(NoMemory::Now { kind });
        }
        Ok(())
    }

    /// Who takes such a batch, when this node takes nothing any more.
    pub(crate) fn destination(
        &self,
        repository: &RepositoryName,
        key: Option<&IdempotencyKey>,
    ) -> IngestError {
        let partition = key.and_then(|key| {
            self.global.read(|state| {
                let id = view::repository_id(state, repository.as_str())?;
                let partitions = state.partitions.len() as u32;
                Some(KeyHash::new(id.as_str(), &key.0).partition(partitions))
            })
        });
        self.elsewhere(partition)
    }

    /// Only the owner of the key's partition knows whether the batch was stored before.
    async fn ingest_once(&self, key: KeyHash, record: Bytes) -> Result<bool, IngestError> {
        let partitions = self.global.read(|state| state.partitions.len() as u32);
        let partition = key.partition(partitions);
        let deadline = Instant::now() + self.config.tuning.ack_timeout;
        loop {
            let owned = self.owner_of(partition, deadline).await?;
            let wait = deadline.saturating_duration_since(Instant::now());
            match owned.append_once(key, record.clone(), wait).await {
                Ok(duplicate) => return Ok(duplicate),
                // The batch is not in the partition: whoever holds that now is to judge it.
                Err(Refused::Lost) => self.drop_owned(&owned),
                Err(refused) => return Err(self.refuse(&owned, refused)),
            }
        }
    }

    /// The partition, which must be this node's. While the state says that it is and it is not (it
    /// is being taken over, or has just been lost, and the state does not know yet to whom), this
    /// waits: through a slow bucket that takes seconds, in which the client could only ask again.
    async fn owner_of(&self, partition: u32, deadline: Instant) -> Result<Arc<Owned>, IngestError> {
        let mut moved = self.global.watch();
        loop {
            let took = self.took.notified();
            tokio::pin!(took);
            took.as_mut().enable();
            if let Some(owned) = self.owned(partition) {
                return Ok(owned);
            }
            let ours = self.global.read(|state| {
                let owner = state.partition(partition).and_then(|it| it.owner.as_ref());
                owner == Some(&self.host)
            });
            // What is damaged is not over in the time that a client waits.
            if ours && let Some(why) = self.troubles.blocked(partition) {
                return Err(unknown(partition, why));
            }
            if !ours || self.ended.load(Ordering::Acquire) || Instant::now() >= deadline {
                return Err(self.elsewhere(Some(partition)));
            }
            tokio::select! {
                () = took => {}
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
        }
    }

    /// From now on this node takes no partition over: whoever waits for that need not.
    pub(crate) fn take_nothing_more(&self) {
        self.ended.store(true, Ordering::Release);
        self.took.notify_waiters();
    }

    /// Any partition will do: one that is full or lost is passed over.
    async fn ingest_anywhere(&self, record: Bytes) -> Result<(), IngestError> {
        let mut partitions = self.all_owned();
        if partitions.is_empty() {
            return Err(self.elsewhere(None));
        }
        let first = self.next_partition.next(partitions.len());
        partitions.rotate_left(first);
        let deadline = Instant::now() + self.config.tuning.ack_timeout;
        let mut error = None;
        for owned in partitions {
            let wait = deadline.saturating_duration_since(Instant::now());
            match owned.append(record.clone(), wait).await {
                Ok(_) => return Ok(()),
                // In neither case is the batch in that partition.
                Err(refused @ (Refused::Lost | Refused::Full { .. })) => {
                    error = Some(self.refuse(&owned, refused));
                }
                Err(refused) => return Err(self.refuse(&owned, refused)),
            }
        }
        Err(error.unwrap_or_else(|| self.elsewhere(None)))
    }

    fn refuse(&self, owned: &Arc<Owned>, refused: Refused) -> IngestError {
        match refused {
            Refused::Lost => {
                self.drop_owned(owned);
                self.elsewhere(Some(owned.id))
            }
            Refused::Full { backlog_bytes } => IngestError::Backlog {
                backlog_bytes,
                retry_after: Duration::from_secs(1),
            },
            Refused::KeysFull { keys } => IngestError::KeysFull {
                keys,
                retry_after: KEYS_RETRY_DELAY,
            },
            Refused::TooLarge { bytes, limit } => IngestError::TooLarge { bytes, limit },
            Refused::Unclear { detail } => IngestError::Unavailable { detail },
            Refused::KeysUnknown { detail } => unknown(owned.id, detail),
        }
    }
}
