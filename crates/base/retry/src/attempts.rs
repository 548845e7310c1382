//! Attempts until the deadline.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::{Classify, Deadline, Policy, Verdict};

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The last error would only be repeated.
    Final,
    /// There is no time left for one.
    Deadline,
    /// The service wants to be left alone for so long, and the deadline comes before that.
    Wish(Duration),
}

/// A call that did not succeed.
#[derive(Debug)]
pub struct Failed<E> {
    /// The last error; none when no attempt came to an end.
    pub last: Option<E>,
    /// How many attempts were made.
    pub attempts: u32,
    /// How long it all took.
    pub waited: Duration,
    /// Why no further attempt was made.
    pub ended: Ended,
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.last {
            Some(last) => write!(f, "{last}")?,
            None => f.write_str("no answer")?,
        }
        let plural = if self.attempts == 1 { "" } else { "s" };
        let seconds = self.waited.as_secs_f64();
        match self.ended {
            Ended::Final if self.attempts <= 1 => Ok(()),
            Ended::Final | Ended::Deadline => {
                write!(
                    f,
                    " (after {} attempt{plural} in {seconds:.1} s)",
                    self.attempts
                )
            }
            Ended::Wish(wish) => write!(
                f,
                " (it asks for a pause of {} s, which is longer than there is time; {} attempt{plural} in {seconds:.1} s)",
                wish.as_secs(),
                self.attempts
            ),
        }
    }
}

/// Makes attempts until one succeeds, fails for good, or the deadline has passed. An attempt that
/// hangs is given up after [`Policy::attempt`]; whether it took effect is then not known, so only
/// give what may be repeated.
///
/// # Errors
/// With the last error, and how often and how long it was tried.
pub async fn retry<T, E, F>(
    policy: &Policy,
    deadline: Deadline,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failed<E>>
where
    E: Classify + fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let mut attempts: u32 = 0;
    let mut last = None;
    loop {
        let left = deadline.within(policy.attempt);
        attempts = attempts.saturating_add(1);
        let mut after = None;
        let mut verdict = Verdict::AGAIN;
        match timeout_at(left.instant(), attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => {
                verdict = error.verdict();
                tracing::debug!(%error, attempts, ?verdict, "an attempt failed");
                last = Some(error);
            }
            // What an earlier attempt met says more than that this one hung.
            Err(_) => tracing::debug!(attempts, "an attempt hung"),
        }
        let failed = |last, ended| {
            Err(Failed {
                last,
                attempts,
                waited: started.elapsed(),
                ended,
            })
        };
        match verdict {
            Verdict::Final => return failed(last, Ended::Final),
            Verdict::Again { after: wish } => after = wish.or(after),
        }
        let pause = policy.pause(attempts, rand::random(), after);
        if pause >= deadline.left() {
            let ended = match after {
                Some(wish) if wish >= deadline.left() && !deadline.passed() => Ended::Wish(wish),
                _ => Ended::Deadline,
            };
            return failed(last, ended);
        }
        sleep(pause).await;
    }
}
