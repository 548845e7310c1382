//! Whole regions under faults: nodes as processes, clients that send all the time, buckets that are
//! folders or containers in a real Azurite.
//!
//! What the engine's own tests do within one process is done here from outside, with signals,
//! damaged objects, cut lines, full disks and clocks that jump.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

mod world;

#[path = "regions/back.rs"]
mod back;
#[path = "regions/clock.rs"]
mod clock;
#[path = "regions/cluster.rs"]
mod cluster;
#[path = "regions/damage.rs"]
mod damage;
#[path = "regions/disk.rs"]
mod disk;
#[path = "regions/hops.rs"]
mod hops;
#[path = "regions/line.rs"]
mod line;
#[path = "regions/secrets.rs"]
mod secrets;
