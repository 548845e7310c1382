//! How searches take their shares.

use std::sync::Arc;

use async_trait::async_trait;
use backstay_search::{MemoryPermit as Permit, MemoryPool, Resources};
use tokio::sync::Semaphore;

use super::{MemoryBudget, MemoryPermit, MemoryUse};

/// A share, as the search crate takes of it.
struct Share {
    budget: MemoryBudget,
    kind: MemoryUse,
}

#[async_trait]
impl MemoryPool for Share {
    fn nothing(&self) -> Box<dyn Permit> {
        Box::new(self.budget.nothing(self.kind))
    }

    async fn take(&self, bytes: usize) -> Box<dyn Permit> {
        Box::new(self.budget.take(self.kind, bytes).await)
    }
}

impl Permit for MemoryPermit {
    fn grow(&mut self, more: usize) -> bool {
        self.grow(more).is_ok()
    }

    fn shrink_to(&mut self, bytes: usize) {
        self.shrink_to(bytes);
    }
}

impl MemoryBudget {
    /// What the searches of this process share, with so many threads that compute.
    pub fn for_searches(&self, threads: usize) -> Resources {
        Resources {
            rows: self.pool_of(MemoryUse::Searches),
            columns: self.pool_of(MemoryUse::Columns),
            exports: self.pool_of(MemoryUse::Exports),
            threads: Arc::new(Semaphore::new(threads.max(1))),
        }
    }

    fn pool_of(&self, kind: MemoryUse) -> Arc<dyn MemoryPool> {
        let budget = self.clone();
        Arc::new(Share { budget, kind })
    }
}
