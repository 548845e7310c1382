//! An ordered, durable log in a bucket: the reason an acknowledged event survives its region.
//!
//! A stream is a sequence of objects `journal/<stream>/<seq>`, each made once, by put-if-absent.
//! Nothing else is needed to order writers and to fence them off: whoever creates a slot owns it,
//! and whoever takes a stream over creates its next slot itself (a *seal*). The rule that holds it
//! up: **acknowledged ⇒ durable in the bucket and below the seal.**
//!
//! # The protocol
//! 1. A slot is made only by put-if-absent. Told "already exists", the writer reads the slot: its
//!    own nonce means that an earlier try took effect; a lower term is a dead slot, the next one is
//!    tried; a higher term means that the writer is fenced.
//! 2. A writer keeps several slots in flight, but acknowledges slot *n* only when *n* is its own
//!    and every lower slot is settled. It never abandons a slot (a retry carries the same bytes),
//!    so no gap of its own is acknowledged over. As long as its lowest unacknowledged slot is
//!    within [`MAX_IN_FLIGHT`] of its seal, where late puts of the writer before it can still
//!    land, it keeps one slot in flight: stepping over a dead slot never changes the order of its
//!    records. A fenced writer puts nothing more.
//! 3. A sealer with term *t* puts its seal at the first absent slot; it gives up when it meets an
//!    entry of term *t* or higher that is not its own. Entries above a seal with a lower term are
//!    dead: readers skip them, the new writer steps over them.
//!    An absent slot that a later entry says was there is no end but a hole, and is not sealed: what
//!    lay there was acknowledged, and is lost until it is restored.
//! 4. A restarted process is a new writer: new id, new seal, higher term.
//! 5. Trimming deletes only what the caller has published as no longer needed (the *floor*), and
//!    never a seal: a writer that thaws after hours must still run into the seal that fenced it.
//!    In partitions it leaves dead entries too, and the floor is published only by the owner,
//!    after the second look of rule 6, and never above what its own writer has settled
//!    ([`Writer::settled_below`]): otherwise a late put could land in trimmed ground and count.
//!    `global`, with its many writers, is trimmed by whole windows of [`TRIM_WINDOW_SLOTS`] slots, and a
//!    durable *trim mark* is made before the first deletion in a window. Whoever finds a slot of
//!    `global` absent, creates one, or loses a race for one, then looks for the mark of that
//!    slot's window: if it is there, the slot may be trimmed ground and nothing seen there counts.
//!    (Looking at the slot one window below instead is not enough: what a second straggler has
//!    just written there looks like a living predecessor. `tests/model.rs` has that
//!    counterexample.)
//! 6. After sealing a partition, the taker reads `global` once more: it must still be the owner
//!    with that term, and the floor must not be above the seal. That check belongs to the caller;
//!    without it a sealer that stalled could seal trimmed ground.
//!
//! `tests/model.rs` checks these rules exhaustively for small bounds, and shows for each rule that
//! leaving it out loses or reorders something.
//!
//! # Example
//! A writer, and another one that takes its stream over:
//! ```
//! use std::sync::Arc;
//! use backstay_journal::simulated::MemoryStore;
//! use backstay_journal::{CommitError, CommitOptions, Journal, StreamId, WriterId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new());
//! let (east, west) = (
//!     Journal::new(store.clone(), WriterId("east".to_owned())),
//!     Journal::new(store, WriterId("west".to_owned())),
//! );
//! let stream = StreamId::Partition(0);
//! let sealed = east.seal(stream, 0, 1, "east").await?;
//! let writer = east.writer(stream, sealed, CommitOptions::default());
//! writer.append("an event".into()).await?;
//!
//! west.seal(stream, 0, 2, "west").await?;
//! let late = writer.append("too late".into()).await.unwrap_err();
//! assert_eq!(late, CommitError::Fenced { by: "west".to_owned(), term: 2 });
//! # Ok(())
//! # }
//! ```

mod backoff;
mod entry;
mod fence;
mod hole;
mod optimistic;
mod reading;
mod seal;
pub mod simulated;
mod slot;
mod store;
mod tail;
mod trim;
mod writer;

use std::fmt;
use std::sync::Arc;

pub use entry::{DecodeError, Entry, EntryKind, MAX_PAYLOAD_BYTES, Records, StreamId, WriterId};
pub use fence::Fence;
pub use optimistic::TryAppend;
pub use reading::Reading;
pub use seal::{Previous, SealError, Sealed};
pub use store::{EntryStore, Small, StoreError};
pub use tail::{Tail, TailError};
pub use trim::{KEEP_NEWEST_SLOTS, TRIM_WINDOW_SLOTS, Trimmed};
pub use writer::{CommitError, CommitOptions, MAX_IN_FLIGHT, Position, Writer, WriterHealth};

/// Access to all streams below one store, in the name of one writer. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    store: Arc<dyn EntryStore>,
    writer: WriterId,
    reading: Reading,
}

impl Journal {
    /// A journal over `store`. `writer` must be new for every process start (rule 4).
    pub fn new(store: Arc<dyn EntryStore>, writer: WriterId) -> Self {
        Self {
            store,
            writer,
            reading: Reading::default(),
        }
    }

    /// Bounds and counts together with others what is read from now on.
    pub fn reading_as(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    /// What bounds and counts what is read.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// In whose name entries are written.
    pub fn writer_id(&self) -> &WriterId {
        &self.writer
    }

    /// The store that the journal keeps its objects in.
    pub fn store(&self) -> &Arc<dyn EntryStore> {
        &self.store
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}
