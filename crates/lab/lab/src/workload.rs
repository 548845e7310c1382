//! What is sent, how it is sent until it is acknowledged, and what must be found afterwards.
//!
//! Every event has an identity: the name of the run and a number. [`lines`] gives the log lines,
//! [`feed`] makes them into batches with identities, [`sender`] sends each batch until it is
//! acknowledged, [`ledger`] remembers what was sent and acknowledged, and [`verdict`] compares
//! that with what a search finds.

pub mod feed;
pub mod ledger;
pub mod lines;
pub mod sender;
pub mod verdict;

/// The field of an event that carries its identity.
pub const IDENTITY_FIELD: &str = "drill_id";

/// The name of one run. It makes identities of different runs different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName(String);

impl RunName {
    /// The name of the run with this seed, started at this time (milliseconds since 1970): two
    /// runs with the same seed send the same lines but are still told apart.
    pub fn new(seed: u64, started_ms: i64) -> Self {
        Self(format!(
            "{:08x}",
            (seed ^ (started_ms as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)) as u32
        ))
    }

    /// The name as it is part of every line's identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identity of an event.
    pub fn identity(&self, number: u64) -> String {
        format!("{}-{number:010}", self.0)
    }

    /// The number in an identity of this run.
    pub fn number(&self, identity: &str) -> Option<u64> {
        let digits = identity.strip_prefix(self.0.as_str())?.strip_prefix('-')?;
        // `parse` alone would take "+7" for a second spelling of 7.
        if digits.len() < 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    }

    /// The idempotency key of a batch.
    pub fn batch_key(&self, batch: u64) -> String {
        format!("{}-batch-{batch}", self.0)
    }
}

#[cfg(test)]
mod tests;
