//! Segments on the local disk, so that a search reads the bucket once for each.
//!
//! The cache holds whole segments as files of its folder, as many as fit; the one that was used
//! longest ago goes first. It survives restarts: the name of a file has the segment's identity and
//! checksum, and a file from an earlier run is checked against it before it is first used. A disk
//! that is full or broken makes searches slower, not wrong: they read the bucket then.

mod store;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::memory::MemoryPool;
use crate::source::{SegmentSource, SourceError};
use store::Store;

/// Segments on the local disk. Cheap to clone; clones share the folder.
#[derive(Clone)]
pub struct DiskCache {
    store: Arc<Store>,
    /// For segments on their way to the disk.
    memory: Arc<dyn MemoryPool>,
}

impl DiskCache {
    /// Opens a folder of its own; what is in it from an earlier run is used again. The files take
    /// `max_bytes` at most, besides those that are being written. A segment on its way to the disk
    /// takes of `memory`.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub async fn new(
        dir: PathBuf,
        max_bytes: u64,
        memory: Arc<dyn MemoryPool>,
    ) -> std::io::Result<Self> {
        let store = tokio::task::spawn_blocking(move || Store::open(dir, max_bytes)).await;
        Ok(Self {
            store: Arc::new(store.map_err(std::io::Error::other)??),
            memory,
        })
    }

    /// The same segment, read from the disk once it was brought there ([`SegmentSource::bring`]); a
    /// segment larger than the cache is read from `source` always.
    pub fn wrap(&self, source: Arc<dyn SegmentSource>) -> Arc<dyn SegmentSource> {
        Arc::new(Cached {
            store: self.store.clone(),
            memory: self.memory.clone(),
            source,
            size: OnceCell::new(),
        })
    }

    /// Bytes of the files that it holds.
    pub fn bytes(&self) -> u64 {
        self.store.bytes()
    }
}

struct Cached {
    store: Arc<Store>,
    memory: Arc<dyn MemoryPool>,
    source: Arc<dyn SegmentSource>,
    size: OnceCell<u64>,
}

impl Cached {
    /// Bytes of the file in the cache, if it is there.
    async fn on_disk(&self, range: Range<u64>) -> Option<Bytes> {
        let (store, id) = (self.store.clone(), self.source.id().to_owned());
        let read = tokio::task::spawn_blocking(move || store.read(&id, range));
        read.await.ok().flatten()
    }

    /// Stores the segment in the cache, if it is not there by now.
    async fn store(&self, size: u64) -> Result<(), SourceError> {
        // Searches that want the same segment wait for the first of them.
        let turn = self.store.turn(self.source.id());
        let _turn = turn.lock().await;
        if self.store.has(self.source.id()) {
            return Ok(());
        }
        let _held = self
            .memory
            .take(usize::try_from(size).unwrap_or(usize::MAX))
            .await;
        let bytes = self.source.read(0..size).await?;
        let (store, id) = (self.store.clone(), self.source.id().to_owned());
        let stored = tokio::task::spawn_blocking(move || store.put(&id, &bytes)).await;
        let problem = match stored {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            folder = %self.store.dir().display(),
            segment = self.source.id(),
            problem,
            "a segment cannot be cached; searches read it from the bucket: free the disk"
        );
        Ok(())
    }
}

#[async_trait]
impl SegmentSource for Cached {
    fn id(&self) -> &str {
        self.source.id()
    }

    fn start_ms(&self) -> i64 {
        self.source.start_ms()
    }

    fn end_ms(&self) -> i64 {
        self.source.end_ms()
    }

    async fn size(&self) -> Result<u64, SourceError> {
        if let Some(size) = self.store.size(self.source.id()) {
            return Ok(size);
        }
        self.size
            .get_or_try_init(|| self.source.size())
            .await
            .copied()
    }

    async fn bring(&self) -> Result<(), SourceError> {
        // A file that was lost, or is no longer what it was, is noticed here.
        if self.on_disk(0..0).await.is_some() || self.store.gave_up(self.source.id()) {
            return Ok(());
        }
        let size = self.size().await?;
        if size <= self.store.max_bytes() {
            self.store(size).await
        } else {
            Ok(())
        }
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        match self.on_disk(range.clone()).await {
            Some(bytes) => Ok(bytes),
            None => self.source.read(range).await,
        }
    }

    fn repository(&self) -> Option<Arc<str>> {
        self.source.repository()
    }
}
