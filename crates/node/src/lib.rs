//! The server of the data half: it takes events over HTTP, keeps them in a bucket and finds them.
//!
//! [`engine`] knows nothing of HTTP: start-up and recovery, the ownership of partitions, ingest
//! into the journal, tails, segments, snapshots. [`http`] translates LogScale's API into calls of
//! the [`Engine`]. [`Node`] puts the two together: it listens (and answers 503) before recovery
//! ends, so that a probe sees a node that works on it instead of a refused connection.

mod bootstrap;
pub mod config;
pub mod engine;
pub mod http;
pub mod memory;
pub mod metrics;
mod node;
mod own_log;

pub use bootstrap::{NotAHash, RootToken, RootTokenError, RootTokenHash};
pub use config::{ConfigError, NodeConfig, Roles};
pub use engine::{
    Accepted, Engine, EngineError, IdempotencyKey, IngestError, IngestTokenInfo, Phase,
    RepositoryName, SearchError, Status, StatusPart, events_in_record,
};
pub use memory::MemoryBudget;
pub use metrics::Metrics;
pub use node::{Node, NodeError};
pub use own_log::{Line as OwnLogLine, OwnLog, OwnLogLines, own_log};

/// What a node says that it is, wherever it is asked: the version of LogScale whose contract with its
/// operator it keeps, since programs compare that, and then its own.
pub const VERSION: &str = concat!("1.224.0--backstay-", env!("CARGO_PKG_VERSION"));
