//! Waiting for what comes in its own time.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long a test waits for something before it says that it does not come: much longer than it takes
/// on a busy machine.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Looks until there is something to be had; panics with what was seen last when it does not come.
pub async fn until_ok<T, S, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    S: Debug,
    F: Future<Output = Result<T, S>>,
{
    let since = Instant::now();
    loop {
        let seen = match look().await {
            Ok(found) => return found,
            Err(seen) => seen,
        };
        assert!(since.elapsed() < WAIT_TIMEOUT, "{what}: not so: {seen:?}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Looks until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let look = || {
        let asked = is_so();
        async move { asked.await.then_some(()).ok_or(false) }
    };
    until_ok(what, look).await;
}
