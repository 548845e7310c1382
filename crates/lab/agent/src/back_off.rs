//! How long a container that ended waits before it is started again.

use std::time::Duration;

/// The kubelet's rule: the first restart is at once, the next after `base`, each further one after
/// twice as long, up to `cap`; whoever ran for `reset` starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The wait before the second restart.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// A container that ran for so long is no longer taken for one that crashes.
    pub reset: Duration,
}

impl BackOff {
    /// What the kubelet has: `MaxContainerBackOff` and `backOffPeriod` in `pkg/kubelet/kubelet.go`.
    pub const KUBELET: Self = Self {
        base: Duration::from_secs(10),
        cap: Duration::from_secs(300),
        reset: Duration::from_secs(600),
    };

    /// The wait after a run that took `ran`; `last` is the wait before that run, `None` where it
    /// was the first.
    pub(crate) fn after(&self, last: Option<Duration>, ran: Duration) -> Duration {
        match last {
            _ if ran >= self.reset => Duration::ZERO,
            None => Duration::ZERO,
            Some(Duration::ZERO) => self.base.min(self.cap),
            Some(last) => last.saturating_mul(2).min(self.cap),
        }
    }
}

#[cfg(test)]
mod tests;
