//! Bodies, read and unpacked within bounds: of one body, and of all that are on their way.
//!
//! A batch takes room in the [`Gate`] before it takes memory: for its body, for what the body
//! unpacks to, for parsing it, and for its events.

use std::io::{ErrorKind, Read};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::error::ApiError;

/// Longest body, as it is sent and unpacked: 32 MiB.
pub(super) const LIMIT: usize = 32 << 20;
/// Memory for batches on their way, in bytes: 256 MiB.
const ROOM: usize = 256 << 20;
/// A permit of the gate stands for so many bytes.
const UNIT: usize = 1 << 10;
/// Room is taken in steps of at least so many bytes.
const STEP: usize = 64 << 10;
/// What a value takes beside its text while JSON is parsed. There are hardly more values than
/// commas, and a body of nothing else is where this counts.
const VALUE: usize = 64;
/// A body of which nothing more comes for so long is given up, so that a sender that has gone
/// without a word does not hold room for ever.
const SILENCE: Duration = Duration::from_secs(30);

/// Bounds the memory of batches on their way.
pub(super) struct Gate {
    room: Arc<Semaphore>,
    unpacking: Arc<Semaphore>,
}

/// What one batch holds of the gate, until it is dropped.
pub(super) struct Room {
    gate: Arc<Semaphore>,
    unpacking: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Default for Gate {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            room: Arc::new(Semaphore::new(ROOM / UNIT)),
            // Not more threads than cores: the work is none the faster for it, and the allocator
            // keeps what each thread has freed.
            unpacking: Arc::new(Semaphore::new(cores)),
        }
    }
}

impl Gate {
    /// Room for one batch, none at first.
    pub(super) fn room(&self) -> Room {
        Room {
            gate: Arc::clone(&self.room),
            unpacking: Arc::clone(&self.unpacking),
            permit: None,
            bytes: 0,
        }
    }
}

impl Room {
    /// Holds this much more. What no batch can have is 413, what others have now is 429.
    pub(super) fn take(&mut self, more: usize) -> Result<(), ApiError> {
        self.hold(self.bytes.saturating_add(more))
    }

    /// Holds at least this much in all.
    fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes > ROOM {
            return Err(ApiError::too_large(format!(
                "the batch takes more than {} MiB in memory; send smaller batches",
                ROOM >> 20
            )));
        }
        let held = self.permit.as_ref().map_or(0, |it| it.num_permits() * UNIT);
        if bytes <= held {
            self.bytes = bytes;
            return Ok(());
        }
        let units = (bytes - held).max(STEP.min(ROOM - held)).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.gate).try_acquire_many_owned(units);
        let more = more.map_err(|_| {
            ApiError::too_many(
                "this node has as many bytes on their way as it can hold; send the batch again",
            )
        })?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// Reads a body.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    room: &mut Room,
) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > LIMIT {
        return Err(too_large());
    }
    room.take(announced)?;
    let mut read = Vec::with_capacity(announced);
    let mut pieces = body.into_data_stream();
    loop {
        let piece = timeout(SILENCE, pieces.next()).await.map_err(|_| {
            ApiError::timed_out(format!(
                "nothing came of the body for {} s; send the batch again",
                SILENCE.as_secs()
            ))
        })?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| {
            ApiError::bad_request(format!("the body broke off: {error}; send it again"))
        })?;
        if read.len() + piece.len() > LIMIT {
            return Err(too_large());
        }
        // Without a length, room is taken as it comes.
        room.take((read.len() + piece.len()).saturating_sub(announced.max(read.len())))?;
        read.extend_from_slice(&piece);
    }
    Ok(read.into())
}

/// Takes the room that parsing a body may need.
pub(super) fn make_room(plain: &[u8], room: &mut Room) -> Result<(), ApiError> {
    let values = memchr::memchr_iter(b',', plain).count();
    room.take(plain.len() + values * VALUE)
}

fn too_large() -> ApiError {
    ApiError::too_large(format!(
        "the body is longer than {} MiB, packed or unpacked; send smaller batches",
        LIMIT >> 20
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
    mut room: Room,
) -> Result<(Bytes, Room), ApiError> {
    let encoding = encoding(headers).to_ascii_lowercase();
    if encoding.is_empty() || encoding == "identity" {
        return Ok((body, room));
    }
    let stopped =
        |error: String| ApiError::internal(format!("the body could not be unpacked: {error}"));
    let turn = Arc::clone(&room.unpacking).acquire_owned().await;
    let turn = turn.map_err(|error| stopped(error.to_string()))?;
    let unpacking = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let plain = unpack_now(&encoding, &body, &mut room)?;
        Ok((plain, room))
    });
    unpacking
        .await
        .map_err(|error| stopped(error.to_string()))?
}

fn unpack_now(encoding: &str, body: &[u8], room: &mut Room) -> Result<Bytes, ApiError> {
    let wrong = |error: std::io::Error| {
        ApiError::bad_request(format!(
            "the body is not what `Content-Encoding: {encoding}` says: {error}"
        ))
    };
    match encoding {
        "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body), room, wrong),
        "deflate" => bounded(flate2::read::ZlibDecoder::new(body), room, wrong),
        "zstd" => bounded(
            zstd::stream::read::Decoder::with_buffer(body).map_err(wrong)?,
            room,
            wrong,
        ),
        _ => Err(ApiError::bad_request(
            "this Content-Encoding is not known; send gzip, zstd, deflate or identity",
        )),
    }
}

fn bounded(
    mut unpacked: impl Read,
    room: &mut Room,
    wrong: impl Fn(std::io::Error) -> ApiError,
) -> Result<Bytes, ApiError> {
    let mut plain = Vec::new();
    let mut piece = vec![0; STEP];
    loop {
        let read = match unpacked.read(&mut piece) {
            Ok(0) => return Ok(plain.into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(wrong(error)),
        };
        if plain.len() + read > LIMIT {
            return Err(too_large());
        }
        room.take(read)?;
        plain.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
}
