//! Faults that hit the failover itself, in a lab, end to end: the watch killed at each of its steps, the
//! Resource Manager or the standby's API away, two instances, restarts; and which sickness of a bucket
//! is an outage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]
#![cfg(target_os = "linux")]

#[path = "outage/arm.rs"]
mod arm;
#[path = "outage/away.rs"]
mod away;
#[path = "outage/buckets.rs"]
mod buckets;
#[path = "failover/clients.rs"]
#[allow(dead_code)]
mod clients;
#[path = "failover/control.rs"]
#[allow(dead_code)]
mod control;
#[path = "failover/ended.rs"]
#[allow(dead_code)]
mod ended;
#[path = "outage/instances.rs"]
mod instances;
#[path = "outage/killed.rs"]
mod killed;
#[path = "outage/marks.rs"]
mod marks;
#[path = "outage/secrets.rs"]
mod secrets;
#[path = "lab/world.rs"]
#[allow(dead_code)]
mod world;
