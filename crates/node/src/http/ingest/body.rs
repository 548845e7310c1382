//! Bodies, read and unpacked within bounds: of one body, and of all that are on their way.
//!
//! A batch takes of the node's memory ([`BatchMemory`]) before it uses any: for its body, for what
//! the body unpacks to, for parsing it, and for its events.

use std::io::{ErrorKind, Read};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use backstay_ingest::{Memory, NoMemory as LacksMemory};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::http::error::ApiError;
use crate::memory::{MemoryBudget, MemoryPermit, MemoryUse, NoMemory};

/// Longest body, as it is sent and unpacked: 32 MiB.
pub(super) const MAX_BODY_BYTES: usize = 32 << 20;
/// The least capacity for a body.
const MIN_CAPACITY_BYTES: usize = 4 << 10;
/// Memory is taken in steps of at least so many bytes.
const MEMORY_STEP_BYTES: usize = 64 << 10;
/// A body of which nothing more comes for so long is given up, so that a sender that has gone
/// without a word does not hold memory for ever.
const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds how many bodies are unpacked at the same time.
pub(super) struct UnpackLimiter {
    unpacking: Arc<Semaphore>,
}

/// The memory that one batch holds, until it is dropped.
pub(super) struct BatchMemory {
    unpacking: Arc<Semaphore>,
    permit: MemoryPermit,
    bytes: usize,
}

impl Default for UnpackLimiter {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            // Not more threads than cores: the work is none the faster for it.
            unpacking: Arc::new(Semaphore::new(cores)),
        }
    }
}

impl UnpackLimiter {
    /// The memory of one batch, none at first.
    pub(super) fn batch_memory(&self, memory: &MemoryBudget) -> BatchMemory {
        BatchMemory {
            unpacking: Arc::clone(&self.unpacking),
            permit: memory.nothing(MemoryUse::Ingest),
            bytes: 0,
        }
    }
}

impl BatchMemory {
    /// Holds so many bytes more. What no batch can have is 413, what others have now is 429.
    pub(super) fn take(&mut self, more: usize) -> Result<(), NoMemory> {
        let bytes = self.bytes.saturating_add(more);
        let missing = bytes.saturating_sub(self.permit.bytes());
        // In steps, but what there is is not refused for the sake of a step.
        if missing > 0
            && (missing >= MEMORY_STEP_BYTES || self.permit.grow(MEMORY_STEP_BYTES).is_err())
        {
            self.permit.grow(missing)?;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Gives so many bytes of it back.
    pub(super) fn give(&mut self, less: usize) {
        self.bytes = self.bytes.saturating_sub(less);
        self.permit.shrink_to(self.bytes);
    }

    /// The permit for what is held.
    pub(super) fn into_permit(self) -> MemoryPermit {
        self.permit
    }

    /// Adds a piece to `bytes`, whose capacity is held.
    fn extend(&mut self, bytes: &mut Vec<u8>, piece: &[u8]) -> Result<(), ApiError> {
        let length = bytes.len() + piece.len();
        if length > MAX_BODY_BYTES {
            return Err(too_large());
        }
        let old = bytes.capacity();
        if length > old {
            let new = length
                .max(old * 2)
                .clamp(MIN_CAPACITY_BYTES, MAX_BODY_BYTES);
            // For a moment there are both.
            self.take(new)?;
            bytes.reserve_exact(new - bytes.len());
            self.give(old);
        }
        bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl Memory for BatchMemory {
    fn take(&mut self, bytes: usize) -> Result<(), LacksMemory> {
        self.take(bytes).map_err(|error| match error {
            NoMemory::Now { .. } => LacksMemory::Now(error.to_string()),
            NoMemory::Never { .. } => LacksMemory::Never(error.to_string()),
        })
    }

    fn give(&mut self, bytes: usize) {
        self.give(bytes);
    }
}

/// Reads a body. Memory is taken for what has come, not for what is announced.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    memory: &mut BatchMemory,
) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > MAX_BODY_BYTES {
        return Err(too_large());
    }
    let mut read = Vec::new();
    let mut pieces = body.into_data_stream();
    loop {
        let piece = timeout(BODY_IDLE_TIMEOUT, pieces.next())
            .await
            .map_err(|_| {
                ApiError::timed_out(format!(
                    "nothing came of the body for {} s; send the batch again",
                    BODY_IDLE_TIMEOUT.as_secs()
                ))
            })?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| {
            ApiError::bad_request(format!("the body broke off: {error}; send it again"))
        })?;
        memory.extend(&mut read, &piece)?;
    }
    Ok(read.into())
}

fn too_large() -> ApiError {
    ApiError::too_large(format!(
        "the body is longer than {} MiB, packed or unpacked; send smaller batches",
        MAX_BODY_BYTES >> 20
    ))
}

fn encoding(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("identity")
        .trim()
}

/// Undoes `Content-Encoding`: gzip, deflate, zstd.
pub(super) async fn unpack(
    headers: &HeaderMap,
    body: Bytes,
    mut memory: BatchMemory,
) -> Result<(Bytes, BatchMemory), ApiError> {
    let encoding = encoding(headers).to_ascii_lowercase();
    if encoding.is_empty() || encoding == "identity" {
        return Ok((body, memory));
    }
    let stopped =
        |error: String| ApiError::internal(format!("the body could not be unpacked: {error}"));
    let turn = Arc::clone(&memory.unpacking).acquire_owned().await;
    let turn = turn.map_err(|error| stopped(error.to_string()))?;
    let unpacking = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let plain = unpack_now(&encoding, &body, &mut memory)?;
        Ok((plain, memory))
    });
    unpacking
        .await
        .map_err(|error| stopped(error.to_string()))?
}

fn unpack_now(encoding: &str, body: &[u8], memory: &mut BatchMemory) -> Result<Bytes, ApiError> {
    let wrong = |error: std::io::Error| {
        ApiError::bad_request(format!(
            "the body is not what `Content-Encoding: {encoding}` says: {error}"
        ))
    };
    match encoding {
        "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body), memory, wrong),
        "deflate" => bounded(flate2::read::ZlibDecoder::new(body), memory, wrong),
        "zstd" => bounded(
            zstd::stream::read::Decoder::with_buffer(body).map_err(wrong)?,
            memory,
            wrong,
        ),
        _ => Err(ApiError::bad_request(
            "this Content-Encoding is not known; send gzip, zstd, deflate or identity",
        )),
    }
}

fn bounded(
    mut unpacked: impl Read,
    memory: &mut BatchMemory,
    wrong: impl Fn(std::io::Error) -> ApiError,
) -> Result<Bytes, ApiError> {
    let mut plain = Vec::new();
    let mut piece = vec![0; MEMORY_STEP_BYTES];
    loop {
        let read = match unpacked.read(&mut piece) {
            Ok(0) => return Ok(plain.into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(wrong(error)),
        };
        memory.extend(&mut plain, piece.get(..read).unwrap_or_default())?;
    }
}
