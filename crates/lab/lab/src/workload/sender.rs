//! Clients that send batches until they are acknowledged.
//!
//! They know one name. What it points to can be changed while they run, as DNS would, and a
//! client that waits for its next try sees it at once; one that still waits for an answer of the
//! old address does not.

use std::sync::Arc;
use std::time::Duration;

use backstay_pair::Side;
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::RunName;
use super::feed::{Batch, Feed};
use super::ledger::Ledger;
use super::lines::LinesError;
use crate::client::{ClientError, NodeClient};

/// Wait after the first failure; doubled at each further one.
const INITIAL_BACKOFF: Duration = Duration::from_millis(20);

/// Longest wait between two tries.
const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// A client that has no answer for so long asks again, once the name points elsewhere: the region that
/// it has asked may be frozen, and another serve. While it does not, whoever is asked may be slow.
const REROUTE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the name points.
#[derive(Clone, Debug)]
pub struct Address {
    /// The region that it points to.
    pub side: Side,
    /// A client of the node at that address.
    pub node: NodeClient,
}

/// Why a sender gave up.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The node says that the request is wrong; sending it again cannot help.
    #[error("a batch was refused for good: {0}")]
    Refused(#[source] ClientError),
    /// The lines cannot be read.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// A sender broke down.
    #[error("a sender broke down: {0}")]
    Broken(#[source] tokio::task::JoinError),
}

/// What every sender needs.
#[derive(Clone)]
pub struct Sending {
    /// The run that the lines' identities belong to.
    pub run: RunName,
    /// The ingest token that requests carry.
    pub token: Arc<str>,
    /// Where the batches come from.
    pub feed: Feed,
    /// The ledger of what was sent and acknowledged.
    pub ledger: Arc<Ledger>,
    /// The address that the pair's name points to now.
    pub name: watch::Receiver<Address>,
    /// A batch is sent when all its events have numbers below this: it holds the senders back
    /// without stopping them.
    pub allowed: watch::Receiver<u64>,
}

/// Senders that run. Dropping it ends them.
#[derive(Debug)]
pub struct Senders {
    tasks: JoinSet<Result<(), SendError>>,
}

impl Senders {
    /// Starts `count` senders, which run until the feed ends.
    pub fn start(count: usize, sending: &Sending) -> Self {
        let mut tasks = JoinSet::new();
        for _ in 0..count.max(1) {
            tasks.spawn(run(sending.clone()));
        }
        Self { tasks }
    }

    /// Whether all batches are acknowledged. Does not wait.
    ///
    /// # Errors
    /// When a sender gave up.
    pub fn finished(&mut self) -> Result<bool, SendError> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended.map_err(SendError::Broken)??;
        }
        Ok(self.tasks.is_empty())
    }
}

async fn run(mut sending: Sending) -> Result<(), SendError> {
    while let Some(batch) = sending.feed.next().await? {
        // An error means that nobody holds the senders back any more.
        let _ = sending
            .allowed
            .wait_for(|allowed| batch.end <= *allowed)
            .await;
        send(&mut sending, &batch).await?;
    }
    Ok(())
}

/// Sends one batch until it is acknowledged.
async fn send(sending: &mut Sending, batch: &Batch) -> Result<(), SendError> {
    let key = sending.run.batch_key(batch.number);
    let mut wait = INITIAL_BACKOFF;
    loop {
        let address = sending.name.borrow_and_update().clone();
        let mut request = InFlight::new(&sending.ledger, batch.number);
        let asked = address
            .node
            .ingest(&sending.token, &key, batch.body.clone());
        let answer = tokio::select! {
            answer = asked => Ok(answer),
            () = elsewhere(sending.name.clone()) => Err(()),
        };
        let told = match answer {
            Ok(Ok(())) => {
                request.acknowledged(address.side);
                return Ok(());
            }
            Ok(Err(error)) if !error.is_retryable() => return Err(SendError::Refused(error)),
            Ok(Err(error)) => {
                tracing::debug!(batch = batch.number, %error, "not acknowledged");
                sending.ledger.why(error.to_string());
                match error {
                    ClientError::Refused { retry_after, .. } => retry_after,
                    _ => None,
                }
            }
            Err(()) => {
                tracing::debug!(batch = batch.number, "no answer");
                let why = format!(
                    "no answer in {} s, and another serves",
                    REROUTE_TIMEOUT.as_secs()
                );
                sending.ledger.why(why);
                None
            }
        };
        drop(request);
        // Jitter, so that the clients of a node that comes back do not all come at once.
        let jitter = rand::rng().random_range(0.5..1.0);
        let pause = told.unwrap_or(wait).min(MAX_BACKOFF).mul_f64(jitter);
        wait = (wait * 2).min(MAX_BACKOFF);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = sending.name.changed() => if changed.is_err() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Resolves when the name that `name` has seen last has pointed elsewhere since, not before the
/// client's patience is at its end.
async fn elsewhere(mut name: watch::Receiver<Address>) {
    tokio::time::sleep(REROUTE_TIMEOUT).await;
    if name.changed().await.is_err() {
        std::future::pending().await
    }
}

/// A request in the ledger; one that is dropped without an answer has failed.
struct InFlight<'a> {
    ledger: &'a Ledger,
    batch: u64,
    open: bool,
}

impl<'a> InFlight<'a> {
    fn new(ledger: &'a Ledger, batch: u64) -> Self {
        ledger.request(batch);
        Self {
            ledger,
            batch,
            open: true,
        }
    }

    fn acknowledged(&mut self, side: Side) {
        self.open = false;
        self.ledger.acknowledged(self.batch, side);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.open {
            self.ledger.failed();
        }
    }
}
