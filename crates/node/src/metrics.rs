//! What the node counts, for Prometheus.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::memory::{MemoryBudget, MemoryUse};

/// Label of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PartitionLabel {
    /// Number of the partition.
    pub partition: u32,
}

/// Label of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// Why, as a word that does not change.
    pub reason: &'static str,
}

/// Label of what memory is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MemoryLabel {
    /// What the memory is used for.
    pub kind: &'static str,
}

/// All metrics of one node. All names begin with `backstay_`.
pub struct Metrics {
    registry: Registry,
    /// Events that were acknowledged.
    pub ingest_events: Counter,
    /// Bytes of the raw text of those events.
    pub ingest_bytes: Counter,
    /// Batches that were acknowledged.
    pub ingest_batches: Counter,
    /// Batches that had been stored before under the same key.
    pub ingest_duplicates: Counter,
    /// Lines of the node's own log that are in the repository `humio`.
    pub own_log_events: Counter,
    /// Lines of it that are not: there were too many, or nowhere to put them.
    pub own_log_dropped: Counter,
    /// Batches refused, by reason.
    pub ingest_refused: Family<ReasonLabel, Counter>,
    /// Seconds from a batch's arrival to its acknowledgement.
    pub ingest_seconds: Histogram,
    /// Bytes of records that wait for the journal.
    pub backlog_bytes: Family<PartitionLabel, Gauge>,
    /// Idempotency keys that are known.
    pub idempotency_keys: Family<PartitionLabel, Gauge>,
    /// Partitions that this node writes.
    pub partitions_owned: Gauge,
    /// Partitions taken over from another host or after a restart.
    pub takeovers: Counter,
    /// Partitions lost to another host.
    pub partitions_lost: Counter,
    /// Events in the journal that no segment has yet, as far as this node follows.
    pub live_events: Gauge,
    /// Raw bytes of those.
    pub live_bytes: Gauge,
    /// Journal entries that lie only in the buckets of recovered clusters.
    pub recovered_pending_entries: Gauge,
    /// Segments that were published by this node.
    pub segments_published: Counter,
    /// Segments that have only the texts of their events, because their fields could not be written.
    pub segments_without_fields: Counter,
    /// Sources of idempotency keys that were given up, as `BACKSTAY_FORGET_LOST_KEYS` says.
    pub keys_forgotten: Counter,
    /// Bytes of segments uploaded.
    pub segment_bytes: Counter,
    /// Segments that the state names.
    pub segments: Gauge,
    /// Snapshots of the metadata that were written by this node.
    pub snapshots: Counter,
    /// Journal entries that were trimmed by this node.
    pub trimmed: Counter,
    /// Searches that were begun.
    pub searches: Counter,
    /// Searches that ended without an answer.
    pub searches_failed: Counter,
    /// Seconds a search took.
    pub search_seconds: Histogram,
    /// The next slot of `global`.
    pub global_offset: Gauge,
    /// Hosts that this node holds to be alive.
    pub hosts_alive: Gauge,
    /// 1 when another cluster holds the journal.
    pub fenced: Gauge,
    /// What is not as it should be although events are taken, by kind.
    pub degraded: Family<ReasonLabel, Gauge>,
    /// Memory that may be taken, by what for.
    pub memory_share_bytes: Family<MemoryLabel, Gauge>,
    /// Memory that is taken, by what for.
    pub memory_used_bytes: Family<MemoryLabel, Gauge>,
    /// How often there was no memory, by what for.
    pub memory_refused: Family<MemoryLabel, Counter>,
    /// Objects of journals that were asked for.
    pub journal_read_objects: Counter,
    /// Bytes of their payloads that were decoded.
    pub journal_read_bytes: Counter,
    /// Objects of recovered clusters' journals that were asked for.
    pub source_read_objects: Counter,
    /// Bytes of their payloads that were decoded.
    pub source_read_bytes: Counter,
    /// Background steps that failed and are tried again, by which.
    pub retries: Family<ReasonLabel, Counter>,
}

impl Metrics {
    /// Creates and registers all metrics, at zero.
    pub fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let mut registry = Registry::with_prefix("backstay");
        macro_rules! register {
            ($name:ident, $help:literal) => {{
                let metric = Default::default();
                registry.register(stringify!($name), $help, Clone::clone(&metric));
                metric
            }};
        }
        let ingest_seconds = seconds();
        let search_seconds = seconds();
        registry.register(
            "ingest_seconds",
            "Time from arrival to acknowledgement",
            ingest_seconds.clone(),
        );
        registry.register(
            "search_seconds",
            "Time a search took",
            search_seconds.clone(),
        );
        let ingest_events: Counter = register!(ingest_events, "Events acknowledged");
        let ingest_bytes: Counter = register!(ingest_bytes, "Raw bytes acknowledged");
        let ingest_batches: Counter = register!(ingest_batches, "Batches acknowledged");
        let own_log_events: Counter = register!(
            own_log_events,
            "Lines of the node's own log in the repository humio"
        );
        let own_log_dropped: Counter = register!(
            own_log_dropped,
            "Lines of the node's own log that are not in the repository humio"
        );
        let ingest_duplicates: Counter =
            register!(ingest_duplicates, "Batches that had been stored before");
        let ingest_refused: Family<ReasonLabel, Counter> =
            register!(ingest_refused, "Batches refused");
        let backlog_bytes: Family<PartitionLabel, Gauge> =
            register!(backlog_bytes, "Unacknowledged bytes");
        let idempotency_keys: Family<PartitionLabel, Gauge> =
            register!(idempotency_keys, "Idempotency keys that are known");
        let partitions_owned: Gauge = register!(partitions_owned, "Partitions written here");
        let takeovers: Counter = register!(takeovers, "Partitions taken over");
        let partitions_lost: Counter = register!(partitions_lost, "Partitions lost to another");
        let live_events: Gauge = register!(live_events, "Events not in a segment yet");
        let live_bytes: Gauge = register!(live_bytes, "Raw bytes not in a segment yet");
        let recovered_pending_entries: Gauge = register!(
            recovered_pending_entries,
            "Journal entries that lie only in the buckets of recovered clusters"
        );
        let segments_published: Counter = register!(segments_published, "Segments published");
        let segments_without_fields: Counter = register!(
            segments_without_fields,
            "Segments without the fields of their events, which could not be written"
        );
        let keys_forgotten: Counter = register!(
            keys_forgotten,
            "Objects and journals whose idempotency keys were given up"
        );
        let segment_bytes: Counter = register!(segment_bytes, "Bytes of segments uploaded");
        let segments: Gauge = register!(segments, "Segments in the state");
        let snapshots: Counter = register!(snapshots, "Snapshots written");
        let trimmed: Counter = register!(trimmed, "Journal entries trimmed");
        let searches: Counter = register!(searches, "Searches begun");
        let searches_failed: Counter = register!(searches_failed, "Searches that failed");
        let global_offset: Gauge = register!(global_offset, "Next slot of the stream global");
        let hosts_alive: Gauge = register!(hosts_alive, "Hosts held to be alive");
        let fenced: Gauge = register!(fenced, "1 when another cluster holds the journal");
        let degraded: Family<ReasonLabel, Gauge> = register!(
            degraded,
            "What is not as it should be although events are taken"
        );
        let memory_share_bytes: Family<MemoryLabel, Gauge> =
            register!(memory_share_bytes, "Memory that may be taken");
        let memory_used_bytes: Family<MemoryLabel, Gauge> =
            register!(memory_used_bytes, "Memory that is taken");
        let memory_refused: Family<MemoryLabel, Counter> =
            register!(memory_refused, "Requests for memory that there was not");
        let journal_read_objects: Counter =
            register!(journal_read_objects, "Objects of journals asked for");
        let journal_read_bytes: Counter = register!(
            journal_read_bytes,
            "Bytes of journal entries that were decoded"
        );
        let source_read_objects: Counter = register!(
            source_read_objects,
            "Objects of recovered clusters' journals asked for"
        );
        let source_read_bytes: Counter = register!(
            source_read_bytes,
            "Bytes of recovered clusters' journal entries that were decoded"
        );
        let retries: Family<ReasonLabel, Counter> =
            register!(retries, "Background steps tried again");
        Self {
            registry,
            ingest_events,
            ingest_bytes,
            ingest_batches,
            own_log_events,
            own_log_dropped,
            ingest_duplicates,
            ingest_refused,
            ingest_seconds,
            backlog_bytes,
            idempotency_keys,
            partitions_owned,
            takeovers,
            partitions_lost,
            live_events,
            live_bytes,
            recovered_pending_entries,
            segments_published,
            segments_without_fields,
            keys_forgotten,
            segment_bytes,
            segments,
            snapshots,
            trimmed,
            searches,
            searches_failed,
            search_seconds,
            global_offset,
            hosts_alive,
            fenced,
            degraded,
            memory_share_bytes,
            memory_used_bytes,
            memory_refused,
            journal_read_objects,
            journal_read_bytes,
            source_read_objects,
            source_read_bytes,
            retries,
        }
    }

    /// Notes what the memory is taken for, and what was read.
    pub(crate) fn note(&self, memory: &MemoryBudget) {
        let (reading, source) = (memory.reading(), memory.source_reading());
        for (counter, now) in [
            (&self.journal_read_objects, reading.objects()),
            (&self.journal_read_bytes, reading.bytes()),
            (&self.source_read_objects, source.objects()),
            (&self.source_read_bytes, source.bytes()),
        ] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        for kind in MemoryUse::ALL {
            let label = MemoryLabel {
                kind: kind.as_str(),
            };
            let share = self.memory_share_bytes.get_or_create(&label);
            share.set(i64::try_from(memory.share(kind)).unwrap_or(i64::MAX));
            let used = self.memory_used_bytes.get_or_create(&label);
            used.set(i64::try_from(memory.used(kind)).unwrap_or(i64::MAX));
            let refused = self.memory_refused.get_or_create(&label);
            refused.inc_by(memory.refused(kind).saturating_sub(refused.get()));
        }
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.ingest_refused
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    pub(crate) fn retried(&self, reason: &'static str) {
        self.retries.get_or_create(&ReasonLabel { reason }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
