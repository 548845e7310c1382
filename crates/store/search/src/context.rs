//! What the parts of one search have in common: where its memory comes from, the threads that
//! compute for it, and whether anybody still waits for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use crate::memory::{Held, Resources};
use crate::segment::Damage;
use crate::{SearchError, work};

/// What the parts of one search have in common. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) resources: Resources,
    pub(crate) stop: Stop,
}

impl Context {
    pub(crate) fn new(resources: Resources) -> Self {
        Self {
            resources,
            stop: Stop::default(),
        }
    }

    /// Nothing yet of what is held for long.
    pub(crate) fn rows(&self, limit: usize) -> Held {
        Held::nothing(&*self.resources.rows, limit)
    }

    /// Waits for memory for rows that a client takes. Only for who holds nothing of it.
    pub(crate) async fn export(&self, bytes: usize) -> Held {
        Held::of(self.resources.exports.take(bytes).await, bytes)
    }

    /// Waits for memory for columns. Only within [`Context::on_its_own`].
    pub(crate) async fn columns(&self, bytes: usize) -> Held {
        Held::of(self.resources.columns.take(bytes).await, bytes)
    }

    /// Computes on one of the threads for it, when there is one.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, SearchError> {
        self.blocking(work).await?.unwrap_or_else(|| {
            Err(SearchError::Stopped {
                detail: "its thread gave up".to_owned(),
            })
        })
    }

    /// The same over the bytes of a segment. A panic in a decoder is an error of the bytes.
    pub(crate) async fn decode<T: Send + 'static>(
        &self,
        segment: &str,
        work: impl FnOnce() -> Result<T, Damage> + Send + 'static,
    ) -> Result<T, SearchError> {
        let corrupt = |damage| SearchError::Corrupt {
            segment: segment.to_owned(),
            damage,
        };
        match self.blocking(work).await? {
            Some(result) => result.map_err(corrupt),
            None => Err(corrupt(Damage::Decoder)),
        }
    }

    /// `None` when the work has panicked.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, SearchError> {
        // The semaphore is never closed.
        let turn = self.resources.threads.clone().acquire_owned().await.ok();
        self.stop.check()?;
        let work = work::carried(work);
        let thread = tokio::task::spawn_blocking(move || {
            // Until the work has ended, although nobody may wait for it any more.
            let _turn = turn;
            work()
        });
        let result = match thread.await {
            Ok(result) => Some(result),
            Err(error) if error.is_panic() => None,
            Err(error) => {
                return Err(SearchError::Stopped {
                    detail: error.to_string(),
                });
            }
        };
        // What was cut short is not an answer.
        self.stop.check()?;
        Ok(result)
    }

    /// Runs a future to its end whether or not this is polled: what it holds must not wait for a
    /// client that reads slowly. It ends when this is dropped.
    pub(crate) async fn on_its_own<T: Send + 'static>(
        future: impl Future<Output = Result<T, SearchError>> + Send + 'static,
    ) -> Result<T, SearchError> {
        let mut task = AbortOnDrop(tokio::spawn(future));
        (&mut task.0).await.unwrap_or_else(|error| {
            Err(SearchError::Stopped {
                detail: error.to_string(),
            })
        })
    }
}

/// A task that ends with this.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// So many rows are looked at between two questions whether anybody still waits.
pub(crate) const ROWS_BETWEEN_STOP_CHECKS: usize = 256;

/// Says to what computes that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn check(&self) -> Result<(), SearchError> {
        if self.is_set() {
            return Err(SearchError::Stopped {
                detail: "nobody waits for its answer any more".to_owned(),
            });
        }
        Ok(())
    }

    /// The same before row number `row`, now and then.
    pub(crate) fn check_at(&self, row: usize) -> Result<(), SearchError> {
        match row % ROWS_BETWEEN_STOP_CHECKS {
            0 => self.check(),
            _ => Ok(()),
        }
    }

    /// Is set when the answer is dropped.
    pub(crate) fn at_end(&self) -> StopAtEnd {
        StopAtEnd(self.clone())
    }
}

/// Sets a [`Stop`] when it is dropped.
#[derive(Debug)]
pub(crate) struct StopAtEnd(Stop);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
