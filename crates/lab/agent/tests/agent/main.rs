//! The node agent as its users see it: a real API server in this process, real `kubectl`, and
//! pods whose programs are those of any machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod deletion;
mod environment;
mod exec;
mod killed;
mod logs;
mod many;
mod probes;
mod refused;
mod region;
mod restarts;
mod volumes;
