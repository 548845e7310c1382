//! Failover in a lab, end to end: `backstay watch`, `backstay failover` and `backstay status` as
//! processes, against regions that die, are cut off, or freeze.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]
#![cfg(target_os = "linux")]

#[path = "failover/alerts.rs"]
mod alerts;
#[path = "failover/by_hand.rs"]
mod by_hand;
#[path = "failover/clients.rs"]
#[allow(dead_code)]
mod clients;
#[path = "failover/control.rs"]
#[allow(dead_code)]
mod control;
#[path = "failover/ended.rs"]
mod ended;
#[path = "failover/story.rs"]
mod story;
#[path = "lab/world.rs"]
#[allow(dead_code)]
mod world;
