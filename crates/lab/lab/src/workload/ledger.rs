//! What was sent and what was acknowledged, as the clients know it.
//!
//! Eight bytes an event (its fingerprint) and a few more a batch, so that ten million events fit.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use backstay_pair::Side;
use parking_lot::Mutex;

const NOT_SENT: u8 = 0;
const SENT: u8 = 1;
const ACKNOWLEDGED: u8 = 2;

/// The time of what has not happened.
const NEVER: u64 = u64::MAX;

/// The ledger of one run. All times in it are milliseconds since the run began.
#[derive(Debug)]
pub struct Ledger {
    began: Instant,
    batch_size: u64,
    fingerprints: Vec<AtomicU64>,
    states: Vec<AtomicU8>,
    acknowledged_at: Vec<AtomicU64>,
    acknowledged: AtomicU64,
    sent: AtomicU64,
    requests: AtomicU64,
    failed: AtomicU64,
    in_flight: AtomicU64,
    first_ack: [AtomicU64; 2],
    by: [AtomicU64; 2],
    last_failure: Mutex<String>,
}

impl Ledger {
    /// A ledger for so many events, sent in batches of `batch_size`.
    pub fn new(began: Instant, events: u64, batch_size: u64) -> Self {
        let batch_size = batch_size.max(1);
        let batches = events.div_ceil(batch_size) as usize;
        Self {
            began,
            batch_size,
            fingerprints: (0..events).map(|_| AtomicU64::new(0)).collect(),
            states: (0..batches).map(|_| AtomicU8::new(NOT_SENT)).collect(),
            acknowledged_at: (0..batches).map(|_| AtomicU64::new(NEVER)).collect(),
            acknowledged: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            first_ack: std::array::from_fn(|_| AtomicU64::new(NEVER)),
            by: Default::default(),
            last_failure: Mutex::default(),
        }
    }

    /// How many events the run has.
    pub fn events(&self) -> u64 {
        self.fingerprints.len() as u64
    }

    /// How many of them are in a batch, except the last.
    pub fn batch_size(&self) -> u64 {
        self.batch_size
    }

    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// An event's text is known. Before its batch is sent, so that an answer finds it here.
    pub fn made(&self, number: u64, fingerprint: u64) {
        if let Some(slot) = self.fingerprints.get(number as usize) {
            slot.store(fingerprint, Ordering::Relaxed);
        }
    }

    /// A request with this batch goes out.
    pub fn request(&self, batch: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let Some(state) = self.states.get(batch as usize) else {
            return;
        };
        let first = state.compare_exchange(NOT_SENT, SENT, Ordering::AcqRel, Ordering::Acquire);
        if first.is_ok() {
            self.sent.fetch_add(self.length(batch), Ordering::Relaxed);
        }
    }

    /// Counts a request that failed.
    pub fn failed(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Why it failed, if that is known.
    pub fn why(&self, text: String) {
        *self.last_failure.lock() = text;
    }

    /// Why the last request that failed has done so.
    pub fn last_failure(&self) -> String {
        self.last_failure.lock().clone()
    }

    /// The request was acknowledged by a node of this region.
    pub fn acknowledged(&self, batch: u64, side: Side) {
        let now = self.now_ms();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(state) = self.states.get(batch as usize) else {
            return;
        };
        if state.swap(ACKNOWLEDGED, Ordering::AcqRel) == ACKNOWLEDGED {
            return;
        }
        self.acknowledged_at[batch as usize].store(now, Ordering::Release);
        self.acknowledged
            .fetch_add(self.length(batch), Ordering::AcqRel);
        self.first_ack[side as usize].fetch_min(now, Ordering::AcqRel);
        self.by[side as usize].fetch_add(self.length(batch), Ordering::AcqRel);
    }

    /// How many events a batch has.
    fn length(&self, batch: u64) -> u64 {
        self.batch_size.min(self.events() - batch * self.batch_size)
    }

    /// Events acknowledged by now.
    pub fn acknowledged_events(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Those of them that a region has acknowledged.
    pub fn acknowledged_by(&self, side: Side) -> u64 {
        self.by[side as usize].load(Ordering::Acquire)
    }

    /// Events sent by now, at least once.
    pub fn sent_events(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests made, and of them failed.
    pub fn requests(&self) -> (u64, u64) {
        (
            self.requests.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        )
    }

    /// Requests that wait for their answer.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// When a region's first acknowledgement came.
    pub fn first_ack_ms(&self, side: Side) -> Option<u64> {
        let at = self.first_ack[side as usize].load(Ordering::Acquire);
        (at != NEVER).then_some(at)
    }

    /// Whether an event was sent, with this text.
    pub fn was_sent(&self, number: u64, fingerprint: u64) -> bool {
        let batch = number / self.batch_size;
        let state = self
            .states
            .get(batch as usize)
            .map(|state| state.load(Ordering::Acquire));
        let text = self
            .fingerprints
            .get(number as usize)
            .map(|slot| slot.load(Ordering::Relaxed));
        state.is_some_and(|state| state != NOT_SENT) && text == Some(fingerprint)
    }

    /// When an event was acknowledged; `None` if it was not.
    pub fn acknowledged_at_ms(&self, number: u64) -> Option<u64> {
        let batch = (number / self.batch_size) as usize;
        let acknowledged = self.states.get(batch)?.load(Ordering::Acquire) == ACKNOWLEDGED;
        let at = self.acknowledged_at.get(batch)?.load(Ordering::Acquire);
        (acknowledged && at != NEVER).then_some(at)
    }

    /// The longest time in a stretch in which nothing was acknowledged, between the first and the last
    /// acknowledgement in it.
    pub fn longest_silence_ms(&self, within: Range<u64>) -> u64 {
        let all = self.acknowledged_at.iter();
        let mut all: Vec<u64> = all
            .map(|at| at.load(Ordering::Acquire))
            .filter(|at| *at != NEVER && within.contains(at))
            .collect();
        all.sort_unstable();
        let gaps = all.windows(2).map(|two| two[1] - two[0]);
        gaps.max().unwrap_or_default()
    }

    /// Events acknowledged in each interval of so many milliseconds, from the beginning on.
    pub fn rate(&self, interval_ms: u64) -> Vec<u64> {
        let mut rate = Vec::new();
        for (batch, at) in self.acknowledged_at.iter().enumerate() {
            let at = at.load(Ordering::Acquire);
            if at == NEVER {
                continue;
            }
            let slot = (at / interval_ms.max(1)) as usize;
            if rate.len() <= slot {
                rate.resize(slot + 1, 0);
            }
            rate[slot] += self.length(batch as u64);
        }
        rate
    }
}
