//! Stores for tests: one in memory, and one that lies the way a network does.
//!
//! Public because the crates above test themselves against the same faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::store::{EntryStore, StoreError};

/// A faultless store in memory. Clones share the objects.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Overwrites an object behind the journal's back.
    pub fn replace(&self, key: &str, bytes: Bytes) {
        self.objects.lock().insert(key.to_owned(), bytes);
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl EntryStore for MemoryStore {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError> {
        let mut objects = self.objects.lock();
        if objects.contains_key(key) {
            return Ok(false);
        }
        objects.insert(key.to_owned(), bytes);
        Ok(true)
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.objects.lock().get(key).cloned())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let objects = self.objects.lock();
        let from_prefix = objects.range(prefix.to_owned()..);
        Ok(from_prefix
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect())
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        let mut objects = self.objects.lock();
        for key in keys {
            objects.remove(&key);
        }
        Ok(())
    }
}

/// How often a [`FaultyStore`] misbehaves: probabilities from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// An error, and nothing happened.
    pub error_before: f64,
    /// It happened, and an error.
    pub error_after: f64,
    /// An error at once, and it happens later (creates only).
    pub late_effect: f64,
    /// It happens, and once more later (creates only).
    pub duplicate: f64,
    /// The longest delay of an answer; a late effect comes within ten times that.
    pub max_delay: Duration,
}

impl Faults {
    /// No faults: only the order of answers varies, by delays.
    pub const NONE: Self = Self {
        error_before: 0.0,
        error_after: 0.0,
        late_effect: 0.0,
        duplicate: 0.0,
        max_delay: Duration::from_millis(20),
    };

    /// A bad day: about every third call goes wrong.
    pub const STORM: Self = Self {
        error_before: 0.1,
        error_after: 0.1,
        late_effect: 0.1,
        duplicate: 0.1,
        max_delay: Duration::from_millis(50),
    };
}

/// A store that delays, fails before and after the effect, repeats, and acts late; the sequence of
/// faults comes from a seed.
pub struct FaultyStore {
    inner: Arc<dyn EntryStore>,
    faults: Faults,
    random: Mutex<StdRng>,
    unreachable: AtomicBool,
    injected: AtomicU64,
}

impl FaultyStore {
    /// Wraps `inner`; the same seed gives the same faults.
    pub fn new(inner: Arc<dyn EntryStore>, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            unreachable: AtomicBool::new(false),
            injected: AtomicU64::new(0),
        }
    }

    /// While `true`, every call fails without effect.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.unreachable.store(unreachable, Ordering::SeqCst);
    }

    /// How many faults were injected so far, so that a test can show that there were any.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::SeqCst)
    }

    fn chance(&self, probability: f64) -> bool {
        let hit = self.random.lock().random_bool(probability.clamp(0.0, 1.0));
        if hit {
            self.injected.fetch_add(1, Ordering::SeqCst);
        }
        hit
    }

    async fn delay(&self, times: u32) {
        let delay = self
            .faults
            .max_delay
            .mul_f64(self.random.lock().random::<f64>() * f64::from(times));
        tokio::time::sleep(delay).await;
    }

    fn error(key: &str, detail: &str) -> StoreError {
        StoreError::Unavailable {
            object: key.to_owned(),
            detail: detail.to_owned(),
        }
    }

    async fn before(&self, key: &str) -> Result<(), StoreError> {
        self.delay(1).await;
        if self.unreachable.load(Ordering::SeqCst) {
            return Err(Self::error(key, "simulated outage"));
        }
        if self.chance(self.faults.error_before) {
            return Err(Self::error(key, "simulated error without effect"));
        }
        Ok(())
    }

    async fn after(&self, key: &str) -> Result<(), StoreError> {
        self.delay(1).await;
        if self.chance(self.faults.error_after) {
            return Err(Self::error(key, "simulated error after the effect"));
        }
        Ok(())
    }

    fn create_later(&self, key: &str, bytes: Bytes) {
        let inner = Arc::clone(&self.inner);
        let delay = self
            .faults
            .max_delay
            .mul_f64(self.random.lock().random::<f64>() * 10.0);
        let key = key.to_owned();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // Nobody waits for the answer of a request that was given up.
            let _ = inner.create(&key, bytes).await;
        });
    }
}

#[async_trait]
impl EntryStore for FaultyStore {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError> {
        self.before(key).await?;
        if self.chance(self.faults.late_effect) {
            self.create_later(key, bytes);
            return Err(Self::error(key, "simulated timeout with a late effect"));
        }
        let created = self.inner.create(key, bytes.clone()).await?;
        if self.chance(self.faults.duplicate) {
            self.create_later(key, bytes);
        }
        self.after(key).await?;
        Ok(created)
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.before(key).await?;
        let found = self.inner.read(key).await?;
        self.after(key).await?;
        Ok(found)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.before(prefix).await?;
        let found = self.inner.list(prefix).await?;
        self.after(prefix).await?;
        Ok(found)
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        let key = keys.first().cloned().unwrap_or_default();
        self.before(&key).await?;
        self.inner.delete(keys).await?;
        self.after(&key).await
    }
}
