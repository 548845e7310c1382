//! What the tests of several crates share: generators of hostile input, suites that every backend must
//! pass, real tools that judge, and ways to wait. Nothing but tests may depend on it.
//!
//! It is a part of tests, so it panics where they would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

#[cfg(feature = "hostile")]
pub mod hostile;
#[cfg(feature = "journal")]
pub mod journal;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod machine;
pub mod promtool;
mod wait;

pub use machine::{can_isolate, is_ci, is_installed, root, skip, skip_even_on_ci};
pub use wait::{WAIT_TIMEOUT, until, until_ok};
