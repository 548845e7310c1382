//! Kills a node at every numbered point of commit, segment upload, publishing, snapshot, trimming
//! and recovery, and checks that nothing acknowledged is lost or doubled.
//!
//! Which points there are is not written here: a node that runs through its whole life with
//! `BACKSTAY_FAILPOINT_LOG` tells, and how often it passes each. Each run then kills a node at the
//! n-th pass of one point while clients send with retries, and goes on either with the same node
//! again or with a standby that recovers from its bucket. `BACKSTAY_FAULT_RUNS` sets how many runs
//! (each point once if unset, hundreds for a night), `BACKSTAY_FAULT_SEED` repeats a row of them,
//! and `BACKSTAY_FAULT_POINT` keeps to one point.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_lab::client::{ClientError, NodeClient};
use backstay_lab::region::Region;
use backstay_lab::supervisor::{NodeProcess, NodeSpec};
use backstay_lab::workload::RunName;
use backstay_lab::workload::feed::Feed;
use backstay_lab::workload::ledger::Ledger;
use backstay_lab::workload::lines::Generator;
use backstay_lab::workload::sender::{Address, Senders, Sending};
use backstay_lab::workload::verdict::{Tally, judge};
use futures::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

const REPOSITORY: &str = "faults";
const EVENTS: u64 = 1_200;
const BATCH: u64 = 8;
const SENDERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(10);

/// Which pass of a point kills, if the point is passed so often: no two runs are timed alike, so a
/// point may be passed less often than it was. Then the node is killed when all is sent, and the
/// run counts as one that did not reach its point.
const PASSES: [u32; 6] = [1, 1, 2, 3, 7, 19];

/// Runs at the same time. They wait for each other's disk more than for the processor.
const PARALLEL: usize = 4;

type Env = BTreeMap<String, String>;

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Env {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A node that cuts segments and writes snapshots all the time.
fn spec(work: &Path, name: &str, env: Env) -> NodeSpec {
    let mut all = pairs([
        ("BACKSTAY_INGEST_PARTITIONS", "2"),
        ("BACKSTAY_COMMIT_LINGER_MS", "5"),
        ("BACKSTAY_SEGMENT_SECONDS", "1"),
        ("BACKSTAY_SEGMENT_BYTES", "20000"),
        ("BACKSTAY_SNAPSHOT_SECONDS", "1"),
        ("BACKSTAY_SNAPSHOTS_KEPT", "2"),
        ("BACKSTAY_LOG", "info"),
        ("NO_COLOR", "1"),
    ]);
    all.extend(env);
    NodeSpec {
        name: name.to_owned(),
        program: env!("CARGO_BIN_EXE_backstay").into(),
        env: all,
        data_dir: work.join(format!("{name}-data")),
        log_file: work.join(format!("{name}.log")),
    }
}

struct World {
    primary: NodeSpec,
    standby: NodeSpec,
}

impl World {
    fn new(work: &Path) -> Self {
        let east = Region::folder("east", work.join("east-bucket")).unwrap();
        let west = Region::folder("west", work.join("west-bucket")).unwrap();
        let env = west
            .own()
            .into_iter()
            .chain(east.recover_from(&west))
            .collect();
        Self {
            primary: spec(work, "primary", east.own()),
            standby: spec(work, "standby", env),
        }
    }
}

fn with(spec: &NodeSpec, name: &str, value: &str) -> NodeSpec {
    let mut spec = spec.clone();
    spec.env.insert(name.to_owned(), value.to_owned());
    spec
}

/// Creates the repository and a token. A node that died in the midst of it may have created the
/// repository already.
async fn set_up(node: &NodeProcess) -> Result<Arc<str>, ClientError> {
    let admin = node.admin_token().unwrap();
    match node.client().create_repository(&admin, REPOSITORY).await {
        Err(ClientError::Nonsense { problem, .. }) if problem.contains("exist") => {}
        other => other?,
    }
    Ok(node
        .client()
        .create_ingest_token(&admin, REPOSITORY, "faults")
        .await?
        .into())
}

/// The clients of one run.
struct Clients {
    run: RunName,
    ledger: Arc<Ledger>,
    name: watch::Sender<Address>,
    allow: watch::Sender<u64>,
    senders: Senders,
}

impl Clients {
    fn start(seed: u64, node: &NodeClient, token: Arc<str>) -> Self {
        let run = RunName::new(seed, now_ms());
        let ledger = Arc::new(Ledger::new(Instant::now(), EVENTS, BATCH));
        let lines = Generator::new(seed, Default::default()).map(Ok);
        let (name, resolver) = watch::channel(Address {
            generation: 0,
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
    fn more(&self) {
        self.allow
            .send_modify(|allowed| *allowed = (*allowed + BATCH / 2).min(EVENTS));
    }

    fn point_to(&self, node: &NodeProcess) {
        let generation = self.name.borrow().generation + 1;
        self.name.send_replace(Address {
            generation,
            node: node.client().clone(),
        });
    }

    /// Sends the rest and compares.
    async fn finish(&mut self, node: &mut NodeProcess) -> Result<(), String> {
        let since = Instant::now();
        while !self.senders.finished().map_err(|error| error.to_string())? {
            self.more();
            node.must_run().map_err(|error| error.to_string())?;
            if since.elapsed() > PATIENCE {
                let done = self.ledger.acknowledged_events();
                return Err(format!(
                    "only {done} of {EVENTS} acknowledged:\n{}",
                    node.log_tail(15)
                ));
            }
            tokio::time::sleep(TICK).await;
        }
        let admin = node.admin_token().map_err(|error| error.to_string())?;
        let mut tally = Tally::new(&self.ledger);
        let rows = node.client().query(&admin, REPOSITORY, "*").await;
        let rows = rows.map_err(|error| error.to_string())?;
        let taken = tally.take(&self.run, &self.ledger, rows, &|_| {}).await;
        taken.map_err(|error| error.to_string())?;
        let verdict = judge(&self.run, &self.ledger, &tally);
        if verdict.holds() && verdict.acknowledged == EVENTS {
            return Ok(());
        }
        Err(format!("{verdict:?}"))
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

async fn ready(spec: &NodeSpec) -> Result<NodeProcess, String> {
    let mut node = NodeProcess::start(spec).map_err(|error| error.to_string())?;
    node.ready(PATIENCE)
        .await
        .map_err(|error| error.to_string())?;
    Ok(node)
}

/// Points with how often they are passed.
type Passes = BTreeMap<String, u32>;

/// Points of a primary's life and of a standby's recovery.
struct Points {
    life: Passes,
    recovery: Passes,
}

async fn discover() -> Points {
    let work = tempfile::tempdir().unwrap();
    let world = World::new(work.path());
    let passes = |file: &Path| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut passes = Passes::new();
        for name in text.lines() {
            *passes.entry(name.to_owned()).or_default() += 1;
        }
        passes
    };
    let log = |name: &str| work.path().join(name);
    let primary = with(
        &world.primary,
        "BACKSTAY_FAILPOINT_LOG",
        &log("life").display().to_string(),
    );
    let mut node = ready(&primary).await.unwrap();
    let token = set_up(&node).await.unwrap();
    let mut clients = Clients::start(1, node.client(), token);
    clients.finish(&mut node).await.unwrap();
    // Long enough for the intervals of a second to come round again.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    node.kill().await.unwrap();
    let standby = with(
        &world.standby,
        "BACKSTAY_FAILPOINT_LOG",
        &log("recovery").display().to_string(),
    );
    let mut node = ready(&standby).await.unwrap();
    clients.finish(&mut node).await.unwrap();
    node.kill().await.unwrap();
    Points {
        life: passes(&log("life")),
        recovery: passes(&log("recovery")),
    }
}

/// Waits until the node is dead, by its point or, when all is sent, by us. Returns whether the
/// point did it.
async fn until_dead(node: &mut NodeProcess, clients: &mut Clients) -> Result<bool, String> {
    let since = Instant::now();
    let mut sent_at = None;
    loop {
        if node.exited().map_err(|error| error.to_string())?.is_some() {
            return Ok(true);
        }
        clients.more();
        if sent_at.is_none()
            && clients
                .senders
                .finished()
                .map_err(|error| error.to_string())?
        {
            sent_at = Some(Instant::now());
        }
        // After the last acknowledgement: the last segments and a snapshot.
        if sent_at.is_some_and(|at| at.elapsed() > Duration::from_millis(2_500)) {
            node.kill().await.map_err(|error| error.to_string())?;
            return Ok(false);
        }
        if since.elapsed() > PATIENCE {
            return Err(format!("neither dead nor done:\n{}", node.log_tail(15)));
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Starts a node that is to die at its point, and sets it up. A node that dies before it is set up
/// is started again without the point: its death is what was asked for.
async fn begin(spec: &NodeSpec, kill: &str) -> Result<(NodeProcess, Arc<str>, bool), String> {
    let mut node =
        NodeProcess::start(&with(spec, "BACKSTAY_KILL_AT", kill)).map_err(|e| e.to_string())?;
    if node.ready(PATIENCE).await.is_ok()
        && let Ok(token) = set_up(&node).await
    {
        return Ok((node, token, false));
    }
    let died = node.wait();
    if tokio::time::timeout(Duration::from_secs(10), died)
        .await
        .is_err()
    {
        return Err(format!(
            "it lives but could not be set up:\n{}",
            node.log_tail(15)
        ));
    }
    let node = ready(spec).await?;
    let token = set_up(&node).await.map_err(|error| error.to_string())?;
    Ok((node, token, true))
}

/// What one run does.
#[derive(Clone, Debug)]
struct Plan {
    number: usize,
    seed: u64,
    point: String,
    pass: u32,
    /// Whether the standby dies, in its recovery, or the primary.
    in_recovery: bool,
    /// Whether the dead primary goes on, or a standby.
    same: bool,
}

impl Plan {
    /// The runs of a row, in an order that only the seed decides.
    fn row(points: &Points, runs: Option<usize>, seed: u64) -> Vec<Self> {
        let only = setting("BACKSTAY_FAULT_POINT");
        let new_in_recovery = points
            .recovery
            .iter()
            .filter(|(name, _)| !points.life.contains_key(*name));
        let all: Vec<(&String, u32, bool)> = points
            .life
            .iter()
            .map(|(name, passes)| (name, *passes, false))
            .chain(new_in_recovery.map(|(name, passes)| (name, *passes, true)))
            .filter(|(name, ..)| only.as_ref().is_none_or(|only| only == *name))
            .collect();
        assert!(
            !all.is_empty(),
            "no point {only:?} among {:?} {:?}",
            points.life,
            points.recovery
        );
        let mut random = StdRng::seed_from_u64(seed);
        // A row of few runs would otherwise always try the same first points.
        let offset = random.random_range(0..all.len());
        (0..runs.unwrap_or(all.len()))
            .map(|number| {
                let (point, passes, in_recovery) = all[(offset + number) % all.len()];
                let possible: Vec<u32> =
                    PASSES.into_iter().filter(|pass| *pass <= passes).collect();
                Self {
                    number,
                    seed: random.random(),
                    point: point.clone(),
                    pass: possible[random.random_range(0..possible.len())],
                    in_recovery,
                    same: random.random(),
                }
            })
            .collect()
    }

    /// Plays it; returns whether its point was reached.
    async fn play(&self, work: &Path) -> Result<bool, String> {
        let world = World::new(work);
        let kill = format!("{}:{}", self.point, self.pass);
        if self.in_recovery {
            return self.kill_standby(&world, &kill).await;
        }
        let (mut node, token, died_early) = begin(&world.primary, &kill).await?;
        let mut clients = Clients::start(self.seed, node.client(), token);
        let reached = until_dead(&mut node, &mut clients).await? || died_early;
        let next = if self.same {
            &world.primary
        } else {
            &world.standby
        };
        let mut next = ready(next).await?;
        clients.point_to(&next);
        clients.finish(&mut next).await?;
        Ok(reached)
    }

    async fn kill_standby(&self, world: &World, kill: &str) -> Result<bool, String> {
        let mut node = ready(&world.primary).await?;
        let token = set_up(&node).await.map_err(|error| error.to_string())?;
        let mut clients = Clients::start(self.seed, node.client(), token);
        while clients.ledger.acknowledged_events() < EVENTS / 2 {
            clients.more();
            node.must_run().map_err(|error| error.to_string())?;
            clients
                .senders
                .finished()
                .map_err(|error| error.to_string())?;
            tokio::time::sleep(TICK).await;
        }
        node.kill().await.map_err(|error| error.to_string())?;
        let dying = with(&world.standby, "BACKSTAY_KILL_AT", kill);
        let mut standby = NodeProcess::start(&dying).map_err(|error| error.to_string())?;
        let mut reached = true;
        if standby.ready(PATIENCE).await.is_ok() {
            clients.point_to(&standby);
            reached = until_dead(&mut standby, &mut clients).await?;
        } else if standby
            .exited()
            .map_err(|error| error.to_string())?
            .is_none()
        {
            return Err(format!(
                "the standby neither died nor recovered:\n{}",
                standby.log_tail(15)
            ));
        }
        let mut standby = ready(&world.standby).await?;
        clients.point_to(&standby);
        clients.finish(&mut standby).await?;
        Ok(reached)
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let then = match (self.in_recovery, self.same) {
            (true, _) => "recover again",
            (false, true) => "the same node",
            (false, false) => "a standby",
        };
        write!(
            f,
            "{:>4} {}:{}, then {then}",
            self.number, self.point, self.pass
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_point_of_death_loses_or_doubles_an_acknowledged_event() {
    let runs = setting("BACKSTAY_FAULT_RUNS").map(|text| text.parse().unwrap());
    let seed: u64 = setting("BACKSTAY_FAULT_SEED").map_or_else(
        || rand::rng().random_range(0..1 << 32),
        |text| text.parse().unwrap(),
    );
    let points = discover().await;
    assert!(
        !points.life.is_empty() && !points.recovery.is_empty(),
        "no failpoints were passed"
    );
    let row = Plan::row(&points, runs, seed);
    let runs = row.len();
    eprintln!("{runs} runs, BACKSTAY_FAULT_SEED={seed}");
    let ended: Vec<Result<bool, String>> = stream::iter(row)
        .map(|plan| async move {
            let work = tempfile::tempdir().unwrap();
            match plan.play(work.path()).await {
                Ok(reached) => {
                    eprintln!("{plan}{}", if reached { "" } else { " (not reached)" });
                    Ok(reached)
                }
                Err(error) => {
                    let kept = work.keep();
                    eprintln!("{plan} FAILED: {error}");
                    Err(format!("{plan} (seed {seed}, {}): {error}", kept.display()))
                }
            }
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let failures: Vec<&String> = ended.iter().filter_map(|run| run.as_ref().err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {runs} runs failed: {failures:#?}",
        failures.len()
    );
    let reached = ended.iter().filter(|run| matches!(run, Ok(true))).count();
    eprintln!("{reached} of {runs} runs reached their point");
    assert!(
        reached * 4 >= runs * 3,
        "only {reached} of {runs} runs reached their point"
    );
}
