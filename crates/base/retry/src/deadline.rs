//! Until when a call may go on.

use std::time::Duration;

use tokio::time::Instant;

/// A deadline no clock can express is this far away.
const FARTHEST: Duration = Duration::from_secs(86_400 * 365);

/// When a call must have come to its end, its retries included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(span: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(span).unwrap_or_else(|| now + FARTHEST))
    }

    /// What is left; zero when it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// This deadline, or one so long from now if that is earlier.
    #[must_use]
    pub fn within(self, span: Duration) -> Self {
        self.min(Self::after(span))
    }
}
