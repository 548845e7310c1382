//! How long to pause.

use std::time::Duration;

/// How long to pause before the next attempt, and how long one attempt may take.
///
/// The figures are those of the vendor's failover function: three tries, 1 s at first, 30 s at
/// most, ±25 %. Instead of counting tries, a deadline ends them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    /// The longest pause, before jitter.
    pub longest: Duration,
    /// By which part a pause is shortened or lengthened at random; 0.25 is ±25 %.
    pub jitter: f64,
    /// How long one attempt may take: one that hangs must not use up the deadline.
    pub attempt: Duration,
}

impl Policy {
    /// The policy of everything that is called over a network.
    pub const STANDARD: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
        jitter: 0.25,
        attempt: Duration::from_secs(10),
    };

    /// The pause after `failed` attempts, with jitter.
    pub fn jittered(&self, failed: u32) -> Duration {
        self.pause(failed, rand::random(), None)
    }

    /// The pause after `failed` attempts (1 is the first pause). `random` is in 0..=1. The service's
    /// own wish is never undercut; jitter only lengthens it.
    pub fn pause(&self, failed: u32, random: f64, wish: Option<Duration>) -> Duration {
        let random = if random.is_finite() {
            random.clamp(0.0, 1.0)
        } else {
            0.5
        };
        let jitter = if self.jitter.is_finite() {
            self.jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let doubled = self
            .first
            .saturating_mul(1_u32 << failed.saturating_sub(1).min(31))
            .min(self.longest);
        let own = scaled(doubled, 1.0 - jitter + 2.0 * jitter * random);
        match wish {
            None => own,
            Some(wish) => own.max(scaled(wish, 1.0 + jitter * random)),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::STANDARD
    }
}

fn scaled(span: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
