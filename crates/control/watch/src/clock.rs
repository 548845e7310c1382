//! Our own monotonic clock, which goes on while the machine is suspended.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since this clock was made. On Linux it is `CLOCK_BOOTTIME`: `Instant` stands still while
/// the machine is suspended, and a look from before would be taken for a new one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Duration,
}

impl Clock {
    /// A clock that counts from now.
    pub fn start() -> Self {
        Self { began: boot() }
    }

    /// How long ago that was.
    pub fn now(self) -> Duration {
        boot().saturating_sub(self.began)
    }
}

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

fn boot() -> Duration {
    // The clock exists on every kernel that can run this; without one, no time passes, and what
    // waits for time to pass is not done.
    clock_gettime(CLOCK).map_or(Duration::ZERO, Duration::from)
}
