//! The runbook in a lab, end to end: `backstay promote`, `failback`, `clean-secondary` and `runs` as
//! processes, with clients that go on all the while.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]
#![cfg(target_os = "linux")]

#[path = "runbook/by_hand.rs"]
mod by_hand;
#[path = "lab/calls.rs"]
#[allow(dead_code)]
mod calls;
#[path = "failover/clients.rs"]
#[allow(dead_code)]
mod clients;
#[path = "failover/control.rs"]
#[allow(dead_code)]
mod control;
#[path = "lab/crowd.rs"]
mod crowd;
#[path = "lab/hand.rs"]
mod hand;
#[path = "runbook/killed.rs"]
mod killed;
#[path = "runbook/operators.rs"]
mod operators;
#[path = "runbook/promoted.rs"]
mod promoted;
#[path = "runbook/refused.rs"]
mod refused;
#[path = "runbook/rounds.rs"]
mod rounds;
#[path = "runbook/sender.rs"]
mod sender;
#[path = "runbook/skipped.rs"]
mod skipped;
#[path = "runbook/state.rs"]
mod state;
#[path = "lab/world.rs"]
#[allow(dead_code)]
mod world;
