//! Clients that send all the time to whichever node is well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_lab::client::{ClientError, NodeClient};
use backstay_lab::supervisor::NodeProcess;
use backstay_lab::workload::RunName;
use backstay_lab::workload::feed::Feed;
use backstay_lab::workload::ledger::Ledger;
use backstay_lab::workload::lines::Generator;
use backstay_lab::workload::sender::{Address, Senders, Sending};
use backstay_lab::workload::verdict::{Tally, judge};
use backstay_pair::Side;
use backstay_report::Cause;
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{REPOSITORY, until};

/// More than any test sends.
const MOST: u64 = 200_000;
const BATCH: u64 = 8;
/// Clients of each address.
const SENDERS: usize = 3;
/// Unacknowledged events at a time; they stop the clients while nothing is acknowledged.
const WINDOW: u64 = 96;
/// One batch is let go in this time at the most.
const PACE: Duration = Duration::from_millis(15);
/// How often the addresses are probed, and how long one has for its answer.
const PROBE: Duration = Duration::from_millis(100);
const PROBE_ANSWER: Duration = Duration::from_secs(1);

/// Clients in groups, one for each address that is known. A group stays with its address while
/// that is well and goes over to the next one when it is not, as behind a load balancer.
pub struct Clients {
    run: RunName,
    ledger: Arc<Ledger>,
    addresses: watch::Sender<Vec<NodeClient>>,
    allow: watch::Sender<u64>,
    groups: Vec<Senders>,
    pacing: Option<JoinHandle<()>>,
    balancing: JoinHandle<()>,
}

impl Clients {
    /// Starts sending to these nodes.
    pub async fn start(nodes: &[&NodeProcess], token: &str) -> Self {
        for node in nodes {
            until("the token is known", || knows(node.client(), token)).await;
        }
        let run = RunName::new(rand::random(), 0);
        let ledger = Arc::new(Ledger::new(Instant::now(), MOST, BATCH));
        let lines = Generator::new(rand::random(), Default::default()).map(Ok);
        let feed = Feed::new(run.clone(), ledger.clone(), lines);
        let (allow, allowed) = watch::channel(0);
        let known: Vec<NodeClient> = nodes.iter().map(|node| node.client().clone()).collect();
        let mut names = Vec::new();
        let mut groups = Vec::new();
        for node in &known {
            let (name, resolver) = watch::channel(Address {
                side: Side::Primary,
                node: node.clone(),
            });
            let sending = Sending {
                run: run.clone(),
                token: token.into(),
                feed: feed.clone(),
                ledger: ledger.clone(),
                name: resolver,
                allowed: allowed.clone(),
            };
            names.push(name);
            groups.push(Senders::start(SENDERS, &sending));
        }
        let (addresses, listed) = watch::channel(known);
        let mut clients = Self {
            run,
            ledger,
            addresses,
            allow,
            groups,
            pacing: None,
            balancing: tokio::spawn(balance(listed, names)),
        };
        clients.go_on();
        clients
    }

    /// The addresses from now on.
    pub fn know(&self, nodes: &[&NodeProcess]) {
        let known = nodes.iter().map(|node| node.client().clone()).collect();
        self.addresses.send_replace(known);
    }

    pub fn acknowledged(&self) -> u64 {
        self.ledger.acknowledged_events()
    }

    /// Lets them send.
    pub fn go_on(&mut self) {
        let (allow, ledger) = (self.allow.clone(), self.ledger.clone());
        self.halt();
        self.pacing = Some(tokio::spawn(async move {
            loop {
                let most = ledger.acknowledged_events() + WINDOW;
                allow.send_modify(|allowed| *allowed = most.min(*allowed + BATCH).min(MOST));
                tokio::time::sleep(PACE).await;
            }
        }));
    }

    fn halt(&mut self) {
        if let Some(pacing) = self.pacing.take() {
            pacing.abort();
        }
    }

    fn look_after(&mut self) {
        for group in &mut self.groups {
            group.finished().unwrap();
        }
    }

    /// Waits until so many more are acknowledged than are now.
    pub async fn flow(&mut self, events: u64) {
        let wanted = self.acknowledged() + events;
        self.reach(wanted).await;
    }

    async fn reach(&mut self, wanted: u64) {
        until("acknowledgements", || {
            self.look_after();
            let (now, (requests, failed)) = (self.acknowledged(), self.ledger.requests());
            std::future::ready(if now >= wanted {
                Ok(())
            } else {
                Err(format!(
                    "{now} of {wanted} events; {requests} requests, {failed} failed"
                ))
            })
        })
        .await;
    }

    /// Stops sending once all that was sent is acknowledged.
    pub async fn pause(&mut self) {
        self.halt();
        let allowed = *self.allow.borrow();
        self.reach(allowed / BATCH * BATCH).await;
        assert_eq!(self.ledger.in_flight(), 0);
    }

    /// Whether `node` finds all that was acknowledged, each once, and nothing else. While they
    /// pause.
    pub async fn verdict(&self, node: &NodeProcess) -> Result<(), Cause> {
        let admin = node.admin_token()?;
        let mut tally = Tally::new(&self.ledger);
        let rows = node.client().query(&admin, REPOSITORY, "*").await;
        tally.take(&self.run, &self.ledger, rows?, &|_| {}).await?;
        let verdict = judge(&self.run, &self.ledger, &tally);
        if verdict.holds() && verdict.acknowledged == self.acknowledged() {
            Ok(())
        } else {
            Err(format!("{verdict:?}").into())
        }
    }

    /// Asserts it.
    pub async fn all_found(&self, node: &NodeProcess) {
        if let Err(error) = self.verdict(node).await {
            panic!("{}: {error}\n{}", node.name(), node.log_tail(20));
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.halt();
        self.balancing.abort();
    }
}

/// A token made on one node is known to another with its next look at `global`.
async fn knows(node: &NodeClient, token: &str) -> Result<(), ClientError> {
    match node.ingest(token, "none", Bytes::from_static(b"[]")).await {
        Err(
            error @ ClientError::Refused {
                status: 401 | 403, ..
            },
        ) => Err(error),
        _ => Ok(()),
    }
}

async fn balance(listed: watch::Receiver<Vec<NodeClient>>, names: Vec<watch::Sender<Address>>) {
    loop {
        let known = listed.borrow().clone();
        let probes = known.iter().map(async |node| {
            let asked = tokio::time::timeout(PROBE_ANSWER, node.status()).await;
            asked.is_ok_and(|answer| answer.is_ok_and(|answer| answer.ok))
        });
        let well = join_all(probes).await;
        for (group, name) in names.iter().enumerate() {
            let next = (0..known.len())
                .map(|step| (group + step) % known.len())
                .find(|at| well[*at]);
            let Some(next) = next.map(|at| &known[at]) else {
                continue;
            };
            name.send_if_modified(|address| {
                let moved = address.node.base() != next.base();
                if moved {
                    address.node = next.clone();
                }
                moved
            });
        }
        tokio::time::sleep(PROBE).await;
    }
}
