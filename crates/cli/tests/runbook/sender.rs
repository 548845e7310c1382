//! A client of the global name that sends all the time, sends again what was not acknowledged, and
//! remembers what was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backstay_lab::drill::traffic::Lookup;
use backstay_lab::workload::sender::Address;
use backstay_names::Names;
use backstay_pair::Side;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clients::{event, repository, texts};
use crate::control::HANG;
use crate::world::World;

const REPOSITORY: &str = "story";

/// It, and what it knows.
pub struct Sender {
    runtime: Runtime,
    name: watch::Receiver<Address>,
    admin: String,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    task: Option<JoinHandle<BTreeSet<String>>>,
    _lookup: Lookup,
}

impl Sender {
    /// Makes a repository in the primary, and begins.
    pub fn start(world: &World) -> Self {
        let runtime = Runtime::new().unwrap();
        let ingress = Side::BOTH.map(|side| (side, world.place().ingress_proxies(side)[0]));
        let base = format!("http://logs.trafficmanager.net:{}/", ingress[0].1.port());
        let names = Names::of(world.place().dns()).unwrap();
        let addresses = ingress.map(|(side, at)| (side, at.ip()));
        let (lookup, name) = {
            let _inside = runtime.enter();
            Lookup::start(&names, &base, addresses).unwrap()
        };
        let admin = world.admin_token(Side::Primary);
        let node = name.borrow().node.clone();
        let token = repository(&runtime, &node, &admin, REPOSITORY);
        let (stop, count) = (Arc::default(), Arc::default());
        let sending = send(name.clone(), token, Arc::clone(&stop), Arc::clone(&count));
        let task = runtime.spawn(sending);
        Self {
            runtime,
            name,
            admin,
            stop,
            count,
            task: Some(task),
            _lookup: lookup,
        }
    }

    /// Waits until so many more events are acknowledged.
    pub fn flow(&self, events: usize) {
        let wanted = self.count.load(Ordering::Acquire) + events;
        let start = Instant::now();
        while self.count.load(Ordering::Acquire) < wanted {
            assert!(start.elapsed() < HANG, "nothing is acknowledged");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it, and checks that all that was acknowledged is found where the name leads, each event
    /// once, and nothing else. Says how many there are.
    pub fn check(&mut self) -> usize {
        self.stop.store(true, Ordering::Release);
        let task = self.task.take().unwrap();
        let acknowledged = self.runtime.block_on(task).unwrap();
        let node = self.name.borrow().node.clone();
        let found = texts(&self.runtime, &node, &self.admin, REPOSITORY);
        let lost: Vec<&String> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let phantom: Vec<&String> = found.difference(&acknowledged).collect();
        // The last one may have been written without its acknowledgement coming back.
        assert!(
            phantom.len() < 2,
            "found and never acknowledged: {phantom:?}"
        );
        acknowledged.len()
    }
}

async fn send(
    name: watch::Receiver<Address>,
    token: String,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let identity = format!("event-{number}");
        let batch = event(&identity);
        let node = name.borrow().node.clone();
        let sent = node.ingest(&token, &identity, batch);
        match tokio::time::timeout(Duration::from_secs(5), sent).await {
            Ok(Ok(())) => {
                acknowledged.insert(identity);
                number += 1;
                count.store(number, Ordering::Release);
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    acknowledged
}
