//! Counts work in tests, so that they can say that it grows with the bytes and no faster; seconds
//! depend on the machine. Elsewhere nothing is counted.

#[cfg(test)]
use std::cell::RefCell;
#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
thread_local! {
    static COUNTER: RefCell<Option<Arc<AtomicU64>>> = const { RefCell::new(None) };
}

/// Counts that this many bytes, or entries, were looked at.
#[inline]
pub(crate) fn add(_amount: usize) {
    #[cfg(test)]
    COUNTER.with_borrow(|counter| {
        if let Some(counter) = counter {
            counter.fetch_add(_amount as u64, Ordering::Relaxed);
        }
    });
}

/// Work for another thread, counted where this thread's is.
pub(crate) fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    #[cfg(test)]
    let counter = COUNTER.with_borrow(Clone::clone);
    move || {
        #[cfg(test)]
        COUNTER.set(counter);
        let result = work();
        #[cfg(test)]
        COUNTER.set(None);
        result
    }
}

/// How much was looked at while this ran, on this thread and those that it gave work to.
#[cfg(test)]
pub(crate) fn counted(work: impl FnOnce()) -> u64 {
    let counter = Arc::new(AtomicU64::new(0));
    COUNTER.set(Some(counter.clone()));
    work();
    COUNTER.set(None);
    counter.load(Ordering::Relaxed)
}
