//! Against the real Kubernetes API server of this project, in this process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod deployed;
mod faults;
mod humio;
mod kafka_state;
mod lab;
mod lock;
mod logs;
mod operator;
mod pod_http;
mod pods;
mod records;
mod secrets;
mod services;
