//! What a benchmark found, as a table or as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The result of one benchmark.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Its name, as the command's.
    pub(crate) bench: &'static str,
    /// What was measured on what.
    pub(crate) subject: String,
    /// What it is compared with.
    pub(crate) peer: String,
    /// One line each.
    pub(crate) rows: Vec<Row>,
    /// The figures that count.
    pub(crate) ratios: Vec<Ratio>,
    /// What a reader has to know.
    pub(crate) notes: Vec<String>,
    /// Whether every limit holds.
    pub(crate) ok: bool,
}

/// A figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Of what.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// In what.
    pub(crate) unit: &'static str,
}

/// A figure against another one.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    /// Of what.
    pub(crate) name: &'static str,
    /// Ours divided by the other.
    pub(crate) value: f64,
    /// It must not be more than this.
    pub(crate) limit: Option<f64>,
}

impl Row {
    /// A time.
    pub(crate) fn time(name: impl Into<String>, time: Duration) -> Self {
        Self {
            name: name.into(),
            value: time.as_secs_f64() * 1000.0,
            unit: "ms",
        }
    }

    /// A size.
    pub(crate) fn bytes(name: impl Into<String>, bytes: u64) -> Self {
        Self {
            name: name.into(),
            value: bytes as f64 / f64::from(1 << 20),
            unit: "MiB",
        }
    }

    /// Bytes in a time.
    pub(crate) fn rate(name: impl Into<String>, bytes: u64, time: Duration) -> Self {
        Self {
            name: name.into(),
            value: bytes as f64 / 1e6 / time.as_secs_f64(),
            unit: "MB/s",
        }
    }

    /// How many.
    pub(crate) fn count(name: impl Into<String>, count: u64) -> Self {
        Self {
            name: name.into(),
            value: count as f64,
            unit: "",
        }
    }
}

impl Ratio {
    /// One time against another.
    pub(crate) fn of(name: &'static str, ours: Duration, peer: Duration) -> Self {
        Self {
            name,
            value: ours.as_secs_f64() / peer.as_secs_f64(),
            limit: None,
        }
    }

    /// It must not be more than this.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    /// Whether it is within its limit.
    pub(crate) fn holds(&self) -> bool {
        // Not `value > limit`: what is no number holds nothing.
        self.limit.is_none_or(|limit| self.value <= limit)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.bench, self.subject)?;
        writeln!(f, "peer: {}", self.peer)?;
        writeln!(f)?;
        let names = self.rows.iter().map(|row| row.name.chars().count());
        let width = names.max().unwrap_or(0);
        for Row { name, value, unit } in &self.rows {
            let digits = usize::from(!unit.is_empty());
            writeln!(f, "  {name:width$}  {value:>12.digits$} {unit}")?;
        }
        writeln!(f)?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for ratio in &self.ratios {
            write!(f, "ratio {}: {:.3}", ratio.name, ratio.value)?;
            match ratio.limit {
                Some(limit) if ratio.holds() => writeln!(f, " (at most {limit})")?,
                Some(limit) => writeln!(f, " (MORE than the limit, {limit})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
