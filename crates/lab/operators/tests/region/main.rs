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
mod strimzi;
mod vendor;

/// A region whose pods are only said to be there.
type Region = backstay_testkit::kubernetes::Region<agent::Agent>;
