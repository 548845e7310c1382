//! The cluster's own log in its own repository, `humio`.
//!
//! Whoever logs is never held up, and never fails: a line goes into a queue of a fixed size, or is dropped and
//! counted. A task of the node takes lines out, some at a time, once the node serves, and stores them like events of
//! anybody, but for the metrics of what clients send. What it has to say itself goes to standard error alone. So the
//! lines of a start, which come before anything can be stored, are there afterwards: those of a recovery too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backstay_search::Event;
use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, timeout_at};

use crate::engine::Engine;
use crate::{IngestError, Phase};

/// The repository that every cluster has, for its own events.
pub(crate) const REPOSITORY: &str = "humio";
/// Lines that wait at the most.
const QUEUE: usize = 2048;
/// Longest text of a line; what is beyond is cut off.
const MAX_TEXT_BYTES: usize = 2048;
/// Lines that are stored at once.
const BATCH: usize = 512;
/// How long a first line waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// The wait after a batch that could not be stored.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What was logged.
#[derive(Clone, Debug)]
pub struct Line {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// `INFO` and the like.
    pub level: &'static str,
    /// The part of the program, or a name that operators know, such as `DataSnapshotLoader`.
    pub target: String,
    /// The message.
    pub message: String,
    /// What was logged beside it, as ` name=value`, one after the other.
    pub fields: String,
}

/// Where lines are put. Cheap to clone.
#[derive(Clone)]
pub struct OwnLog {
    lines: Sender<Line>,
    dropped: Arc<AtomicU64>,
}

/// Where they come out.
pub struct OwnLogLines {
    lines: Receiver<Line>,
    dropped: Arc<AtomicU64>,
}

/// A queue for a process's log.
pub fn own_log() -> (OwnLog, OwnLogLines) {
    let (sender, receiver) = channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let log = OwnLog {
        lines: sender,
        dropped: Arc::clone(&dropped),
    };
    let lines = OwnLogLines {
        lines: receiver,
        dropped,
    };
    (log, lines)
}

impl OwnLog {
    /// Whether lines of this target are left out: those of what stores them.
    pub fn leaves_out(target: &str) -> bool {
        target == module_path!()
    }

    /// Puts a line into the queue, or drops it where that is full. Never waits.
    pub fn offer(&self, mut line: Line) {
        truncate(&mut line.message);
        truncate(&mut line.fields);
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn truncate(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        let mut ends = (0..=MAX_TEXT_BYTES).rev();
        let end = ends.find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
    }
}

impl OwnLogLines {
    /// Stores what comes, for as long as the node serves.
    pub(crate) async fn store(mut self, engine: Engine) {
        if engine.ready().await.is_err() {
            return;
        }
        let start = engine
            .identity()
            .map(|(_, start)| start)
            .unwrap_or_default();
        let mut number = 0_u64;
        let mut lines = Vec::new();
        while self.gather(&mut lines).await {
            let events: Vec<Event> = lines
                .drain(..)
                .map(|line| {
                    number += 1;
                    event(line, format!("{start}-{number}"))
                })
                .collect();
            let count = events.len() as u64;
            let metrics = engine.metrics();
            if keep(&engine, events).await {
                metrics.own_log_events.inc_by(count);
            } else {
                metrics.own_log_dropped.inc_by(count);
            }
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                metrics.own_log_dropped.inc_by(dropped);
                tracing::warn!(dropped, "lines of this log are not in the repository humio");
            }
        }
    }

    /// Some lines; `false` when there will be none any more.
    async fn gather(&mut self, lines: &mut Vec<Line>) -> bool {
        let Some(first) = self.lines.recv().await else {
            return false;
        };
        lines.push(first);
        let until = Instant::now() + GATHER;
        while lines.len() < BATCH {
            match timeout_at(until, self.lines.recv()).await {
                Ok(Some(line)) => lines.push(line),
                Ok(None) | Err(_) => break,
            }
        }
        true
    }
}

/// Stores a batch, however long that takes while the node serves. Whether it is stored.
async fn keep(engine: &Engine, events: Vec<Event>) -> bool {
    loop {
        match engine.keep_own(events.clone()).await {
            Ok(()) => return true,
            // Who owns no partition has nowhere to put it: with another node, it has no token.
            Err(IngestError::Elsewhere { .. } | IngestError::NoRepository { .. }) => return false,
            Err(_) if engine.phase() != Phase::Ready => return false,
            Err(error) => tracing::debug!(%error, "the own log waits"),
        }
        sleep(RETRY_DELAY).await;
    }
}

fn event(line: Line, id: String) -> Event {
    let Line {
        at_ms,
        level,
        target,
        message,
        fields,
    } = line;
    let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default();
    let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Event {
        timestamp_ms: at_ms,
        raw: format!("{at} {level:>5} {target}: {message}{fields}"),
        id,
        tags: vec![pair("kind", "logs"), pair("type", "humio")],
        fields: vec![
            pair("loglevel", level),
            pair("class", &target),
            pair("message", &message),
        ],
    }
}

#[cfg(test)]
mod tests;
