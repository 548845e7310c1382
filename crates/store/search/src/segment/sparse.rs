//! The few pieces of a file that were read, as the Parquet reader wants a file.

use std::io::Read;

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// The pieces of a file that were read, by their places, as the Parquet reader wants a file.
pub(super) struct Sparse {
    pub(super) pieces: Vec<(u64, Bytes)>,
    pub(super) size: u64,
}

impl Sparse {
    /// Bytes that lie within one piece.
    pub(super) fn slice(pieces: &[(u64, Bytes)], start: u64, length: u64) -> Option<Bytes> {
        let (offset, bytes) = Self::at(pieces, start)?;
        let from = usize::try_from(start.checked_sub(*offset)?).ok()?;
        let to = from.checked_add(usize::try_from(length).ok()?)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }

    /// The last piece that begins here or before.
    fn at(pieces: &[(u64, Bytes)], start: u64) -> Option<&(u64, Bytes)> {
        let behind = pieces.partition_point(|(offset, _)| *offset <= start);
        pieces.get(behind.checked_sub(1)?)
    }

    fn missing(start: u64) -> ParquetError {
        ParquetError::General(format!("bytes from {start} on were not read"))
    }
}

impl Length for Sparse {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Sparse {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let rest = Self::at(&self.pieces, start).and_then(|(offset, bytes)| {
            let from = usize::try_from(start.checked_sub(*offset)?).ok()?;
            (from < bytes.len()).then(|| bytes.slice(from..))
        });
        let rest = rest.ok_or_else(|| Self::missing(start))?;
        Ok(Box::new(rest.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Self::slice(&self.pieces, start, length as u64).ok_or_else(|| Self::missing(start))
    }
}
