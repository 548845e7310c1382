//! The clients of one run, who send until everything is acknowledged, and then compare.

use std::sync::Arc;
use std::time::Instant;

use backstay_lab::client::NodeClient;
use backstay_lab::supervisor::NodeProcess;
use backstay_lab::workload::RunName;
use backstay_lab::workload::feed::Feed;
use backstay_lab::workload::ledger::Ledger;
use backstay_lab::workload::lines::Generator;
use backstay_lab::workload::sender::{Address, Senders, Sending};
use backstay_lab::workload::verdict::{Tally, judge};
use backstay_pair::Side;
use tokio::sync::watch;

use crate::world::{Ended, PATIENCE, REPOSITORY, TICK};

/// Events of one run.
const EVENTS: u64 = 1_200;
const BATCH: u64 = 8;
const SENDERS: usize = 4;

/// The clients of one run.
pub struct Clients {
    run: RunName,
    ledger: Arc<Ledger>,
    name: watch::Sender<Address>,
    allow: watch::Sender<u64>,
    senders: Senders,
}

impl Clients {
    pub fn start(seed: u64, node: &NodeClient, token: Arc<str>) -> Self {
        let run = RunName::new(seed, now_ms());
        let ledger = Arc::new(Ledger::new(Instant::now(), EVENTS, BATCH));
        let lines = Generator::new(seed, Default::default()).map(Ok);
        let (name, resolver) = watch::channel(Address {
            side: Side::Primary,
            node: node.clone(),
        });
        let (allow, allowed) = watch::channel(0);
        let sending = Sending {
            run: run.clone(),
            token,
            feed: Feed::new(run.clone(), ledger.clone(), lines),
            ledger: ledger.clone(),
            name: resolver,
            allowed,
        };
        let senders = Senders::start(SENDERS, &sending);
        Self {
            run,
            ledger,
            name,
            allow,
            senders,
        }
    }

    /// Lets some more go: sending takes long enough for segments and snapshots to be made.
    pub fn more(&self) {
        self.allow
            .send_modify(|allowed| *allowed = (*allowed + BATCH / 2).min(EVENTS));
    }

    pub fn point_to(&self, node: &NodeProcess) {
        self.name.send_replace(Address {
            side: Side::Secondary,
            node: node.client().clone(),
        });
    }

    /// Whether all was acknowledged.
    pub fn finished(&mut self) -> Ended<bool> {
        Ok(self.senders.finished()?)
    }

    /// Whether half of it was acknowledged.
    pub fn half(&self) -> bool {
        self.ledger.acknowledged_events() >= EVENTS / 2
    }

    /// Sends the rest and compares.
    pub async fn finish(&mut self, node: &mut NodeProcess) -> Ended<()> {
        let since = Instant::now();
        while !self.finished()? {
            self.more();
            node.must_run()?;
            if since.elapsed() > PATIENCE {
                let done = self.ledger.acknowledged_events();
                return Err(format!(
                    "only {done} of {EVENTS} acknowledged:\n{}",
                    node.log_tail(15)
                )
                .into());
            }
            tokio::time::sleep(TICK).await;
        }
        let admin = node.admin_token()?;
        let mut tally = Tally::new(&self.ledger);
        let rows = node.client().query(&admin, REPOSITORY, "*").await;
        let rows = rows?;
        let taken = tally.take(&self.run, &self.ledger, rows, &|_| {}).await;
        taken?;
        let verdict = judge(&self.run, &self.ledger, &tally);
        if verdict.holds() && verdict.acknowledged == EVENTS {
            return Ok(());
        }
        Err(format!("{verdict:?}").into())
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
