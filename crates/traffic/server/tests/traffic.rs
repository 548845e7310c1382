//! The traffic manager over real sockets: real clients, real endpoints that fail in every way,
//! real kills.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[path = "traffic/alerts.rs"]
mod alerts;
#[path = "traffic/alerts_kill.rs"]
mod alerts_kill;
#[path = "traffic/az.rs"]
mod az;
#[path = "traffic/clients.rs"]
mod clients;
#[path = "traffic/endpoint.rs"]
mod endpoint;
#[path = "traffic/failover.rs"]
mod failover;
#[path = "traffic/faults.rs"]
mod faults;
#[path = "traffic/kill.rs"]
mod kill;
#[path = "traffic/load.rs"]
mod load;
#[path = "traffic/receiver.rs"]
mod receiver;
#[path = "traffic/server.rs"]
mod server;
#[path = "traffic/storage.rs"]
mod storage;
