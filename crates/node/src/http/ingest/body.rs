//! Bodies, read and unpacked within bounds: of one body, and of all that are on their way.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::ApiError;

/// Longest body, as it is sent and unpacked: 32 MiB.
pub(super) const LIMIT: usize = 32 << 20;
/// Memory for bodies on their way, in bytes: 256 MiB.
const ROOM: usize = 256 << 20;
/// A permit of the gate stands for so many bytes.
const UNIT: usize = 1 << 10;
/// What a body takes in memory beside itself: its events.
const FACTOR: usize = 3;

/// Bounds the memory of bodies on their way. Cheap to clone.
pub(super) struct Gate {
    room: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM / UNIT)),
        }
    }
}

impl Gate {
    /// Reads a body. The permit is to be kept for as long as what came of the body is in memory.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), ApiError> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > LIMIT) {
            return Err(too_large());
        }
        let mut room = self.take(announced.unwrap_or(64 << 10))?;
        let mut held = 0;
        let mut read = Vec::with_capacity(announced.unwrap_or(0));
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| {
                ApiError::bad_request(format!("the body broke off: {error}; send it again"))
            })?;
            if read.len() + piece.len() > LIMIT {
                return Err(too_large());
            }
            read.extend_from_slice(&piece);
            // Without a length, room is taken as it comes.
            if announced.is_none() && read.len() > held + (64 << 10) {
                room.merge(self.take(read.len() - held)?);
                held = read.len();
            }
        }
        if let Some(more) = unpacked_guess(headers, read.len()) {
            room.merge(self.take(more)?);
        }
        Ok((read.into(), room))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let units = (bytes * FACTOR).div_ceil(UNIT).clamp(1, ROOM / UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        self.room
            .clone()
            .try_acquire_many_owned(units)
            .map_err(|_| {
                ApiError::too_many(
                    "this node has as many bytes on their way as it can hold; send the batch again",
                )
            })
    }
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

/// Room for what a packed body becomes: ten times is what logs shrink by. One that unpacks to
/// more is still bounded by [`LIMIT`].
fn unpacked_guess(headers: &HeaderMap, length: usize) -> Option<usize> {
    (encoding(headers) != "identity").then(|| (length * 10).min(LIMIT))
}

/// Undoes `Content-Encoding`: gzip, deflate, zstd.
pub(super) async fn unpack(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    let encoding = encoding(headers).to_ascii_lowercase();
    if encoding.is_empty() || encoding == "identity" {
        return Ok(body);
    }
    let unpacking = tokio::task::spawn_blocking(move || unpack_now(&encoding, &body));
    unpacking
        .await
        .map_err(|error| ApiError::internal(format!("the body could not be unpacked: {error}")))?
}

fn unpack_now(encoding: &str, body: &[u8]) -> Result<Bytes, ApiError> {
    let wrong = |error: std::io::Error| {
        ApiError::bad_request(format!(
            "the body is not what `Content-Encoding: {encoding}` says: {error}"
        ))
    };
    match encoding {
        "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body), wrong),
        "deflate" => bounded(flate2::read::ZlibDecoder::new(body), wrong),
        "zstd" => bounded(
            zstd::stream::read::Decoder::with_buffer(body).map_err(wrong)?,
            wrong,
        ),
        _ => Err(ApiError::bad_request(
            "this Content-Encoding is not known; send gzip, zstd, deflate or identity",
        )),
    }
}

fn bounded(
    unpacked: impl Read,
    wrong: impl Fn(std::io::Error) -> ApiError,
) -> Result<Bytes, ApiError> {
    let mut plain = Vec::new();
    let most = LIMIT as u64 + 1;
    unpacked.take(most).read_to_end(&mut plain).map_err(wrong)?;
    if plain.len() > LIMIT {
        return Err(too_large());
    }
    Ok(plain.into())
}
