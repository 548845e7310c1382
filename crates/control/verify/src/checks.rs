//! The checks: pure functions from what was seen to what is found.

mod azure;
mod certificate;
mod region;
mod secrets;
mod variables;

pub(crate) use azure::{alert, endpoints, traffic_manager};
pub(crate) use certificate::certificate;
pub(crate) use region::{
    awake_or_asleep, clean, kafka, node_is_declared, nodes, operator, permissions, services,
    versions,
};
pub(crate) use secrets::{secrets, secrets_equal};
pub(crate) use variables::{environment, recovery_variables};

#[cfg(test)]
mod tests;
