//! The engine over folder buckets, several in one process: each on a runtime and a thread of its
//! own, so that one can be dropped or frozen while the others go on.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "engine/chain.rs"]
mod chain;
#[path = "engine/cluster.rs"]
mod cluster;
#[path = "engine/damage.rs"]
mod damage;
#[path = "engine/generators.rs"]
mod generators;
#[path = "engine/host.rs"]
mod host;
#[path = "engine/import.rs"]
mod import;
#[path = "engine/isolation.rs"]
mod isolation;
#[path = "engine/older.rs"]
mod older;
#[path = "engine/reading.rs"]
mod reading;
#[path = "engine/recovery.rs"]
mod recovery;
#[path = "engine/restart.rs"]
mod restart;
#[path = "query/server.rs"]
mod server;
#[path = "engine/takeover.rs"]
mod takeover;
#[path = "engine/window.rs"]
mod window;
#[path = "engine/wire.rs"]
mod wire;
