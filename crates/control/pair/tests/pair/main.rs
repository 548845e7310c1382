//! A pair's file, what is derived from it, and whether Kubernetes and Terraform take it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod cases;
mod golden;
mod kubectl;
mod readers;
mod terraform;
