//! The controllers and operators in a region: a real API server, real `kubectl`, and a stand-in
//! for the node agent that only says that pods are ready and removes those that go.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod agent;
mod controllers;
mod cut;
mod ground;
mod humio;
mod kills;
mod lab;
mod processes;
// The region of the API server's own tests, with the agent and the processes from here.
#[allow(dead_code)]
#[path = "../../../kubeapi/tests/api/region.rs"]
mod region;
#[path = "../../../kubeapi/tests/api/shell.rs"]
mod shell;
mod strimzi;
