//! The one place where a node's memory is accounted for.
//!
//! What grows with what comes from outside takes a permit here before it takes memory, in bytes as
//! they are in memory. Each [`MemoryUse`] has a share of the budget of its own, so that none starves
//! another: tails that are full refuse batches, but never the segments that would empty them. What
//! no kind has is left to the rest of the process: code, the state, threads, what an allocator
//! holds back.

mod limit;
mod searches;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backstay_journal::Reading;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use limit::default_budget;

/// The least budget that a node can work with: 64 MiB.
pub const MIN_BUDGET_BYTES: u64 = 64 << 20;

/// A unit of a pool's semaphore stands for so many bytes.
const UNIT_BYTES: usize = 1 << 10;

/// What memory is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryUse {
    /// Bodies, the events that come of them, and records until they are acknowledged.
    Ingest,
    /// Journal entries that are in no segment yet.
    Tails,
    /// Journal entries of a recovered cluster that are searched where they lie, until they are
    /// imported.
    Recovered,
    /// Journal entries that are read only to be made into segments at once: what must go on when
    /// the tails are full, and what a recovery imports.
    Import,
    /// Segments in the making.
    Segments,
    /// Requests of administration: what the control half asks of a node does not wait for searches.
    Administration,
    /// Rows and groups of searches, their answers as long as somebody may fetch them, their requests.
    Searches,
    /// Row groups of segments while searches look at them.
    Columns,
    /// Row groups whose rows the clients of streamed searches take.
    Exports,
}

impl MemoryUse {
    /// Every kind of use.
    pub const ALL: [Self; 9] = [
        Self::Ingest,
        Self::Tails,
        Self::Recovered,
        Self::Import,
        Self::Segments,
        Self::Administration,
        Self::Searches,
        Self::Columns,
        Self::Exports,
    ];

    /// For metrics and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Tails => "tails",
            Self::Recovered => "recovered-tails",
            Self::Import => "import",
            Self::Segments => "segments",
            Self::Administration => "administration",
            Self::Searches => "searches",
            Self::Columns => "columns",
            Self::Exports => "exports",
        }
    }

    /// Its share of the budget, in parts of [`BUDGET_PARTS`]. What is left is for the rest of the process.
    fn parts(self) -> u64 {
        match self {
            Self::Ingest => 19,
            Self::Segments => 12,
            Self::Tails => 8,
            Self::Recovered | Self::Import | Self::Searches => 4,
            Self::Columns | Self::Exports => 2,
            Self::Administration => 1,
        }
    }
}

/// Parts of the budget.
const BUDGET_PARTS: u64 = 64;

/// Why memory is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMemory {
    /// Others have it now.
    #[error("the memory for {} is taken; try again in a moment", .kind.as_str())]
    Now {
        /// What the memory was to be used for.
        kind: MemoryUse,
    },
    /// It is more than the whole share.
    #[error(
        "{bytes} bytes are more than the {share} bytes that this node has for {}; send less at a time, or raise BACKSTAY_MEMORY_BYTES",
        .kind.as_str()
    )]
    Never {
        /// What the memory was to be used for.
        kind: MemoryUse,
        /// What was asked for.
        bytes: usize,
        /// The share of the kind.
        share: usize,
    },
}

/// The memory of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    bytes: u64,
    reading: Reading,
    source_reading: Reading,
    pools: Arc<[Pool; 9]>,
}

#[derive(Debug)]
struct Pool {
    units: Arc<Semaphore>,
    share: usize,
    refused: AtomicU64,
}

impl Pool {
    fn new(share: usize) -> Self {
        let units = (share / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            share: units * UNIT_BYTES,
            refused: AtomicU64::new(0),
        }
    }
}

impl MemoryBudget {
    /// A budget of so many bytes for the whole process.
    pub fn new(bytes: u64) -> Self {
        let share = |kind: MemoryUse| (bytes / BUDGET_PARTS).saturating_mul(kind.parts());
        let reading = Reading::within(usize::try_from(bytes / 32).unwrap_or(usize::MAX));
        Self {
            bytes,
            source_reading: reading.part(),
            reading,
            pools: Arc::new(
                MemoryUse::ALL
                    .map(|kind| Pool::new(usize::try_from(share(kind)).unwrap_or(usize::MAX))),
            ),
        }
    }

    /// What all journals of the node are read within: a quarter of what no kind has is for what is
    /// read ahead.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The part of it that recovered clusters' journals are read within.
    pub(crate) fn source_reading(&self) -> &Reading {
        &self.source_reading
    }

    fn pool(&self, kind: MemoryUse) -> &Pool {
        let [
            ingest,
            tails,
            recovered,
            import,
            segments,
            administration,
            searches,
            columns,
            exports,
        ] = &*self.pools;
        match kind {
            MemoryUse::Ingest => ingest,
            MemoryUse::Tails => tails,
            MemoryUse::Recovered => recovered,
            MemoryUse::Import => import,
            MemoryUse::Segments => segments,
            MemoryUse::Administration => administration,
            MemoryUse::Searches => searches,
            MemoryUse::Columns => columns,
            MemoryUse::Exports => exports,
        }
    }

    /// The whole budget, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The most that a kind can have.
    pub fn share(&self, kind: MemoryUse) -> usize {
        self.pool(kind).share
    }

    /// What a kind has now.
    pub fn used(&self, kind: MemoryUse) -> usize {
        let pool = self.pool(kind);
        pool.share - (pool.units.available_permits() * UNIT_BYTES).min(pool.share)
    }

    /// How often a kind was refused memory.
    pub fn refused(&self, kind: MemoryUse) -> u64 {
        self.pool(kind).refused.load(Ordering::Relaxed)
    }

    /// A permit for nothing, to [`MemoryPermit::grow`].
    pub fn nothing(&self, kind: MemoryUse) -> MemoryPermit {
        MemoryPermit {
            budget: self.clone(),
            kind,
            units: None,
        }
    }

    /// Takes memory, or says why not.
    ///
    /// # Errors
    /// See [`NoMemory`].
    pub fn try_take(&self, kind: MemoryUse, bytes: usize) -> Result<MemoryPermit, NoMemory> {
        let mut permit = self.nothing(kind);
        permit.grow(bytes)?;
        Ok(permit)
    }

    /// Takes memory when there is some. Who wants more than the whole share waits for all of it, so
    /// that what must be done can be done: alone.
    pub async fn take(&self, kind: MemoryUse, bytes: usize) -> MemoryPermit {
        let pool = self.pool(kind);
        let units = to_units(bytes.min(pool.share));
        let taken = Arc::clone(&pool.units).acquire_many_owned(units).await;
        MemoryPermit {
            budget: self.clone(),
            kind,
            // The semaphore is never closed.
            units: taken.ok(),
        }
    }
}

fn to_units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// Memory that was taken; given back when this is dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    budget: MemoryBudget,
    kind: MemoryUse,
    units: Option<OwnedSemaphorePermit>,
}

impl MemoryPermit {
    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.units
            .as_ref()
            .map_or(0, |it| it.num_permits() * UNIT_BYTES)
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    /// See [`NoMemory`]; nothing is taken then.
    pub fn grow(&mut self, more: usize) -> Result<(), NoMemory> {
        let kind = self.kind;
        let pool = self.budget.pool(kind);
        let bytes = self.bytes().saturating_add(more);
        let refused = |why| {
            pool.refused.fetch_add(1, Ordering::Relaxed);
            Err(why)
        };
        if bytes > pool.share {
            return refused(NoMemory::Never {
                kind,
                bytes,
                share: pool.share,
            });
        }
        match Arc::clone(&pool.units).try_acquire_many_owned(to_units(more)) {
            Ok(units) => {
                match &mut self.units {
                    Some(held) => held.merge(units),
                    None => self.units = Some(units),
                }
                Ok(())
            }
            Err(_) => refused(NoMemory::Now { kind }),
        }
    }

    /// Gives back what is more than so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let keep = bytes.div_ceil(UNIT_BYTES);
        if let Some(held) = &mut self.units {
            let surplus = held.num_permits().saturating_sub(keep);
            drop(held.split(surplus));
        }
    }
}

#[cfg(test)]
mod tests;
