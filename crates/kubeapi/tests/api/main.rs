//! The server as its clients see it: real `kubectl`, and kube-rs.

mod agent;
mod churn;
mod durable;
mod kubectl;
mod pod;
mod processes;
mod region;
mod rules;
