//! Reading a snapshot object: decryption, unpacking and parsing at the same time.
//!
//! The bucket's stream is decrypted where it is polled; one thread unpacks, another parses. The
//! channels between them hold a few pieces, so memory stays that of the state.

use std::io::{self, Read};
use std::sync::mpsc as blocking;

use backstay_bucket::Bucket;
use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::snapshot::document::{self, DocumentError};
use crate::snapshot::{SnapshotError, SnapshotKey};
use crate::state::State;

/// Bytes of unpacked text that are handed over at once.
const BLOCK_BYTES: usize = 1 << 20;
/// Blocks on their way from the unpacker to the parser.
const MAX_QUEUED_BLOCKS: usize = 4;
/// Chunks on their way from the bucket to the unpacker.
const MAX_QUEUED_CHUNKS: usize = 32;

/// Reads a snapshot.
///
/// # Errors
/// When the object is missing, denied, damaged or not the one that its name says. There is a
/// state only if every byte of the object was authenticated, unpacked and understood.
pub async fn read(bucket: &Bucket, key: &SnapshotKey) -> Result<State, SnapshotError> {
    let object = key.to_string();
    backstay_failpoint::hit("snapshot.read.before_get");
    let chunks = bucket.get_stream(&object).await?;
    let state = read_stream(&object, chunks).await?;
    let found = SnapshotKey::of(&state);
    if found != *key {
        return Err(SnapshotError::Misplaced {
            object,
            found: found.to_string(),
        });
    }
    Ok(state)
}

/// The same from the packed bytes themselves, as they come out of a bucket.
///
/// # Errors
/// As [`read`], except for the name.
pub async fn read_stream(
    object: &str,
    mut chunks: impl Stream<Item = Result<Bytes, backstay_bucket::Error>> + Unpin,
) -> Result<State, SnapshotError> {
    let (to_unpacker, packed) = mpsc::channel(MAX_QUEUED_CHUNKS);
    let (to_parser, text) = blocking::sync_channel(MAX_QUEUED_BLOCKS);
    let unpacker = tokio::task::spawn_blocking(move || unpack(packed, to_parser));
    let parser = tokio::task::spawn_blocking(move || document::read(Blocks::new(text)));
    let mut broken = None;
    while let Some(chunk) = chunks.next().await {
        let part = match chunk {
            Ok(chunk) => Part::Bytes(chunk),
            Err(error) => {
                broken = Some(error);
                Part::Broken
            }
        };
        // A closed channel: the threads have given up, and say why below.
        if to_unpacker.send(part).await.is_err() || broken.is_some() {
            break;
        }
    }
    drop(to_unpacker);
    let unpacked = unpacker.await;
    let parsed = parser.await;
    // What came first is the cause: a damaged object also unpacks and parses badly.
    if let Some(error) = broken {
        return Err(error.into());
    }
    let worker = |error: tokio::task::JoinError| SnapshotError::Worker {
        object: object.to_owned(),
        detail: error.to_string(),
    };
    let document = |source| SnapshotError::Document {
        object: object.to_owned(),
        source,
    };
    match (unpacked.map_err(worker)?, parsed.map_err(worker)?) {
        (Ok(()), Ok(state)) => Ok(state),
        // The parser does not wait for more once it has failed.
        (Ok(()), Err(error)) => Err(document(error)),
        (Err(UnpackError::Unwanted), Err(error)) => Err(document(error)),
        (Err(UnpackError::Unwanted), Ok(_)) => Err(SnapshotError::Worker {
            object: object.to_owned(),
            detail: "the parser was done before the text was".to_owned(),
        }),
        (Err(UnpackError::Packed(source)), _) => Err(SnapshotError::Unpack {
            object: object.to_owned(),
            source,
        }),
    }
}

enum Part {
    Bytes(Bytes),
    /// The object is damaged from here on.
    Broken,
}

enum UnpackError {
    /// The packed bytes are damaged.
    Packed(io::Error),
    /// The parser has ended.
    Unwanted,
}

/// One block of text, or that no more will come although the text is not at its end.
type Block = Result<Bytes, ()>;

fn unpack(
    packed: mpsc::Receiver<Part>,
    text: blocking::SyncSender<Block>,
) -> Result<(), UnpackError> {
    let failed = |error| {
        // The parser may be gone already.
        let _ = text.send(Err(()));
        UnpackError::Packed(error)
    };
    let source = Chunks {
        packed,
        current: Bytes::new(),
    };
    let mut decoder = zstd::Decoder::new(source).map_err(failed)?;
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let read = decoder
            .by_ref()
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut block);
        match read {
            Ok(0) => return Ok(()),
            Ok(_) => text
                .send(Ok(block.into()))
                .map_err(|_| UnpackError::Unwanted)?,
            Err(error) => return Err(failed(error)),
        }
    }
}

/// The packed bytes as a reader.
struct Chunks {
    packed: mpsc::Receiver<Part>,
    current: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.packed.blocking_recv() {
                Some(Part::Bytes(chunk)) => self.current = chunk,
                Some(Part::Broken) => return Err(io::Error::other("the object is damaged")),
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        self.current
            .copy_to_slice(into.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

/// The text as a reader.
struct Blocks {
    text: blocking::Receiver<Block>,
    current: Bytes,
}

impl Blocks {
    fn new(text: blocking::Receiver<Block>) -> Self {
        Self {
            text,
            current: Bytes::new(),
        }
    }
}

impl Read for Blocks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.text.recv() {
                Ok(Ok(block)) => self.current = block,
                Ok(Err(())) => return Err(io::Error::other("the text breaks off")),
                // The unpacker has ended in peace.
                Err(blocking::RecvError) => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        self.current
            .copy_to_slice(into.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

impl From<DocumentError> for io::Error {
    fn from(error: DocumentError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
