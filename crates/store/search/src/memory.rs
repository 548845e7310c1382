//! What searches take of a process's memory, and from whom.
//!
//! This crate does not know how much memory there is. Whoever runs searches gives them pools
//! ([`Resources`]), of which it keeps the account. No two searches can wait for each other:
//!
//! - `columns`: row groups while they are decoded and looked at, and segments on their way to the
//!   local disk. Who takes of it *waits* until there is some. What holds such memory comes to its
//!   end by itself, whether or not its search goes on, and waits for nothing but its bytes and a
//!   thread: so everybody's turn comes.
//! - `exports`: the row group whose rows a client of a stream takes at its own pace. A stream
//!   *waits* for it while it holds none.
//! - `rows`: what is held for long: groups, rows, what segments say about themselves. Nobody waits
//!   for it: when there is none, the search ends with an error.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::SearchError;

/// Memory of a process, for searches.
#[async_trait]
pub trait MemoryPool: Send + Sync {
    /// A permit for nothing, to [`MemoryPermit::grow`].
    fn nothing(&self) -> Box<dyn MemoryPermit>;

    /// Takes memory when there is some. Who wants more than all of it waits for all of it, so that
    /// what is large can be done: alone.
    async fn take(&self, bytes: usize) -> Box<dyn MemoryPermit>;
}

/// Memory that was taken; given back when this is dropped.
pub trait MemoryPermit: Send + Sync {
    /// Takes so many bytes more; whether there were so many.
    fn grow(&mut self, more: usize) -> bool;

    /// Gives back what is more than so many bytes.
    fn shrink_to(&mut self, bytes: usize);
}

/// What all searches of a process share.
#[derive(Clone)]
pub struct Resources {
    /// For what is held for long: groups, rows, what segments say about themselves.
    pub rows: Arc<dyn MemoryPool>,
    /// For row groups while they are looked at.
    pub columns: Arc<dyn MemoryPool>,
    /// For row groups that clients of streams take.
    pub exports: Arc<dyn MemoryPool>,
    /// One permit for each thread that computes at the same time.
    pub threads: Arc<Semaphore>,
}

impl Default for Resources {
    /// Memory without a bound, and as many threads as the machine has.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            rows: Arc::new(Unbounded),
            columns: Arc::new(Unbounded),
            exports: Arc::new(Unbounded),
            threads: Arc::new(Semaphore::new(threads)),
        }
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").finish_non_exhaustive()
    }
}

/// As much memory as anybody asks for.
#[derive(Clone, Copy, Debug)]
pub struct Unbounded;

#[async_trait]
impl MemoryPool for Unbounded {
    fn nothing(&self) -> Box<dyn MemoryPermit> {
        Box::new(Self)
    }

    async fn take(&self, _: usize) -> Box<dyn MemoryPermit> {
        Box::new(Self)
    }
}

impl MemoryPermit for Unbounded {
    fn grow(&mut self, _: usize) -> bool {
        true
    }

    fn shrink_to(&mut self, _: usize) {}
}

/// At least so many bytes are taken at a time, so that rows that come one by one cost little.
const MIN_GRANT_BYTES: usize = 4 << 10;

/// What a part of a query holds, within the query's own limit.
pub(crate) struct Held {
    permit: Box<dyn MemoryPermit>,
    bytes: usize,
    limit: usize,
}

impl Held {
    pub(crate) fn nothing(pool: &dyn MemoryPool, limit: usize) -> Self {
        Self {
            permit: pool.nothing(),
            bytes: 0,
            limit,
        }
    }

    /// What somebody has waited for.
    pub(crate) fn of(permit: Box<dyn MemoryPermit>, bytes: usize) -> Self {
        Self {
            permit,
            bytes,
            limit: usize::MAX,
        }
    }

    /// Holds so many bytes in all, or more.
    pub(crate) fn reach(&mut self, bytes: usize, what: &'static str) -> Result<(), SearchError> {
        if bytes > self.limit {
            return Err(SearchError::Memory {
                what,
                limit: self.limit,
            });
        }
        if bytes <= self.bytes {
            return Ok(());
        }
        let least = bytes - self.bytes;
        // In proportion, so that much costs few steps; what is taken too much is little.
        let most = least.max(MIN_GRANT_BYTES + bytes / 8);
        for more in [most, least] {
            if self.permit.grow(more) {
                self.bytes += more;
                return Ok(());
            }
        }
        Err(SearchError::NoMemory { what, bytes: least })
    }

    /// Gives back what is more than so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.permit.shrink_to(bytes);
            self.bytes = bytes;
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.bytes).finish()
    }
}

/// The memory of an answer: given back when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct AnswerMemory(#[allow(dead_code)] Option<Arc<Held>>);

impl From<Held> for AnswerMemory {
    fn from(held: Held) -> Self {
        Self(Some(Arc::new(held)))
    }
}

impl PartialEq for AnswerMemory {
    /// It says nothing about what is in the answer.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What an allocator takes for so many bytes, roughly: it rounds up, and keeps a note of its own.
pub fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    (bytes + 8).next_multiple_of(16)
}
