//! One engine on its own thread, and a client that retries.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use backstay_node::{
    Engine, IdempotencyKey, IngestError, NodeConfig, Phase, RepositoryName, SearchError,
};
use backstay_search::{Event, Limits, Query, TimeRange};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Only to end a test that hangs; no test measures time.
const HANG_TIMEOUT: Duration = Duration::from_secs(120);

/// A region: a bucket folder.
pub struct Region {
    pub folder: tempfile::TempDir,
}

impl Region {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Each region encrypts with a key of its own.
    pub fn key(&self) -> String {
        format!("key of the region {}", self.folder.path().display())
    }

    pub fn bucket(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A node's configuration, with quick beats. `node` names its data folder.
    pub fn node(&self, node: &str) -> Vars {
        let data = self.folder.path().join(node);
        Vars(BTreeMap::from(
            [
                ("LOCAL_STORAGE_PATH", self.bucket("bucket").as_str()),
                ("LOCAL_STORAGE_ENCRYPTION_KEY", self.key().as_str()),
                ("DIRECTORY", data.to_str().unwrap()),
                ("PUBLIC_URL", &format!("http://{node}.test/")),
                ("BACKSTAY_HEARTBEAT_MS", "50"),
                ("BACKSTAY_LEASE_MS", "600"),
                ("BACKSTAY_COMMIT_LINGER_MS", "5"),
                ("BACKSTAY_SEGMENT_BYTES", "400"),
                ("BACKSTAY_SNAPSHOT_SECONDS", "1"),
                ("BACKSTAY_ACK_TIMEOUT_MS", "5000"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ))
    }
}

/// Variables of a node.
#[derive(Clone)]
pub struct Vars(BTreeMap<String, String>);

impl Vars {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn recovering_from(self, region: &Region) -> Self {
        self.with("LOCAL_RECOVER_FROM_PATH", &region.bucket("bucket"))
            .with("LOCAL_RECOVER_FROM_ENCRYPTION_KEY", &region.key())
    }
}

/// A running engine.
pub struct Host {
    pub engine: Engine,
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// A host that does not move until this is dropped.
pub struct Frozen(#[allow(dead_code)] mpsc::Sender<()>);

impl Host {
    /// Starts without waiting for anything.
    pub fn begin(vars: &Vars) -> Self {
        let vars = vars.0.clone();
        let config = NodeConfig::from_env(&|name| vars.get(name).cloned()).unwrap();
        let (started, is_started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let engine = Engine::new(config).unwrap();
                engine.start();
                started.send((engine, Handle::current())).unwrap();
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        });
        let (engine, handle) = is_started.recv_timeout(HANG_TIMEOUT).unwrap();
        Self {
            engine,
            handle,
            stop,
            thread,
        }
    }

    /// Starts and waits until it serves.
    pub fn start(vars: &Vars) -> Self {
        let host = Self::begin(vars);
        let engine = host.engine.clone();
        host.run(async move { engine.ready().await }).unwrap();
        assert_eq!(host.engine.phase(), Phase::Ready);
        host
    }

    pub fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let (done, answer) = mpsc::channel();
        self.handle.spawn(async move {
            let _ = done.send(task.await);
        });
        answer.recv_timeout(HANG_TIMEOUT).expect("the host answers")
    }

    /// Ends it like SIGKILL: nothing more is done.
    pub fn kill(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }

    /// Ends it like SIGTERM.
    pub fn drain(self) {
        let engine = self.engine.clone();
        self.run(async move { engine.drain().await });
        self.kill();
    }

    /// Like SIGSTOP: no task of it moves.
    pub fn freeze(&self) -> Frozen {
        let (release, released) = mpsc::channel::<()>();
        let (frozen, is_frozen) = mpsc::channel();
        self.handle.spawn(async move {
            let _ = frozen.send(());
            let _ = released.recv();
        });
        is_frozen.recv_timeout(HANG_TIMEOUT).unwrap();
        Frozen(release)
    }

    pub fn send(&self, batch: &Batch) -> Result<bool, IngestError> {
        let engine = self.engine.clone();
        let batch = batch.clone();
        self.run(async move {
            let repository = RepositoryName::new("humio");
            let key = batch.key.clone().map(IdempotencyKey);
            let answer = engine.ingest(&repository, batch.events(), key).await;
            answer.map(|accepted| accepted.duplicate)
        })
    }

    /// How often each event is found.
    pub fn find(&self) -> Result<BTreeMap<String, usize>, SearchError> {
        self.find_by("*")
    }

    /// How often each event is found that a query asks for.
    pub fn find_by(&self, query: &str) -> Result<BTreeMap<String, usize>, SearchError> {
        let engine = self.engine.clone();
        let query = Query::parse(query).unwrap();
        self.run(async move {
            let repository = RepositoryName::new("humio");
            let limits = Limits {
                memory: 256 << 20,
                rows: 1_000_000,
                ..Limits::default()
            };
            let result = engine
                .search(&repository, query, TimeRange::ALL, limits)
                .await?;
            let mut found = BTreeMap::new();
            for row in result.events {
                let id = row["@id"].as_str().unwrap().to_owned();
                *found.entry(id).or_default() += 1;
            }
            Ok(found)
        })
    }

    /// Waits for something to become true on its own.
    pub fn until(&self, what: &str, condition: impl Fn(&Engine) -> bool) {
        let begun = std::time::Instant::now();
        while !condition(&self.engine) {
            assert!(begun.elapsed() < HANG_TIMEOUT, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A client's batch.
#[derive(Clone, Debug)]
pub struct Batch {
    pub name: String,
    pub key: Option<String>,
    pub size: usize,
}

impl Batch {
    pub fn keyed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            key: Some(format!("key of {name}")),
            size: 3,
        }
    }

    pub fn plain(name: &str) -> Self {
        Self {
            key: None,
            ..Self::keyed(name)
        }
    }

    pub fn ids(&self) -> Vec<String> {
        (0..self.size)
            .map(|n| format!("{}-{n}", self.name))
            .collect()
    }

    fn events(&self) -> Vec<Event> {
        let events = self.ids().into_iter().enumerate().map(|(n, id)| Event {
            timestamp_ms: 1_700_000_000_000 + n as i64,
            raw: format!("line of {id} with some text"),
            id,
            tags: vec![("type".to_owned(), "test".to_owned())],
            fields: Vec::new(),
        });
        events.collect()
    }
}

/// Sends until somebody acknowledges, as a shipper with retries does. Answers whether it was a
/// duplicate.
pub fn send_until_acknowledged(hosts: &[&Host], batch: &Batch) -> bool {
    let begun = std::time::Instant::now();
    loop {
        for host in hosts {
            match host.send(batch) {
                Ok(duplicate) => return duplicate,
                Err(error) => assert!(begun.elapsed() < HANG_TIMEOUT, "{batch:?}: {error}"),
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every acknowledged event is found once, and nothing else.
pub fn assert_exactly(host: &Host, acknowledged: &BTreeSet<String>) {
    let found = host.find().unwrap();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !found.contains_key(*id))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    let phantom: Vec<_> = found
        .keys()
        .filter(|id| !acknowledged.contains(*id))
        .collect();
    assert!(phantom.is_empty(), "never acknowledged: {phantom:?}");
}

/// How many segment objects a bucket has.
pub fn segments(region: &Region) -> usize {
    fn count(path: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(path) else {
            return 0;
        };
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| if path.is_dir() { count(&path) } else { 1 })
            .sum()
    }
    count(&region.folder.path().join("bucket/segments"))
}
