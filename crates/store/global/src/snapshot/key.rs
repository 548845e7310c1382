//! The names of snapshot objects.

use std::fmt;

use crate::snapshot::PREFIX;
use crate::state::{EpochOffset, State};

const FILE_NAME: &str = "global-snapshot.json";

/// The name of a snapshot: `globalsnapshots/<cluster id>/<epoch>-<offset>/global-snapshot.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotKey {
    /// The cluster whose state it is.
    pub cluster_id: String,
    /// Where that state stands.
    pub position: EpochOffset,
}

impl SnapshotKey {
    /// The name of a snapshot of this state.
    pub fn of(state: &State) -> Self {
        Self {
            cluster_id: state.cluster_id.clone(),
            position: state.position(),
        }
    }

    /// Reads a name; `None` if it is not a snapshot's.
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(PREFIX)?.split('/');
        let (cluster_id, position, file) = (parts.next()?, parts.next()?, parts.next()?);
        if cluster_id.is_empty() || file != FILE_NAME || parts.next().is_some() {
            return None;
        }
        let (epoch, offset) = position.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !digits(epoch) || !digits(offset) {
            return None;
        }
        let key = Self {
            cluster_id: cluster_id.to_owned(),
            position: EpochOffset {
                epoch: epoch.parse().ok()?,
                offset: offset.parse().ok()?,
            },
        };
        Some(key)
    }
}

impl fmt::Display for SnapshotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EpochOffset { epoch, offset } = self.position;
        write!(
            f,
            "{PREFIX}{}/{epoch}-{offset:020}/{FILE_NAME}",
            self.cluster_id
        )
    }
}
