//! What cannot be recovered, because only the lost hosts had it: listed, never silently dropped.

use std::collections::BTreeMap;
use std::fmt;

use crate::entity::RepositoryId;
use crate::raw::entity;
use crate::segment::Segment;
use crate::state::State;

entity! {
    /// What was lost of one repository.
    pub struct RepositoryLoss {
        required {
            /// Id of the repository.
            repository: RepositoryId = "repository",
            /// Its name at the time.
            name: String = "name",
            /// Number of segments that are lost.
            segments: u64 = "segments",
            /// Number of events in those segments.
            events: u64 = "events",
            /// Bytes of the events' raw text.
            raw_bytes: u64 = "rawBytes",
            /// The earliest event's time, in milliseconds since 1970.
            start_ms: i64 = "start",
            /// The latest event's time.
            end_ms: i64 = "end",
        }
        optional {}
    }
}

entity! {
    /// What was lost, by repository.
    #[derive(Default)]
    pub struct LossReport {
        required {}
        optional {
            /// The repositories that lost something, by id.
            repositories: Vec<RepositoryLoss> = "repositories",
        }
    }
}

impl LossReport {
    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.repositories.is_empty()
    }
}

impl fmt::Display for LossReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing was lost");
        }
        for (n, loss) in self.repositories.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}repository {} ({}): {} events in {} segments, {} raw bytes, from {} to {}",
                loss.name,
                loss.repository,
                loss.events,
                loss.segments,
                loss.raw_bytes,
                time(loss.start_ms),
                time(loss.end_ms),
            )?;
        }
        Ok(())
    }
}

fn time(ms: i64) -> String {
    match chrono::DateTime::from_timestamp_millis(ms) {
        Some(time) => time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        None => format!("{ms} ms"),
    }
}

/// Adds up what is lost.
#[derive(Default)]
pub(super) struct Losses(BTreeMap<RepositoryId, RepositoryLoss>);

impl Losses {
    pub(super) fn add(&mut self, segment: &Segment) {
        let loss = self
            .0
            .entry(segment.repository.clone())
            .or_insert_with(|| RepositoryLoss {
                repository: segment.repository.clone(),
                name: String::new(),
                segments: 0,
                events: 0,
                raw_bytes: 0,
                start_ms: segment.start_ms,
                end_ms: segment.end_ms,
                extra: Default::default(),
            });
        loss.segments += 1;
        loss.events = loss.events.saturating_add(segment.events);
        loss.raw_bytes = loss.raw_bytes.saturating_add(segment.raw_bytes);
        loss.start_ms = loss.start_ms.min(segment.start_ms);
        loss.end_ms = loss.end_ms.max(segment.end_ms);
    }

    pub(super) fn report(self, state: &State) -> LossReport {
        let named = self.0.into_values().map(|mut loss| {
            if let Some(repository) = state.repository(&loss.repository) {
                loss.name.clone_from(&repository.name);
            }
            loss
        });
        LossReport {
            repositories: named.collect(),
            extra: Default::default(),
        }
    }
}
