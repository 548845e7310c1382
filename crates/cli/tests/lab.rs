//! A lab as a person has it: the real binary, driven by real `kubectl` and `curl`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]
#![cfg(target_os = "linux")]

#[path = "lab/calls.rs"]
mod calls;
#[path = "lab/crowd.rs"]
mod crowd;
#[path = "lab/disasters.rs"]
mod disasters;
#[path = "lab/hand.rs"]
mod hand;
#[path = "lab/promotion.rs"]
mod promotion;
#[path = "lab/runbook.rs"]
mod runbook;
#[path = "lab/usage.rs"]
mod usage;
#[path = "lab/world.rs"]
mod world;
