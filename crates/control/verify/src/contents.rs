//! Whether segments hold what the state says: a sample, or all of them.
//!
//! A segment is read whole, because only so is each of its bytes authenticated, and its Parquet
//! footer says how many events it holds.

use std::sync::Arc;

use backstay_bucket::Bucket;
use backstay_global::Segment;
use backstay_search::{MemorySource, SearchError, segment};
use futures::{StreamExt as _, stream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::index;

/// Segments that are read at the same time; each is held whole.
const CONCURRENT_SEGMENTS: usize = 4;

/// What reading has come to.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Segments that are as the state says.
    pub(crate) good: u64,
    /// Their events.
    pub(crate) events: u64,
    /// What is wrong with others, in the order of their names.
    pub(crate) wrong: Vec<String>,
    /// Why others could not be read.
    pub(crate) unknown: Vec<String>,
}

/// Which of so many to read: the same for the same seed. Ascending.
pub(crate) fn sample(of: usize, at_most: usize, seed: u64) -> Vec<usize> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut chosen = index::sample(&mut random, of, at_most.min(of)).into_vec();
    chosen.sort_unstable();
    chosen
}

enum One {
    Good(u64),
    Wrong(String),
    Unknown(String),
}

/// Reads segments, each in its bucket.
pub(crate) async fn read<'a>(segments: impl Iterator<Item = (&'a Bucket, &'a Segment)>) -> Read {
    let each = stream::iter(segments).map(|(bucket, segment)| one(bucket, segment));
    let mut read = Read::default();
    let mut each = each.buffered(CONCURRENT_SEGMENTS);
    while let Some(one) = each.next().await {
        match one {
            One::Good(events) => {
                read.good += 1;
                read.events = read.events.saturating_add(events);
            }
            One::Wrong(what) => read.wrong.push(what),
            One::Unknown(why) => read.unknown.push(why),
        }
    }
    read
}

async fn one(bucket: &Bucket, segment: &Segment) -> One {
    let key = segment.key();
    let bytes = match bucket.get(&key).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_retryable() => return One::Unknown(error.to_string()),
        Err(error) => return One::Wrong(error.to_string()),
    };
    let source = MemorySource::new(key.clone(), segment.start_ms, segment.end_ms, bytes);
    match segment::count(Arc::new(source)).await {
        Ok(events) if events == segment.events => One::Good(events),
        Ok(events) => One::Wrong(format!(
            "{key}: {events} events instead of {}",
            segment.events
        )),
        Err(error @ SearchError::Stopped { .. }) => One::Unknown(error.to_string()),
        Err(error) => One::Wrong(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::sample;

    proptest! {
        #[test]
        fn a_sample_is_what_its_seed_says(of in 0_usize..2_000, at_most in 0_usize..50, seed: u64) {
            let chosen = sample(of, at_most, seed);
            prop_assert_eq!(chosen.len(), at_most.min(of));
            prop_assert!(chosen.iter().all(|it| *it < of));
            prop_assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(chosen, sample(of, at_most, seed));
        }
    }
}
