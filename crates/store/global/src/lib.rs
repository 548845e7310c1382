//! The cluster's metadata: what it is, how it changes, how it is written down, and how another
//! cluster's is taken over.
//!
//! - [`State`] is everything but events, in memory, on every node; [`entity`] and [`segment`] are
//!   what it consists of.
//! - [`Event`]s in the journal's stream `global` change it, and nothing else does; [`GlobalLog`]
//!   follows that stream and commits to it.
//! - [`snapshot`] writes the state to the bucket and the data folder and reads it again, a million
//!   segments in seconds.
//! - [`recovery`] finds the state to start from: the cluster's own, or, for a standby, that of the
//!   cluster whose region died, patched for this one. Its log lines are those of
//!   `DataSnapshotLoader`, which operators know.
//! - [`credentials`] keeps how the buckets of others are opened.
//! - [`identity`] says whose bucket a bucket is.

pub mod credentials;
pub mod entity;
pub mod event;
pub mod identity;
mod log;
pub mod raw;
pub mod recovery;
pub mod segment;
pub mod snapshot;
mod state;
mod store;

pub use entity::{
    Alert, BucketEntity, Dashboard, Host, HostId, IngestToken, Organization, Parser, Partition,
    RecoveredTail, RecoveryRecord, Repository, RepositoryId, TermBelow, User, View, ViewConnection,
    WindowIndex,
};
pub use event::Event;
pub use log::{CommitError, Committed, GlobalLog};
pub use raw::Extra;
pub use segment::{NO_BUCKET, Segment, SegmentId, SegmentRef, SegmentRest, SegmentSet};
pub use state::{EpochOffset, Pending, Reject, State};
pub use store::journal_over;
