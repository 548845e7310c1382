//! Against the real Kubernetes API server of this project, in this process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod faults;
mod humio;
mod lab;
mod lock;
mod logs;
mod operator;
mod pods;
mod secrets;
