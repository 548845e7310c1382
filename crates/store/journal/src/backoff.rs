//! How long to wait before the same call is made again.

use std::time::Duration;

use rand::RngExt;

const FIRST_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Doubling waits with jitter, so that writers which failed together do not come back together.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// How often [`Backoff::wait`] was called.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    pub(crate) async fn wait(&mut self) {
        let wait = FIRST_DELAY
            .saturating_mul(1 << self.tries.min(10))
            .min(MAX_DELAY);
        self.tries = self.tries.saturating_add(1);
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(wait.mul_f64(jitter)).await;
    }
}
