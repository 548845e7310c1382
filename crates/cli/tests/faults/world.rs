//! Regions in folders, and nodes that cut segments, write snapshots and trim all the time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_lab::client::ClientError;
use backstay_lab::region::Region;
use backstay_lab::supervisor::{NodeProcess, NodeSpec};
use backstay_report::Cause;
use serde_json::json;

pub const REPOSITORY: &str = "faults";
/// Longer than anything takes on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(240);
pub const TICK: Duration = Duration::from_millis(10);

/// Entries of `global` behind which the newest ones begin to be trimmed by whole windows.
const OLD: usize = 900;

/// What a part of a run came to; an error is for people to read.
pub type Ended<T> = Result<T, Cause>;

type Env = BTreeMap<String, String>;

fn spec(work: &Path, name: &str, env: Env) -> NodeSpec {
    let tuned = [
        ("BACKSTAY_INGEST_PARTITIONS", "2"),
        ("BACKSTAY_COMMIT_LINGER_MS", "5"),
        ("BACKSTAY_SEGMENT_SECONDS", "1"),
        ("BACKSTAY_SEGMENT_BYTES", "20000"),
        ("BACKSTAY_SNAPSHOT_SECONDS", "1"),
        ("BACKSTAY_SNAPSHOTS_KEPT", "2"),
        ("BACKSTAY_TRIM_SECONDS", "2"),
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
        data_dir: work.join(format!("{name}-data")),
        log_file: work.join(format!("{name}.log")),
    }
}

/// A primary and its standby.
pub struct World {
    pub primary: NodeSpec,
    pub standby: NodeSpec,
    bucket: PathBuf,
}

impl World {
    pub fn new(work: &Path) -> Self {
        let bucket = work.join("east-bucket");
        let east = Region::folder("east", bucket.clone()).unwrap();
        let west = Region::folder("west", work.join("west-bucket")).unwrap();
        let standby = west.own().into_iter().chain(east.recover_from(&west));
        Self {
            primary: spec(work, "primary", east.own()),
            standby: spec(work, "standby", standby.collect()),
            bucket,
        }
    }

    /// A world whose primary has long been at work: `global` is so long that it is trimmed.
    pub async fn grow_old(work: &Path) -> Ended<Self> {
        let world = Self::new(work);
        let mut busy = with(&world.primary, "BACKSTAY_HEARTBEAT_MS", "10");
        busy = with(&busy, "BACKSTAY_SNAPSHOT_SECONDS", "3600");
        let mut node = ready(&busy).await?;
        let since = Instant::now();
        let global = world.bucket.join("journal/global");
        while std::fs::read_dir(&global)?.count() < OLD {
            node.must_run()?;
            if since.elapsed() > PATIENCE {
                return Err("it does not grow old".into());
            }
            tokio::time::sleep(TICK).await;
        }
        // It says goodbye, so that its partitions need not be waited for.
        node.terminate()?;
        node.wait().await?;
        Ok(world)
    }

    /// The same world in another folder, with a primary that has an empty disk.
    pub fn copy(&self, work: &Path) -> Self {
        let bucket = work.join("east-bucket");
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .arg(&self.bucket)
            .arg(&bucket)
            .status();
        assert!(copied.unwrap().success());
        let west = Region::folder("west", work.join("west-bucket")).unwrap();
        let moved = |mut env: Env, path: &str| {
            env.insert(path.to_owned(), bucket.display().to_string());
            env
        };
        let source = self.standby.env.iter();
        let source = source.filter(|(name, _)| name.contains("RECOVER_FROM"));
        let standby = west
            .own()
            .into_iter()
            .chain(source.map(|(name, value)| (name.clone(), value.clone())))
            .collect();
        Self {
            primary: spec(
                work,
                "primary",
                moved(self.primary.env.clone(), "LOCAL_STORAGE_PATH"),
            ),
            standby: spec(work, "standby", moved(standby, "LOCAL_RECOVER_FROM_PATH")),
            bucket,
        }
    }
}

/// The same node, with one variable set otherwise.
pub fn with(spec: &NodeSpec, name: &str, value: &str) -> NodeSpec {
    let mut spec = spec.clone();
    spec.env.insert(name.to_owned(), value.to_owned());
    spec
}

pub async fn ready(spec: &NodeSpec) -> Ended<NodeProcess> {
    let mut node = NodeProcess::start(spec)?;
    node.ready(PATIENCE).await?;
    Ok(node)
}

/// Whether it is there: a node that died before it could say so has created it.
fn is_there(error: &ClientError) -> bool {
    matches!(error, ClientError::Nonsense { problem, .. } if problem.contains("already"))
}

/// Creates the repository and a token, and has a drain write everything. A node that died in the
/// middle of it may have created some of that already.
pub async fn set_up(node: &NodeProcess) -> Result<Arc<str>, ClientError> {
    let (admin, client) = (node.admin_token().unwrap(), node.client());
    match client.create_repository(&admin, REPOSITORY).await {
        Err(error) if is_there(&error) => {}
        other => other?,
    }
    let flush = "mutation { setDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown, value: \"true\"}) }";
    client.graphql(&admin, flush, json!({})).await?;
    let token = |name| client.create_ingest_token(&admin, REPOSITORY, name);
    match token("faults").await {
        // Nobody knows that one.
        Err(error) if is_there(&error) => Ok(token("faults again").await?.into()),
        token => Ok(token?.into()),
    }
}

/// Starts a node that is to die at its point, and sets it up. A node that dies before it is set up
/// is started again without the point: its death is what was asked for, and is told.
pub async fn begin(spec: &NodeSpec, dying: &NodeSpec) -> Ended<(NodeProcess, Arc<str>, bool)> {
    let mut node = NodeProcess::start(dying)?;
    if node.ready(PATIENCE).await.is_ok()
        && let Ok(token) = set_up(&node).await
    {
        return Ok((node, token, false));
    }
    if tokio::time::timeout(Duration::from_secs(10), node.wait())
        .await
        .is_err()
    {
        return Err(format!("it lives but could not be set up:\n{}", node.log_tail(15)).into());
    }
    let node = ready(spec).await?;
    let token = set_up(&node).await?;
    Ok((node, token, true))
}
