//! Reading and creating one slot, with a bounded number of tries: for everybody but the writer,
//! which never gives up on a slot.

use crate::backoff::Backoff;
use crate::entry::{Entry, Header, StreamId};
use crate::store::{EntryStore, StoreError};

/// Tries of one call before the caller is told. With doubling waits that is some 20 seconds, on
/// top of the retries of the backend itself.
const TRIES: u32 = 10;

/// Waits before a store that calls a slot occupied, where nothing is, is asked again.
pub(crate) async fn doubt(
    backoff: &mut Backoff,
    stream: StreamId,
    seq: u64,
) -> Result<(), StoreError> {
    if backoff.tries() < TRIES {
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
    stream: StreamId,
    seq: u64,
) -> Result<Option<Entry>, StoreError> {
    let key = stream.key(seq);
    let Some(bytes) = store.read(&key).await? else {
        return Ok(None);
    };
    match Entry::decode_at(stream, seq, &bytes) {
        Ok(entry) => Ok(Some(entry)),
        Err(source) => Err(StoreError::Unreadable {
            object: key,
            source,
        }),
    }
}

/// Reads only who wrote a slot; `None` when it is absent.
pub(crate) async fn read_header(
    store: &dyn EntryStore,
    stream: StreamId,
    seq: u64,
) -> Result<Option<Header>, StoreError> {
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
            Err(error) if error.is_retryable() && backoff.tries() < TRIES => backoff.wait().await,
            answer => return answer,
        }
    }
}

pub(crate) async fn read_with_retry(
    store: &dyn EntryStore,
    stream: StreamId,
    seq: u64,
) -> Result<Option<Entry>, StoreError> {
    with_retry(|| read(store, stream, seq)).await
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
