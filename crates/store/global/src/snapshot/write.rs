//! Writing a snapshot object: one thread makes and packs the text, the bucket takes it piece by
//! piece, so that neither text nor object is ever in memory as a whole.

use std::io::{self, BufWriter, Write};

use backstay_bucket::Bucket;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::snapshot::{SnapshotError, SnapshotKey, SnapshotRef, document};
use crate::state::State;

/// zstd's level: snapshots are written every few minutes and read in a hurry.
pub const COMPRESSION_LEVEL: i32 = 3;

/// Bytes of one piece.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces on their way from the packer to the bucket.
const MAX_QUEUED_PIECES: usize = 4;

/// Writes the state to the bucket. The name follows from its cluster and position; whoever writes
/// the same position writes the same state.
///
/// # Errors
/// When the bucket does not take it; then there is no object, or the whole one.
pub async fn write(bucket: &Bucket, state: &State) -> Result<SnapshotRef, SnapshotError> {
    let key = SnapshotKey::of(state);
    let object = key.to_string();
    let (pieces, mut packed) = mpsc::channel(MAX_QUEUED_PIECES);
    let state = state.clone();
    let packer = tokio::task::spawn_blocking(move || pack(&state, pieces));
    backstay_failpoint::hit("snapshot.write.before_put");
    let mut writer = bucket.put_stream(&object).await?;
    let mut size = 0;
    while let Some(piece) = packed.recv().await {
        size += piece.len() as u64;
        if let Err(error) = writer.write(piece).await {
            // The first error says why; that the rest could not be cleaned up says nothing more.
            let _ = writer.abort().await;
            return Err(error.into());
        }
    }
    // The channel also closes when the packer fails; only its own answer says that all is there.
    let failed = match packer.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(detail) = failed {
        let _ = writer.abort().await;
        return Err(SnapshotError::Worker { object, detail });
    }
    backstay_failpoint::hit("snapshot.write.before_finish");
    writer.finish().await?;
    backstay_failpoint::hit("snapshot.write.after_finish");
    Ok(SnapshotRef {
        key,
        size,
        modified: chrono::Utc::now(),
    })
}

fn pack(state: &State, pieces: mpsc::Sender<Bytes>) -> io::Result<()> {
    let out = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces));
    let mut zstd = zstd::Encoder::new(out, COMPRESSION_LEVEL)?;
    // A piece that is cut off at a frame's end would unpack without complaint otherwise.
    zstd.include_checksum(true)?;
    {
        let mut text = BufWriter::with_capacity(64 << 10, &mut zstd);
        document::write(state, &mut text)?;
        text.flush()?;
    }
    zstd.finish()?.flush()
}

struct Pieces(mpsc::Sender<Bytes>);

impl Write for Pieces {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Bytes::copy_from_slice(piece))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload was given up"))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
