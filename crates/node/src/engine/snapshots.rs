//! Writing the state down, so that a start reads one object and the end of a stream.

use backstay_failpoint::hit;
use backstay_global::{State, snapshot};
use backstay_journal::{StoreError, StreamId};

use super::running::Running;

/// Why the state was not written down.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The snapshot cannot be written, or an old one not deleted.
    #[error(transparent)]
    Snapshot(#[from] snapshot::SnapshotError),
    /// The stream `global` cannot be trimmed.
    #[error(transparent)]
    Trim(#[from] StoreError),
}

impl SnapshotError {
    /// Whether the same may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Snapshot(error) => error.is_retryable(),
            Self::Trim(error) => error.is_retryable(),
        }
    }
}

impl Running {
    /// Writes a snapshot to the bucket and the data folder, deletes those that are too many, and
    /// trims `global` below the oldest one that stays.
    pub(crate) async fn snapshot(&self) -> Result<(), SnapshotError> {
        let state = self.global.read(State::clone);
        hit("node.snapshot.before_write");
        snapshot::write(&self.bucket, &state).await?;
        hit("node.snapshot.after_write");
        self.metrics.snapshots.inc();
        let kept = self.config.tuning.snapshots_kept;
        let oldest = snapshot::prune(&self.bucket, &state.cluster_id, kept).await?;
        hit("node.snapshot.after_prune");
        // Not below the newest: should that one be damaged, an older one and the stream still
        // lead to the same state.
        if let Some(oldest) = oldest {
            let trimmed = self.journal.trim(StreamId::Global, oldest).await?;
            self.metrics.trimmed.inc_by(trimmed.deleted);
        }
        hit("node.snapshot.after_trim");
        // Last: a data folder that is full must not let the bucket fill up too.
        snapshot::mirror(&self.config.data_dir, &state).await?;
        Ok(())
    }

    /// Writes the state to the data folder only.
    pub(crate) async fn mirror(&self) -> Result<(), SnapshotError> {
        let state = self.global.read(State::clone);
        snapshot::mirror(&self.config.data_dir, &state).await?;
        Ok(())
    }
}
