//! What the tests of whole regions are made of: regions over a folder or over Azurite, nodes as
//! processes, clients that never stop, and ways to look at a node and to lay hands on its bucket.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use backstay_lab::region::{Azurite, Region};
use backstay_lab::supervisor::{NodeProcess, NodeSpec};
use backstay_lab::workload::RunName;
use tempfile::TempDir;

mod clients;
mod objects;
mod proxy;

pub use clients::Clients;
pub use objects::Objects;
pub use proxy::{Cut, Proxy};

/// The repository of all tests here.
pub const REPOSITORY: &str = "regions";

/// No wait for one thing is longer; a machine that is busy with other tests is slow.
pub use backstay_testkit::{WAIT_TIMEOUT, until_ok as until};

pub type Env = BTreeMap<String, String>;

/// Regions over one kind of store, and a folder for their nodes.
pub struct World {
    work: TempDir,
    azurite: Option<Azurite>,
    run: RunName,
    made: Vec<Region>,
}

impl World {
    fn over(azurite: Option<Azurite>) -> Self {
        Self {
            work: tempfile::tempdir().unwrap(),
            azurite,
            run: RunName::new(rand::random(), 0),
            made: Vec::new(),
        }
    }

    /// Every bucket is a folder.
    pub fn folders() -> Self {
        Self::over(None)
    }

    /// Every bucket is a container in Azurite; `None` where there is none.
    pub fn azurite() -> Option<Self> {
        named().map(|azurite| Self::over(Some(azurite)))
    }

    /// The same, with every call going through a proxy.
    pub async fn behind_proxy() -> Option<(Self, Proxy)> {
        let azurite = named()?;
        let url: reqwest::Url = azurite.url().parse().unwrap();
        let target = format!(
            "{}:{}",
            url.host_str().unwrap(),
            url.port_or_known_default().unwrap()
        );
        let proxy = Proxy::to(target).await;
        let through = Azurite::new(&format!("http://{}", proxy.address)).unwrap();
        Some((Self::over(Some(through)), proxy))
    }

    pub async fn region(&mut self, name: &str) -> Region {
        let region = match &self.azurite {
            None => Region::folder(name, self.path(&format!("{name}-bucket"))).unwrap(),
            Some(azurite) => Region::azurite(name, azurite, &self.run).await.unwrap(),
        };
        self.made.push(region.clone());
        region
    }

    /// Something in the world's own folder.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.work.path().join(name)
    }

    /// A node that cuts segments and writes snapshots all the time.
    pub fn node(&self, name: &str, env: Env) -> NodeSpec {
        let tuned = [
            ("BACKSTAY_INGEST_PARTITIONS", "3"),
            ("BACKSTAY_HEARTBEAT_MS", "300"),
            ("BACKSTAY_LEASE_MS", "3000"),
            ("BACKSTAY_COMMIT_LINGER_MS", "10"),
            ("BACKSTAY_SEGMENT_SECONDS", "1"),
            ("BACKSTAY_SEGMENT_BYTES", "100000"),
            ("BACKSTAY_SNAPSHOT_SECONDS", "1"),
            ("BACKSTAY_LOG", "info"),
            // What is counted is what the tests send.
            ("BACKSTAY_OWN_LOG", "false"),
            ("NO_COLOR", "1"),
        ];
        let tuned = tuned.map(|(name, value)| (name.to_owned(), value.to_owned()));
        NodeSpec {
            name: name.to_owned(),
            program: env!("CARGO_BIN_EXE_backstay").into(),
            env: tuned.into_iter().chain(env).collect(),
            data_dir: self.path(&format!("{name}-data")),
            log_file: self.path(&format!("{name}.log")),
        }
    }

    /// Removes what outlives the folder.
    pub async fn end(self) {
        for region in &self.made {
            region.remove().await.unwrap();
        }
    }
}

/// The Azurite for tests; `None`, after saying so, where there is none.
fn named() -> Option<Azurite> {
    Azurite::for_tests().unwrap_or_else(|error| panic!("{error}"))
}

/// The variables of a node of `to` that recovers from `from`.
pub fn recovering(from: &Region, to: &Region) -> Env {
    to.own().into_iter().chain(from.recover_from(to)).collect()
}

/// The same node, with one variable set otherwise.
pub fn with(spec: &NodeSpec, name: &str, value: &str) -> NodeSpec {
    let mut spec = spec.clone();
    spec.env.insert(name.to_owned(), value.to_owned());
    spec
}

/// Starts a node and waits until it serves.
pub async fn ready(spec: &NodeSpec) -> NodeProcess {
    let mut node = NodeProcess::start(spec).unwrap();
    if let Err(error) = node.ready(WAIT_TIMEOUT).await {
        panic!("{error}");
    }
    node
}

/// Creates the repository and an ingest token.
pub async fn set_up(node: &NodeProcess) -> String {
    let admin = node.admin_token().unwrap();
    let client = node.client();
    client.create_repository(&admin, REPOSITORY).await.unwrap();
    client
        .create_ingest_token(&admin, REPOSITORY, "regions")
        .await
        .unwrap()
}

/// An answer's status code and body; an error is code 0.
pub async fn get(node: &NodeProcess, path: &str) -> (u16, String) {
    let url = node.client().base().join(path).unwrap();
    // Making one reads all certificates of the machine.
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    let http = HTTP.get_or_init(|| {
        // No connection is kept: it would belong to the runtime of one test.
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0);
        builder.no_proxy().build().unwrap()
    });
    let asked = http.get(url).timeout(Duration::from_secs(5)).send().await;
    match asked {
        Ok(answer) => (
            answer.status().as_u16(),
            answer
                .text()
                .await
                .unwrap_or_else(|error| error.to_string()),
        ),
        Err(error) => (0, error.to_string()),
    }
}

/// A number that a node does not show; with all that it shows.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMetric(String);

impl std::fmt::Display for NoMetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number that the node shows at `/metrics`, summed over its labels.
pub async fn metric(node: &NodeProcess, name: &str) -> Result<u64, NoMetric> {
    let (_, text) = get(node, "metrics").await;
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("backstay_")?.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
        .collect();
    match values.len() {
        0 => Err(NoMetric(format!("no metric {name}: {text}"))),
        _ => Ok(values.iter().sum::<f64>() as u64),
    }
}

/// What was seen of a node; it is told together with the end of the node's log.
struct Seen<'a> {
    node: &'a NodeProcess,
    what: String,
}

impl Debug for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.node.log_tail(25))
    }
}

/// Waits until a number at `/metrics` is as wanted.
pub async fn until_metric(node: &NodeProcess, name: &str, wanted: impl Fn(u64) -> bool) {
    let what = format!("{name} of the {} node", node.name());
    until(&what, || async {
        match metric(node, name).await {
            Ok(value) if wanted(value) => Ok(()),
            seen => Err(Seen {
                node,
                what: format!("{seen:?}"),
            }),
        }
    })
    .await;
}

/// Waits for 503 or 200 of `/api/v1/status`; answers with the body.
pub async fn until_status(node: &NodeProcess, code: u16) -> String {
    let what = format!("status {code} of the {} node", node.name());
    until(&what, || async {
        let answer = get(node, "api/v1/status?deep=1").await;
        if answer.0 == code {
            Ok(answer.1)
        } else {
            let what = format!("{answer:?}");
            Err(Seen { node, what })
        }
    })
    .await
}

/// Everything that a node has logged, over all its starts on this log.
pub fn log(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
