//! Attempts until the deadline.
//!
//! The object store client has retries of its own; they are switched off. They know no deadline
//! that covers an attempt which hangs, do not repeat a put-if-absent that timed out, and cannot be
//! told apart in their error.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::fault::{Stop, Verdict, judge};
use crate::{BucketConfig, Error, Source};

const FIRST_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(2);
/// So many attempts fit into the deadline when each of them hangs.
const MAX_HANGING_ATTEMPTS: u32 = 3;
/// What a slow line is granted beyond the deadline, for each MiB.
const DEADLINE_PER_MIB: Duration = Duration::from_secs(1);

/// The attempts of one operation.
pub(crate) struct Attempts<'a> {
    config: &'a BucketConfig,
    object: &'a str,
    started: Instant,
    end: Instant,
    each: Duration,
    made: u32,
    last: Option<Source>,
}

impl<'a> Attempts<'a> {
    /// Attempts to move about `bytes` bytes.
    pub(crate) fn new(config: &'a BucketConfig, object: &'a str, bytes: u64) -> Self {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let extra = DEADLINE_PER_MIB.saturating_mul(mib);
        let total = config.deadline.saturating_add(extra);
        let started = Instant::now();
        let each = match config.provider {
            // A folder's calls run to their end in a thread of their own, even when nobody waits
            // for them any more: a second attempt would only occupy a second thread.
            crate::Provider::Local { .. } => total,
            _ => (config.deadline / MAX_HANGING_ATTEMPTS).saturating_add(extra),
        };
        Self {
            config,
            object,
            started,
            // A deadline that no clock can express is none.
            end: started
                .checked_add(total)
                .unwrap_or(started + Duration::from_secs(86_400 * 365)),
            each,
            made: 0,
            last: None,
        }
    }

    /// Whether an attempt was made whose outcome is unknown to the caller.
    pub(crate) fn repeated(&self) -> bool {
        self.made > 1
    }

    /// One attempt. `Ok(None)`: it failed, but another one may succeed; the pause is over.
    pub(crate) async fn once<T>(
        &mut self,
        attempt: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, Stop> {
        self.made = self.made.saturating_add(1);
        let limit = self
            .end
            .min(Instant::now().checked_add(self.each).unwrap_or(self.end));
        let source = match timeout_at(limit, attempt).await {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(error)) => match judge(self.config, self.object, error) {
                Verdict::Stop(stop) => return Err(stop),
                Verdict::Again(source) => source,
            },
            // What an earlier attempt met says more than that the last one hung.
            Err(_) => self.last.take().unwrap_or_else(|| "no answer".into()),
        };
        self.rest(source).await?;
        Ok(None)
    }

    /// The pause after an attempt that came to nothing because of `source`, if there is time for
    /// another one.
    pub(crate) async fn rest(&mut self, source: Source) -> Result<(), Stop> {
        let pause = self.pause();
        tracing::debug!(object = self.object, attempt = self.made, %source, ?pause, "trying again");
        if Instant::now() + pause >= self.end {
            return Err(Stop::Error(self.unreachable(source)));
        }
        self.last = Some(source);
        sleep(pause).await;
        Ok(())
    }

    /// Attempts until one succeeds, fails for good, or the deadline has passed.
    pub(crate) async fn run<T, F>(&mut self, mut attempt: impl FnMut() -> F) -> Result<T, Stop>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        loop {
            if let Some(done) = self.once(attempt()).await? {
                return Ok(done);
            }
        }
    }

    /// The one attempt of an operation that cannot be repeated.
    pub(crate) async fn run_once<T>(
        &mut self,
        attempt: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Stop> {
        let source = match timeout_at(self.end, attempt).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => match judge(self.config, self.object, error) {
                Verdict::Stop(stop) => return Err(stop),
                Verdict::Again(source) => source,
            },
            Err(_) => "no answer".into(),
        };
        Err(Stop::Error(self.unreachable(source)))
    }

    fn unreachable(&self, source: Source) -> Error {
        Error::Unreachable {
            endpoint: self.config.endpoint(),
            object: self.object.to_owned(),
            waited: self.started.elapsed(),
            source,
        }
    }

    /// Between half and the whole of a span that doubles: a store that comes back is not met by
    /// all its clients in the same instant.
    fn pause(&self) -> Duration {
        let doubled = FIRST_DELAY.saturating_mul(1 << (self.made - 1).min(16));
        doubled
            .min(MAX_DELAY)
            .mul_f64(rand::random_range(0.5..=1.0))
    }
}
