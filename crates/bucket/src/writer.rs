//! Writing an object piece by piece.

use bytes::Bytes;

use crate::Result;

/// An object that is being written. It appears in the bucket, whole, when [`finish`] returns; one
/// that is dropped before never appears.
///
/// [`finish`]: ObjectWriter::finish
pub struct ObjectWriter {}

impl ObjectWriter {
    /// Appends.
    ///
    /// # Errors
    /// As [`crate::Bucket::put`].
    pub async fn write(&mut self, _data: Bytes) -> Result<()> {
        todo!()
    }

    /// Makes the object appear.
    ///
    /// # Errors
    /// As [`crate::Bucket::put`].
    pub async fn finish(self) -> Result<()> {
        todo!()
    }

    /// Gives up and removes what was uploaded.
    ///
    /// # Errors
    /// As [`crate::Bucket::put`].
    pub async fn abort(self) -> Result<()> {
        todo!()
    }
}
