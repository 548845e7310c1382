//! The server as its clients see it: real `kubectl`, and kube-rs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod agent;
mod churn;
mod definitions;
mod durable;
mod kubectl;
mod pod;
mod processes;
/// A region whose pods are processes of this machine.
type Region = backstay_testkit::kubernetes::Region<agent::Agent>;
mod rules;
