//! What was found, compared with what was acknowledged.
//!
//! The promise is: every acknowledged event is found exactly once; nothing is found that was not
//! sent; an event that was sent and never acknowledged may be there once or not at all. An event
//! whose text is not the one that was sent was never sent: it counts as a phantom, and the event
//! that it stands for as lost.

use futures::{Stream, StreamExt};
use serde::Serialize;

use super::feed::fingerprint;
use super::ledger::Ledger;
use super::{IDENTITY_FIELD, RunName};
use crate::client::{ClientError, Row};

/// Identities that a verdict names for each kind of fault.
const MAX_EXAMPLES: usize = 5;

/// How often each event was found: one byte an event, however many rows the search had.
#[derive(Clone, Debug)]
pub struct Tally {
    counts: Vec<u8>,
    phantom: u64,
    phantoms: Vec<String>,
}

impl Tally {
    /// A comparison with the ledger in which nothing is found yet.
    pub fn new(ledger: &Ledger) -> Self {
        Self {
            counts: vec![0; ledger.events() as usize],
            phantom: 0,
            phantoms: Vec::new(),
        }
    }

    /// One row was found.
    pub fn found(&mut self, run: &RunName, ledger: &Ledger, identity: Option<&str>, raw: &str) {
        let number = identity.and_then(|identity| run.number(identity));
        match number.filter(|number| ledger.was_sent(*number, fingerprint(raw))) {
            Some(number) => {
                let count = &mut self.counts[number as usize];
                *count = count.saturating_add(1);
            }
            None => {
                self.phantom += 1;
                if self.phantoms.len() < MAX_EXAMPLES {
                    let raw: String = raw.chars().take(200).collect();
                    self.phantoms
                        .push(format!("{}: {raw}", identity.unwrap_or("no identity")));
                }
            }
        }
    }

    /// Takes all rows of a search.
    ///
    /// # Errors
    /// When the search breaks off: then nothing can be said about what it did not deliver.
    pub async fn take(
        &mut self,
        run: &RunName,
        ledger: &Ledger,
        mut rows: impl Stream<Item = Result<Row, ClientError>> + Unpin,
        seen: &(dyn Fn(u64) + Sync),
    ) -> Result<(), ClientError> {
        let mut count = 0;
        while let Some(row) = rows.next().await {
            let row = row?;
            let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str);
            self.found(
                run,
                ledger,
                text(IDENTITY_FIELD),
                text("@rawstring").unwrap_or_default(),
            );
            count += 1;
            seen(count);
        }
        Ok(())
    }
}

/// What came of comparing the ledger with what is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Events that a node acknowledged.
    pub acknowledged: u64,
    /// Events that were found, each counted once.
    pub found: u64,
    /// Acknowledged events that were not found.
    pub lost: u64,
    /// Rows beyond the first of the same event.
    pub duplicated: u64,
    /// Rows that nobody sent.
    pub phantom: u64,
    /// Events that were sent and never acknowledged, but found: allowed.
    pub unacknowledged_found: u64,
    /// When the oldest lost event was acknowledged, milliseconds since the run began.
    pub oldest_lost_ms: Option<u64>,
    /// A few of the events at fault.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Whether the promise was kept.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.phantom == 0
    }
}

/// Judges. Pure: the same ledger and tally give the same verdict.
pub fn judge(run: &RunName, ledger: &Ledger, tally: &Tally) -> Verdict {
    let mut verdict = Verdict {
        phantom: tally.phantom,
        examples: tally
            .phantoms
            .iter()
            .map(|text| format!("phantom {text}"))
            .collect(),
        ..Verdict::default()
    };
    let (mut lost_named, mut doubled_named) = (0, 0);
    for number in 0..ledger.events() {
        let count = tally.counts.get(number as usize).copied().unwrap_or(0);
        let acknowledged = ledger.acknowledged_at_ms(number);
        verdict.found += u64::from(count > 0);
        if count > 1 {
            verdict.duplicated += u64::from(count) - 1;
            if doubled_named < MAX_EXAMPLES {
                doubled_named += 1;
                verdict.examples.push(format!(
                    "duplicated {} ({count} times)",
                    run.identity(number)
                ));
            }
        }
        match acknowledged {
            None => verdict.unacknowledged_found += u64::from(count > 0),
            Some(at) => {
                verdict.acknowledged += 1;
                if count == 0 {
                    verdict.lost += 1;
                    let oldest = verdict.oldest_lost_ms.map_or(at, |other| other.min(at));
                    verdict.oldest_lost_ms = Some(oldest);
                    if lost_named < MAX_EXAMPLES {
                        lost_named += 1;
                        verdict.examples.push(format!(
                            "lost {} (acknowledged at {at} ms)",
                            run.identity(number)
                        ));
                    }
                }
            }
        }
    }
    verdict
}

#[cfg(test)]
mod tests;
