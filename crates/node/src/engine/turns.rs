//! How many searches run at the same time: the others wait for their turn, for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::api::SearchError;

/// Searches that wait for their turn at the same time.
const MAX_WAITING_SEARCHES: usize = 100;

/// The turns of a node's searches.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    /// Streams last as long as their clients like, so they may not have all turns.
    streams: Arc<Semaphore>,
    waiting: Semaphore,
    most: usize,
    patience: Duration,
}

/// A turn; the next one's when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _stream: Option<OwnedSemaphorePermit>,
    _turn: OwnedSemaphorePermit,
}

impl Turns {
    /// At most so many at the same time; who waits for longer than `patience` is refused.
    pub(crate) fn new(most: usize, patience: Duration) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            streams: Arc::new(Semaphore::new(most.div_ceil(2))),
            waiting: Semaphore::new(MAX_WAITING_SEARCHES),
            most,
            patience,
        }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// When none comes in time, or too many wait.
    pub(crate) async fn take(&self, is_stream: bool) -> Result<Turn, SearchError> {
        let busy = || SearchError::Busy {
            most: if is_stream {
                self.most.div_ceil(2)
            } else {
                self.most
            },
            what: if is_stream {
                "streamed searches"
            } else {
                "searches"
            },
            waited: self.patience,
        };
        let take = async {
            let stream = if is_stream {
                Some(self.turn(&self.streams).await.ok_or_else(busy)?)
            } else {
                None
            };
            let turn = self.turn(&self.all).await.ok_or_else(busy)?;
            Ok(Turn {
                _stream: stream,
                _turn: turn,
            })
        };
        let taken = tokio::time::timeout(self.patience, take).await;
        taken.unwrap_or_else(|_| Err(busy()))
    }

    async fn turn(&self, of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        match of.clone().try_acquire_owned() {
            Ok(turn) => return Some(turn),
            Err(TryAcquireError::Closed) => return None,
            Err(TryAcquireError::NoPermits) => {}
        }
        let _place = self.waiting.try_acquire().ok()?;
        of.clone().acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// Long enough never to pass in a test.
    const LONGER_THAN_A_TEST: Duration = Duration::from_secs(86_400);

    #[tokio::test]
    async fn who_comes_in_time_gets_the_turn_of_one_that_ends() {
        let turns = Arc::new(Turns::new(1, LONGER_THAN_A_TEST));
        let first = turns.take(false).await.unwrap();
        let mut second = Box::pin(turns.take(false));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn without_patience_who_comes_too_late_is_refused() {
        let turns = Turns::new(2, Duration::ZERO);
        let held = [turns.take(false).await, turns.take(true).await];
        let refused = turns.take(false).await.unwrap_err();
        assert!(
            matches!(refused, SearchError::Busy { most: 2, .. }),
            "{refused}"
        );
        drop(held);
        turns.take(false).await.unwrap();
    }

    #[tokio::test]
    async fn streams_leave_turns_to_others() {
        let turns = Turns::new(4, Duration::ZERO);
        let streams = [turns.take(true).await, turns.take(true).await];
        assert!(streams.iter().all(Result::is_ok));
        assert!(turns.take(true).await.is_err());
        let others = [turns.take(false).await, turns.take(false).await];
        assert!(others.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn no_more_wait_than_have_a_place() {
        let turns = Turns::new(1, LONGER_THAN_A_TEST);
        let _first = turns.take(false).await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING_SEARCHES)
            .map(|_| Box::pin(turns.take(false)))
            .collect();
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        assert!(turns.take(false).await.is_err());
        waiting.pop();
        let mut one_more = Box::pin(turns.take(false));
        assert!(futures::poll!(&mut one_more).is_pending());
    }
}
