//! Reading and creating one slot, with a bounded number of tries: for everybody but the writer,
//! which never gives up on a slot.

use crate::backoff::Backoff;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::entry::{Entry, EntryKind, Header, StreamId};
use crate::reading::{Ahead, MAX_READ_AHEAD_OBJECT_BYTES, Reading};
use crate::store::{EntryStore, Small, StoreError};
use crate::{Journal, MAX_IN_FLIGHT};

/// How often one call is repeated before its failure is an error. With doubling waits that takes 10 to
/// 20 seconds, on top of the retries of the backend itself.
const MAX_ATTEMPTS: u32 = 10;

/// Waits before a store that calls a slot occupied, where nothing is, is asked again.
pub(crate) async fn wait_in_doubt(
    backoff: &mut Backoff,
    stream: StreamId,
    seq: u64,
) -> Result<(), StoreError> {
    if backoff.tries() < MAX_ATTEMPTS {
        backoff.wait().await;
        return Ok(());
    }
    Err(StoreError::Unavailable {
        object: stream.key(seq),
        detail: "it answers that the object exists, and that it does not".to_owned(),
    })
}

/// Reads a slot; `None` when it is absent.
pub(crate) async fn read(
    store: &dyn EntryStore,
    reading: &Reading,
    stream: StreamId,
    seq: u64,
) -> Result<Option<Entry>, StoreError> {
    let stored = read_stored(store, reading, stream, seq).await?;
    stored
        .map(|stored| stored.decode(stream, reading))
        .transpose()
}

/// A slot that is read ahead of its turn.
#[derive(Debug)]
pub(crate) enum Slot {
    Absent,
    /// There was no room for it, or it is large: to be read when it is its turn.
    Later(u64),
    Stored(Stored),
}

/// An entry as it is stored. It may be much more when it is decoded.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) seq: u64,
    bytes: Bytes,
    /// None if it was its turn.
    _room: Option<Ahead>,
}

impl Stored {
    pub(crate) fn decode(self, stream: StreamId, reading: &Reading) -> Result<Entry, StoreError> {
        match Entry::decode_at(stream, self.seq, &self.bytes) {
            Ok(entry) => {
                reading.decoded(entry.payload.len());
                Ok(entry)
            }
            Err(source) => Err(StoreError::Unreadable {
                object: stream.key(self.seq),
                source,
            }),
        }
    }
}

impl Slot {
    /// What is in it, now that it is its turn: read now, if that was put off.
    async fn entry(
        self,
        store: &dyn EntryStore,
        reading: &Reading,
        stream: StreamId,
    ) -> Result<Option<Entry>, StoreError> {
        match self {
            Self::Absent => Ok(None),
            Self::Later(seq) => read(store, reading, stream, seq).await,
            Self::Stored(stored) => stored.decode(stream, reading).map(Some),
        }
    }
}

/// Reads a slot whose turn it is, whatever it takes.
pub(crate) async fn read_stored(
    store: &dyn EntryStore,
    reading: &Reading,
    stream: StreamId,
    seq: u64,
) -> Result<Option<Stored>, StoreError> {
    reading.asked();
    let bytes = store.read(&stream.key(seq)).await?;
    Ok(bytes.map(|bytes| Stored {
        seq,
        bytes,
        _room: None,
    }))
}

/// Reads a slot ahead of its turn, if that may be.
pub(crate) async fn read_ahead(
    store: &dyn EntryStore,
    reading: &Reading,
    stream: StreamId,
    seq: u64,
) -> Result<Slot, StoreError> {
    let Some(mut room) = reading.hold() else {
        return Ok(Slot::Later(seq));
    };
    reading.asked();
    Ok(
        match store
            .read_small(&stream.key(seq), MAX_READ_AHEAD_OBJECT_BYTES)
            .await?
        {
            Small::Absent => Slot::Absent,
            Small::Larger => Slot::Later(seq),
            Small::Whole(bytes) => {
                room.shrink_to(bytes.len());
                Slot::Stored(Stored {
                    seq,
                    bytes,
                    _room: Some(room),
                })
            }
        },
    )
}

impl Journal {
    /// The slots of `[from, to)` in order, absent ones as `None`; of small ones up to `parallel` are read
    /// at the same time.
    pub fn slots(
        &self,
        stream: StreamId,
        from: u64,
        to: u64,
        parallel: usize,
    ) -> impl Stream<Item = Result<Option<Entry>, StoreError>> + Send + '_ {
        self.slots_at(stream, from..to, parallel)
    }

    /// The same for these slots, in their order.
    pub fn slots_at<I>(
        &self,
        stream: StreamId,
        seqs: I,
        parallel: usize,
    ) -> impl Stream<Item = Result<Option<Entry>, StoreError>> + Send + use<'_, I>
    where
        I: IntoIterator<Item = u64, IntoIter: Send>,
    {
        let (store, reading) = (&*self.store, &self.reading);
        stream::iter(seqs)
            .map(move |seq| read_ahead(store, reading, stream, seq))
            .buffered(parallel)
            .then(move |slot| async move { slot?.entry(store, reading, stream).await })
    }

    /// The same from `from` on without an end; each read is tried again as by [`with_retry`].
    pub(crate) fn slots_from(
        &self,
        stream: StreamId,
        from: u64,
        parallel: usize,
    ) -> impl Stream<Item = Result<Option<Entry>, StoreError>> + Send + '_ {
        let (store, reading) = (&*self.store, &self.reading);
        stream::iter(from..)
            .map(move |seq| with_retry(move || read_ahead(store, reading, stream, seq)))
            .buffered(parallel)
            .then(move |slot| async move {
                match slot? {
                    Slot::Later(seq) => read_with_retry(store, reading, stream, seq).await,
                    slot => slot.entry(store, reading, stream).await,
                }
            })
    }
}

impl Journal {
    /// The highest term that begins in `[from, to)`, 0 if none does. Of the entries only who wrote them
    /// is read.
    ///
    /// # Errors
    /// When the store does not answer, or what is in a slot is no entry of it.
    pub async fn term_begun_within(
        &self,
        stream: StreamId,
        from: u64,
        to: u64,
    ) -> Result<u64, StoreError> {
        let headers =
            stream::iter(from..to).map(|seq| read_header(&*self.store, &self.reading, stream, seq));
        let begun = headers
            .buffered(MAX_IN_FLIGHT + 1)
            .try_filter_map(async |header| {
                let seal = header.filter(|it| matches!(it.kind, EntryKind::Seal { .. }));
                Ok(seal.map(|seal| seal.term))
            });
        begun
            .try_fold(0, async |highest: u64, term| Ok(highest.max(term)))
            .await
    }
}

/// Reads only who wrote a slot; `None` when it is absent.
pub(crate) async fn read_header(
    store: &dyn EntryStore,
    reading: &Reading,
    stream: StreamId,
    seq: u64,
) -> Result<Option<Header>, StoreError> {
    reading.asked();
    let key = stream.key(seq);
    let Some(bytes) = store.read_start(&key, crate::entry::HEADER_BYTES).await? else {
        return Ok(None);
    };
    let checked = Header::decode(&bytes).and_then(|(header, ..)| {
        header.expect_slot(stream, seq)?;
        Ok(header)
    });
    match checked {
        Ok(header) => Ok(Some(header)),
        Err(source) => Err(StoreError::Unreadable {
            object: key,
            source,
        }),
    }
}

/// Makes a call again for as long as its error is one that may pass.
pub(crate) async fn with_retry<T, F>(call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut backoff = Backoff::default();
    loop {
        match call().await {
            Err(error) if error.is_retryable() && backoff.tries() < MAX_ATTEMPTS => {
                backoff.wait().await
            }
            answer => return answer,
        }
    }
}

pub(crate) async fn read_with_retry(
    store: &dyn EntryStore,
    reading: &Reading,
    stream: StreamId,
    seq: u64,
) -> Result<Option<Entry>, StoreError> {
    with_retry(|| read(store, reading, stream, seq)).await
}

/// Creates a slot; always with the same bytes. `false`: it exists, perhaps by an earlier try.
pub(crate) async fn create_with_retry(
    store: &dyn EntryStore,
    entry: &Entry,
) -> Result<bool, StoreError> {
    let key = entry.stream.key(entry.seq);
    let bytes = entry.encode().map_err(|source| StoreError::Encode {
        object: key.clone(),
        source,
    })?;
    with_retry(|| store.create(&key, bytes.clone())).await
}
