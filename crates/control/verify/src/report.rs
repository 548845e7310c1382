//! What a verification has found, for people, programs and Prometheus.

use std::fmt::Write as _;

use backstay_global::EpochOffset;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Serialize, Serializer};

use crate::finding::{Finding, Outcome};

/// All that was found. Failing checks come first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whether the standby is able to take over, as far as this can say.
    pub able: bool,
    /// Each check, those that fail first, then those of which nothing is known.
    pub findings: Vec<Finding>,
    /// What was measured.
    pub figures: Figures,
}

/// What was measured. What is `None` was not come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The snapshot that a recovery would take.
    #[serde(serialize_with = "position")]
    pub snapshot: Option<EpochOffset>,
    /// Up to where the primary's journal was read.
    #[serde(serialize_with = "position")]
    pub read_to: Option<EpochOffset>,
    /// Repositories in the state.
    pub repositories: Option<u64>,
    /// Segments in the state.
    pub segments: Option<u64>,
    /// Bytes of those that were counted.
    pub segment_bytes: Option<u64>,
    /// Journal entries that are in no segment yet.
    pub unread_entries: Option<u64>,
    /// Those of them that lie only in the buckets of clusters before the source, which it has
    /// recovered itself and not imported yet.
    pub carried_entries: Option<u64>,
    /// Segments of which the contents were read.
    pub segments_read: Option<u64>,
    /// Seconds since the newest recoverable events were stored: the RPO if the primary were gone
    /// now.
    pub newest_event_age_seconds: Option<f64>,
    /// Seconds that the rehearsal took.
    pub load_seconds: Option<f64>,
    /// Seconds that a recovery is expected to take, from the node's start to the state.
    pub expected_recovery_seconds: Option<f64>,
}

fn position<S: Serializer>(
    position: &Option<EpochOffset>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = position.map(
        |EpochOffset { epoch, offset }| serde_json::json!({ "epoch": epoch, "offset": offset }),
    );
    shown.serialize(serializer)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCheck {
    check: &'static str,
    outcome: &'static str,
}

/// For people: a line for each check.
pub(crate) fn lines(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.outcome {
            Outcome::Ok => "✔",
            Outcome::Fails => "✖",
            Outcome::Unknown => "?",
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{mark} {:16} {}", finding.check, finding.sentence);
        if !finding.next.is_empty() {
            let _ = write!(text, "; {}", finding.next);
        }
        text.push('\n');
    }
    text
}

impl Report {
    pub(crate) fn new(mut findings: Vec<Finding>, figures: Figures, strict: bool) -> Self {
        findings.sort_by_key(|it| (it.outcome, it.check));
        Self {
            able: !findings.iter().any(|it| it.says_no(strict)),
            findings,
            figures,
        }
    }

    /// The same with one more finding.
    #[must_use]
    pub fn with(mut self, finding: Finding, strict: bool) -> Self {
        self.findings.push(finding);
        Self::new(self.findings, self.figures, strict)
    }

    /// For people: a line for each check, and one with the figures.
    pub fn text(&self) -> String {
        let mut text = lines(&self.findings);
        text.push_str(&self.figures.text());
        text
    }

    /// For Prometheus, in its text format.
    ///
    /// # Errors
    /// When it cannot be written, which does not happen to a string.
    pub fn prometheus(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("backstay_verify");
        let able = Gauge::<i64>::default();
        able.set(i64::from(self.able));
        registry.register(
            "able",
            "Whether the standby can take over (1) or not (0)",
            able,
        );
        let at = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        at.set(self.figures.at_ms as f64 / 1000.0);
        registry.register("timestamp_seconds", "When this was found", at);
        let checks = Family::<OfCheck, Gauge>::default();
        for finding in &self.findings {
            for outcome in [Outcome::Ok, Outcome::Fails, Outcome::Unknown] {
                let labels = OfCheck {
                    check: finding.check.as_str(),
                    outcome: outcome.as_str(),
                };
                let so = i64::from(finding.outcome == outcome);
                checks.get_or_create(&labels).set(so);
            }
        }
        registry.register("check", "How each check came out", checks);
        for (name, help, value) in self.figures.gauges() {
            if let Some(value) = value {
                let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
                gauge.set(value);
                registry.register(name, help, gauge);
            }
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Figures {
    fn gauges(&self) -> [(&'static str, &'static str, Option<f64>); 8] {
        let number = |it: Option<u64>| it.map(|it| it as f64);
        [
            (
                "newest_event_age_seconds",
                "Seconds since the newest recoverable events were stored",
                self.newest_event_age_seconds,
            ),
            (
                "expected_recovery_seconds",
                "Seconds that a recovery is expected to take",
                self.expected_recovery_seconds,
            ),
            (
                "load_seconds",
                "Seconds that the rehearsal took",
                self.load_seconds,
            ),
            (
                "repositories",
                "Repositories in the state",
                number(self.repositories),
            ),
            ("segments", "Segments in the state", number(self.segments)),
            (
                "segment_size_bytes",
                "Bytes of the segments",
                number(self.segment_bytes),
            ),
            (
                "unread_entries",
                "Journal entries that are in no segment yet",
                number(self.unread_entries),
            ),
            (
                "carried_entries",
                "Those of them that lie only in buckets of clusters before the source",
                number(self.carried_entries),
            ),
        ]
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        match self.newest_event_age_seconds {
            Some(age) => parts.push(format!("RPO now {age:.1} s")),
            None => parts.push("RPO now unknown".to_owned()),
        }
        if let Some(seconds) = self.expected_recovery_seconds {
            parts.push(format!("expected recovery {seconds:.2} s"));
        }
        if let Some(position) = self.snapshot {
            parts.push(format!("snapshot {position}"));
        }
        if let (Some(repositories), Some(segments)) = (self.repositories, self.segments) {
            parts.push(format!("{repositories} repositories, {segments} segments"));
        }
        parts.join(" · ") + "\n"
    }
}

#[cfg(test)]
mod tests;
