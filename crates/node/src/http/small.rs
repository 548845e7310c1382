//! The bodies of requests that are no events: searches and administration.

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;

use super::error::ApiError;
use crate::Engine;
use crate::memory::{MemoryPermit, MemoryUse};

/// Reads a body of at most `longest` bytes. Takes memory for what has come of it, not for what is
/// announced.
pub(super) async fn read(
    engine: &Engine,
    kind: MemoryUse,
    longest: usize,
    body: Body,
) -> Result<(Bytes, MemoryPermit), ApiError> {
    let mut held = engine.memory().nothing(kind);
    let mut read = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            ApiError::bad_request(format!("the request cannot be read: {error}"))
        })?;
        if read.len() + piece.len() > longest {
            return Err(ApiError::too_large(format!(
                "the request is longer than {longest} bytes; send a shorter one"
            )));
        }
        // A vector that grows is there twice for a moment.
        held.grow(2 * piece.len())?;
        read.extend_from_slice(&piece);
    }
    Ok((read.into(), held))
}
