//! Lines made into batches: identities, the body of the request, and what the ledger must know.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::{Mutex, mpsc};

use super::ledger::Ledger;
use super::lines::{Line, LinesError, stamp};
use super::{IDENTITY_FIELD, RunName};

/// Batches that wait ready for a sender; with the senders' own they bound the memory.
const MAX_READY_BATCHES: usize = 16;

/// Events of one request.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its number in the run.
    pub number: u64,
    /// The number after its last event's.
    pub end: u64,
    /// The request's body, in the form of `humio-structured`.
    pub body: Bytes,
}

/// What tells an event's text from any other, as far as chance goes.
pub fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The body of a request for `humio-structured`, from `(kind, identity, text)` of each event.
pub fn body(timestamp_ms: i64, events: &[(&str, String, String)]) -> Bytes {
    let mut groups: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
    for (kind, identity, text) in events {
        groups.entry(kind).or_default().push(json!({
            "timestamp": timestamp_ms,
            "rawstring": text,
            "attributes": { IDENTITY_FIELD: identity },
        }));
    }
    let groups: Vec<serde_json::Value> = groups
        .into_iter()
        .map(|(kind, events)| json!({ "tags": { "kind": kind }, "events": events }))
        .collect();
    Bytes::from(serde_json::Value::Array(groups).to_string())
}

/// The batches of a run, taken by many senders.
#[derive(Clone)]
pub struct Feed {
    batches: Arc<Mutex<mpsc::Receiver<Result<Batch, LinesError>>>>,
}

impl Feed {
    /// Makes batches of `lines` on a thread of its own, at most as many events as the ledger has
    /// room for. The thread ends with the lines or with the last clone of the feed.
    pub fn new<L>(run: RunName, ledger: Arc<Ledger>, lines: L) -> Self
    where
        L: Iterator<Item = Result<Line, LinesError>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(MAX_READY_BATCHES);
        std::thread::spawn(move || {
            let mut maker = Maker {
                run,
                ledger,
                lines,
                number: 0,
                next: 0,
            };
            while let Some(batch) = maker.batch().transpose() {
                let last = batch.is_err();
                if sender.blocking_send(batch).is_err() || last {
                    return;
                }
            }
        });
        Self {
            batches: Arc::new(Mutex::new(receiver)),
        }
    }

    /// The next batch; `None` when there are no more.
    ///
    /// # Errors
    /// When the lines cannot be read.
    pub async fn next(&self) -> Result<Option<Batch>, LinesError> {
        self.batches.lock().await.recv().await.transpose()
    }
}

struct Maker<L> {
    run: RunName,
    ledger: Arc<Ledger>,
    lines: L,
    number: u64,
    next: u64,
}

impl<L: Iterator<Item = Result<Line, LinesError>>> Maker<L> {
    fn batch(&mut self) -> Result<Option<Batch>, LinesError> {
        let size = self
            .ledger
            .batch_size()
            .min(self.ledger.events() - self.next);
        let mut taken: Vec<(Line, String)> = Vec::with_capacity(size as usize);
        while (taken.len() as u64) < size {
            let Some(line) = self.lines.next() else { break };
            let line = line?;
            let identity = self.run.identity(self.next + taken.len() as u64);
            taken.push((line, identity));
        }
        if taken.is_empty() {
            return Ok(None);
        }
        let events: Vec<(&str, String, String)> = taken
            .iter()
            .map(|(line, identity)| {
                (
                    line.kind.as_str(),
                    identity.clone(),
                    stamp(&line.text, identity),
                )
            })
            .collect();
        for (at, (_, _, text)) in events.iter().enumerate() {
            self.ledger.made(self.next + at as u64, fingerprint(text));
        }
        let batch = Batch {
            number: self.number,
            end: self.next + events.len() as u64,
            body: body(chrono::Utc::now().timestamp_millis(), &events),
        };
        self.number += 1;
        self.next = batch.end;
        Ok(Some(batch))
    }
}
