//! The keys that are in a journal's entries.

use std::pin::pin;

use backstay_journal::{Journal, StoreError, StreamId};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::engine::record::{KeyHash, Opened};
use crate::engine::tails::{FollowError, term_below};

/// Entries read at the same time when only their keys are wanted; see [`backstay_journal::Reading`] for
/// what they take.
const PARALLEL_KEYS: usize = 32;

/// Whether the slot holds a seal.
pub(in crate::engine) async fn is_sealed_at(
    journal: &Journal,
    stream: StreamId,
    seq: u64,
) -> Result<bool, FollowError> {
    let mut slot = pin!(journal.slots(stream, seq, seq + 1, 1));
    let entry = slot.try_next().await?.flatten();
    Ok(entry.is_some_and(|entry| entry.is_seal()))
}

/// Some slots of a stream, from `from` to below `to`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Slots {
    pub(in crate::engine) from: u64,
    pub(in crate::engine) to: u64,
    /// The highest term begun below `from`, where the state knows it.
    pub(in crate::engine) below: Option<u64>,
}

/// The idempotency keys in the live entries of `[from, to)`, each with its slot. With `whole` all
/// slots must be there, as they are from a partition's floor to its seal; without, absent ones
/// are trimmed ones. What was `found` before an error are all keys up to there.
pub(in crate::engine) async fn keys(
    journal: &Journal,
    stream: StreamId,
    Slots { from, to, below }: Slots,
    whole: bool,
    found: &mut Vec<(u64, KeyHash)>,
) -> Result<(), FollowError> {
    let mut highest = term_below(journal, stream, from, below).await?;
    let mut at = from;
    let mut entries = pin!(journal.slots(stream, from, to, PARALLEL_KEYS));
    while let Some(entry) = entries.next().await {
        let seq = at;
        at += 1;
        let Some(entry) = entry? else {
            if whole {
                return Err(FollowError::from(StoreError::Missing {
                    object: stream.key(seq),
                    by: stream.key(to),
                }));
            }
            continue;
        };
        if entry.term < highest {
            continue;
        }
        highest = entry.term;
        for record in entry.records() {
            let source = match Opened::open(&record) {
                Ok(Opened::Batch { key, .. }) => {
                    found.extend(key.map(|key| (entry.seq, key)));
                    continue;
                }
                Ok(Opened::Keys { keys }) => {
                    found.extend(keys.into_iter().map(|key| (entry.seq, key)));
                    continue;
                }
                Err(source) => source,
            };
            return Err(FollowError::Record {
                stream,
                seq: entry.seq,
                source,
            });
        }
    }
    Ok(())
}
