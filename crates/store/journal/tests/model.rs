//! The protocol of `journal`, checked exhaustively for small bounds.
//!
//! `partition` is a stream with one writer at a time: writers that stall, crash (stall for ever),
//! retry, and see late or repeated answers; sealers that stall in mid-takeover; a trimmer that runs
//! late. `global` is a stream with many writers and stragglers in trimmed ground. For every rule
//! there is a variant of the model without it, in which the checker must find what the rule is
//! there to prevent: a model that finds nothing wrong in anything proves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "model/global.rs"]
mod global;
#[path = "model/partition.rs"]
mod partition;
#[path = "model/partition_checks.rs"]
mod partition_checks;
