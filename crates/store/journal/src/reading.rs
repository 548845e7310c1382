//! What a process reads of its journals: how much may be read ahead, and how much was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Only objects that are not larger are read ahead of their turn: 1 MiB. Of a larger one hardly more
/// than so much has come when that is known.
pub(crate) const MAX_READ_AHEAD_OBJECT_BYTES: usize = 1 << 20;

/// What may be read ahead where nobody says otherwise: 32 MiB.
const DEFAULT_READ_AHEAD_BYTES: usize = 32 << 20;

/// Bounds and counts what is read through all journals that share it. Cheap to clone.
///
/// What is read *ahead*, that is before it is asked for, takes no more memory than the bound, over all
/// streams together; it is kept as it was stored. Where the bound does not allow more, entries are read
/// one at a time, so nobody ever waits for it.
#[derive(Clone, Debug)]
pub struct Reading {
    bound: Arc<Bound>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Bound {
    limit: usize,
    held: AtomicUsize,
}

#[derive(Debug, Default)]
struct Counts {
    objects: AtomicU64,
    bytes: AtomicU64,
    /// What these are a part of.
    of: Option<Arc<Counts>>,
}

impl Counts {
    fn add(&self, objects: u64, bytes: u64) {
        self.objects.fetch_add(objects, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(of) = &self.of {
            of.add(objects, bytes);
        }
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self::within(DEFAULT_READ_AHEAD_BYTES)
    }
}

impl Reading {
    /// Reads ahead so many bytes at the most.
    pub fn within(bytes: usize) -> Self {
        Self {
            bound: Arc::new(Bound {
                limit: bytes,
                held: AtomicUsize::new(0),
            }),
            counts: Arc::default(),
        }
    }

    /// The same bound for some of the journals, whose counts are also a part of these.
    pub fn part(&self) -> Self {
        Self {
            bound: Arc::clone(&self.bound),
            counts: Arc::new(Counts {
                of: Some(Arc::clone(&self.counts)),
                ..Counts::default()
            }),
        }
    }

    /// How many objects were asked for, whole or only for who wrote them; also in vain.
    pub fn objects(&self) -> u64 {
        self.counts.objects.load(Ordering::Relaxed)
    }

    /// The bytes of all payloads that were decoded.
    pub fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that are read ahead now, or being read.
    pub fn ahead(&self) -> usize {
        self.bound.held.load(Ordering::Relaxed)
    }

    pub(crate) fn asked(&self) {
        self.counts.add(1, 0);
    }

    pub(crate) fn decoded(&self, payload: usize) {
        self.counts.add(0, payload as u64);
    }

    /// Room for an object that is not larger than [`MAX_READ_AHEAD_OBJECT_BYTES`], if there is some.
    pub(crate) fn hold(&self) -> Option<Ahead> {
        let limit = self.bound.limit;
        let more =
            |held: usize| Some(held + MAX_READ_AHEAD_OBJECT_BYTES).filter(|held| *held <= limit);
        let held = &self.bound.held;
        held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Ahead {
            reading: self.clone(),
            bytes: MAX_READ_AHEAD_OBJECT_BYTES,
        })
    }
}

/// Room for what is read ahead; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Ahead {
    reading: Reading,
    bytes: usize,
}

impl Ahead {
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.reading.bound.held.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests;
