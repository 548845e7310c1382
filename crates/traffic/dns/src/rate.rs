//! How many queries a second one source may ask.
//!
//! A token bucket a source, in a table of fixed size: however many sources there are or are
//! pretended to be, the memory is the same. Where the table is full, the source that has been
//! silent for longest in its corner is forgotten, which can only be to its advantage. Which corner
//! a source has is not for it to know.
//!
//! A source is an IPv4 address, or the 64 leading bits of an IPv6 one.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

const WAYS: usize = 4;
const ROWS: usize = 1 << 13;
/// Of the queries over the limit, one in so many is answered with "ask over TCP", so that a client
/// behind a pretended or shared address is served all the same; TCP addresses are real.
const SLIP: u32 = 16;

/// What to do with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer it.
    Answer,
    /// Say that it should come over TCP.
    Truncate,
    /// Drop it.
    Drop,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    source: u64,
    /// Milliseconds of the last query; 0 is free.
    seen: u64,
    /// Thousandths of a query that are left.
    left: u64,
    over: u32,
}

/// The table of one socket.
#[derive(Debug)]
pub struct Rate {
    per_second: u64,
    rows: Box<[[Bucket; WAYS]]>,
    keys: RandomState,
}

impl Rate {
    /// So many queries a second of one source; 0 is any number.
    pub fn new(per_second: u32) -> Self {
        let rows = if per_second == 0 { 0 } else { ROWS };
        Self {
            per_second: u64::from(per_second),
            rows: vec![[Bucket::default(); WAYS]; rows].into_boxed_slice(),
            keys: RandomState::new(),
        }
    }

    /// A query of `source` comes at `now_ms`, milliseconds of any clock that goes forward.
    pub fn ask(&mut self, source: IpAddr, now_ms: u64) -> Verdict {
        let source = match source {
            IpAddr::V4(it) => u64::from(it.to_bits()),
            // No IPv4 address has its upper half set.
            IpAddr::V6(it) => ((it.to_bits() >> 64) as u64) | 1 << 63,
        };
        let hash = self.keys.hash_one(source);
        let Some(row) = self.rows.get_mut(hash as usize % ROWS) else {
            return Verdict::Answer;
        };
        let now = now_ms.saturating_add(1);
        let known = row
            .iter()
            .position(|it| it.seen != 0 && it.source == source);
        let place = known.unwrap_or_else(|| {
            let oldest = row.iter().enumerate().min_by_key(|(_, it)| it.seen);
            oldest.map_or(0, |(place, _)| place)
        });
        let Some(bucket) = row.get_mut(place) else {
            return Verdict::Answer;
        };
        // A whole second's worth may come at once.
        let full = self.per_second * 1000;
        if known.is_none() {
            *bucket = Bucket {
                source,
                seen: now,
                left: full,
                over: 0,
            };
        }
        let since = now.saturating_sub(bucket.seen);
        let more = since.saturating_mul(self.per_second);
        bucket.left = bucket.left.saturating_add(more).min(full);
        bucket.seen = bucket.seen.max(now);
        if bucket.left >= 1000 {
            bucket.left -= 1000;
            return Verdict::Answer;
        }
        bucket.over = bucket.over.wrapping_add(1);
        if bucket.over % SLIP == 1 {
            Verdict::Truncate
        } else {
            Verdict::Drop
        }
    }
}
