//! Clients that keep to one node, past everything that could lead them elsewhere, and remember what
//! was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backstay_lab::client::NodeClient;
use backstay_lab::workload::feed::body;
use backstay_pair::Side;
use bytes::Bytes;
use futures::TryStreamExt as _;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::control::HANG;
use crate::world::World;

const REPOSITORY: &str = "story";

/// A client of one node.
pub struct Client {
    runtime: Runtime,
    node: NodeClient,
    token: String,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    task: Option<JoinHandle<BTreeSet<String>>>,
}

fn context(side: Side) -> &'static str {
    match side {
        Side::Primary => "aks-primary",
        Side::Secondary => "aks-secondary",
    }
}

/// The node in a region's pod that takes everything.
fn node(world: &World, side: Side) -> NodeClient {
    let ip = world.until(
        &format!(
            "kubectl --context {} -n logging get pods -l app.kubernetes.io/name=humio,humio.com/node-pool=logscale \
             -o jsonpath='{{.items[0].status.podIP}}'",
            context(side)
        ),
        |ip| !ip.is_empty(),
    );
    NodeClient::new(&format!("http://{}:8080/", ip.trim())).unwrap()
}

/// Makes a repository as soon as that is possible, and a token for it.
pub fn repository(runtime: &Runtime, node: &NodeClient, admin: &str, name: &str) -> String {
    runtime.block_on(async {
        let start = Instant::now();
        while let Err(error) = node.create_repository(admin, name).await {
            assert!(start.elapsed() < HANG, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        node.create_ingest_token(admin, name, "story")
            .await
            .unwrap()
    })
}

/// An event in a batch of its own, of which the identity is the text too.
pub fn event(identity: &str) -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_millis()).unwrap();
    body(now, &[("story", identity.to_owned(), identity.to_owned())])
}

/// Texts of events, each found once.
pub fn texts(runtime: &Runtime, node: &NodeClient, admin: &str, name: &str) -> BTreeSet<String> {
    let rows = runtime.block_on(async {
        let rows = node.query(admin, name, "*").await.unwrap();
        rows.try_collect::<Vec<_>>().await.unwrap()
    });
    let mut found = BTreeSet::new();
    for row in rows {
        let text = row["@rawstring"].as_str().unwrap().to_owned();
        assert!(found.insert(text.clone()), "{text} is found twice");
    }
    found
}

impl Client {
    /// Makes a repository in the primary and begins to send to it, an event at a time.
    pub fn of_primary(world: &World) -> Self {
        let runtime = Runtime::new().unwrap();
        let admin = world.admin_token(Side::Primary);
        let node = node(world, Side::Primary);
        let token = repository(&runtime, &node, &admin, REPOSITORY);
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let refused = Arc::new(AtomicUsize::new(0));
        let sending = send(
            node.clone(),
            token.clone(),
            stop.clone(),
            [count.clone(), refused.clone()],
        );
        let task = runtime.spawn(sending);
        let client = Self {
            runtime,
            node,
            token,
            stop,
            count,
            refused,
            task: Some(task),
        };
        client.until_acknowledged(1);
        client
    }

    /// How many events are acknowledged by now.
    pub fn acknowledged(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// How many tries the node has refused by now.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Acquire)
    }

    /// Waits until so many events are acknowledged.
    pub fn until_acknowledged(&self, events: usize) {
        let start = Instant::now();
        while self.acknowledged() < events {
            assert!(start.elapsed() < HANG, "{}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the node takes an event now.
    pub fn takes(&self, identity: &str) -> bool {
        let batch = body(0, &[("story", identity.to_owned(), identity.to_owned())]);
        let taken = self.node.ingest(&self.token, identity, batch);
        self.runtime.block_on(taken).is_ok()
    }

    /// What the node says of itself.
    pub fn status(&self) -> String {
        match self.runtime.block_on(self.node.status()) {
            Ok(answer) => answer.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Waits until the node takes nothing any more.
    pub fn until_refused(&self) {
        let start = Instant::now();
        while self.takes("too-late") {
            assert!(start.elapsed() < HANG, "{}", self.status());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the sending. Says what was acknowledged.
    pub fn end(&mut self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Release);
        self.runtime.block_on(self.task.take().unwrap()).unwrap()
    }

    /// Ends the sending, and checks that the secondary has all that was acknowledged, each once.
    /// Says how many that were.
    pub fn check(&mut self, world: &World) -> usize {
        let acknowledged = self.end();
        let admin = world.admin_token(Side::Secondary);
        let secondary = node(world, Side::Secondary);
        let found = texts(&self.runtime, &secondary, &admin, REPOSITORY);
        let lost: Vec<&String> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        acknowledged.len()
    }
}

async fn send(
    node: NodeClient,
    token: String,
    stop: Arc<AtomicBool>,
    [count, refused]: [Arc<AtomicUsize>; 2],
) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let identity = format!("event-{number}");
        let batch = event(&identity);
        // One that is not acknowledged is sent again, under its own key: it may be there already.
        match tokio::time::timeout(
            Duration::from_secs(2),
            node.ingest(&token, &identity, batch),
        )
        .await
        {
            Ok(Ok(())) => {
                acknowledged.insert(identity);
                number += 1;
                count.store(number, Ordering::Release);
            }
            answer => {
                refused.fetch_add(usize::from(answer.is_ok()), Ordering::AcqRel);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acknowledged
}
