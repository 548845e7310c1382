//! From SIGKILL of a primary to the first complete search on the standby, as the state grows.
//!
//! Both are real `backstay node` processes over encrypted folder buckets. The primary's state has
//! 10, 1,000 or 100,000 segments: a few real ones, which the search reads, and for the rest
//! metadata of older segments of the same repository, written into its snapshot. While it serves,
//! more lines are acknowledged, which are in the journal only. Then it is killed, the standby is
//! started with nothing but the primary's bucket to recover from, and asked until it finds every
//! line, over the range of the lines' times.
//!
//! The time is to be flat except for the snapshot's size: what a standby cannot do without is to load
//! the snapshot, and to write it to its own bucket and data folder. That part is measured by
//! itself, on the same snapshot, and taken off; what remains must not grow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_global::snapshot;
use backstay_global::{Segment, SegmentSet, State};
use backstay_lab::region::Region;
use backstay_lab::supervisor::{NodeProcess, NodeSpec};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::lines::{START_MS, texts};
use crate::measure::median;
use crate::process::program;
use crate::table::{Ratio, Report, Row};
use crate::{Failure, note, recovery};

pub(crate) const REPOSITORY: &str = "humio";
/// Lines that are in real segments, and lines that are in the journal only.
const OLD_LINES: u64 = 4_000;
const LIVE_LINES: u64 = 1_000;
/// Lines of one request.
const BATCH_LINES: usize = 500;
/// How often the standby is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Longest wait for anything; only a hang takes so long.
pub(crate) const HANG_TIMEOUT: Duration = Duration::from_secs(120);
/// What remains of the time without the snapshot may be at most this much of the same with the
/// fewest segments.
const MAX_TIME_RATIO: f64 = 1.5;
/// The sizes that are compared.
const SIZES: [usize; 3] = [10, 1_000, 100_000];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often each size is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The `backstay` binary; by default the one next to this program.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// A primary's bucket, to be copied for each round.
struct Prepared {
    segments: usize,
    region: Region,
    folder: PathBuf,
    pristine: PathBuf,
    work: PathBuf,
    token: String,
    /// Bytes of the snapshot's object.
    snapshot: u64,
    times: Vec<Duration>,
    parts: Vec<Duration>,
}

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    let program = program(options.program.as_deref())?;
    let dir = tempfile::tempdir()?;
    let mut all = Vec::new();
    for segments in SIZES {
        let work = dir.path().join(segments.to_string());
        all.push(Prepared::new(&program, segments, work).await?);
    }
    for round in 0..=options.rounds {
        for prepared in &mut all {
            let part = prepared.snapshot_alone().await?;
            let time = prepared.fail_over(&program).await?;
            // The first round only brings the program into the kernel's cache.
            if round > 0 {
                note(&format!(
                    "round {round}, {} segments: {time:.1?}, of which the snapshot {part:.1?}",
                    prepared.segments
                ));
                prepared.times.push(time);
                prepared.parts.push(part);
            }
        }
    }
    Ok(report(options, &all))
}

fn report(options: &Options, all: &[Prepared]) -> Report {
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    for prepared in all {
        let (time, part) = (
            median(prepared.times.clone()),
            median(prepared.parts.clone()),
        );
        let of = format!("{} segments", prepared.segments);
        rows.push(Row::bytes(format!("{of}: snapshot"), prepared.snapshot));
        rows.push(Row::time(
            format!("{of}: kill to first complete search"),
            time,
        ));
        rows.push(Row::time(
            format!("{of}: loading and writing the snapshot alone"),
            part,
        ));
        let rest = time.saturating_sub(part);
        rows.push(Row::time(format!("{of}: the rest"), rest));
        figures.push((time, rest));
    }
    let mut ratios = Vec::new();
    if let [few, more, many] = figures.as_slice() {
        ratios = vec![
            Ratio::of("of 1,000 to 10 segments", more.0, few.0),
            Ratio::of("of 100,000 to 10 segments", many.0, few.0),
            Ratio::of(
                "of 1,000 to 10 segments, without the snapshot",
                more.1,
                few.1,
            )
            .at_most(MAX_TIME_RATIO),
            Ratio::of(
                "of 100,000 to 10 segments, without the snapshot",
                many.1,
                few.1,
            )
            .at_most(MAX_TIME_RATIO),
        ];
    }
    Report {
        bench: "standby",
        subject: format!(
            "from SIGKILL of a primary to the first complete search on the standby ({} lines, {LIVE_LINES} of them in the journal only)",
            OLD_LINES + LIVE_LINES
        ),
        peer: "the same with 10 segments; loading and writing the snapshot alone".to_owned(),
        rows,
        ok: ratios.iter().all(Ratio::holds),
        ratios,
        notes: vec![format!(
            "medians of {} rounds; nothing decides here that the primary is dead: the standby is started when the kill has been sent",
            options.rounds
        )],
    }
}

impl Prepared {
    async fn new(program: &Path, segments: usize, work: PathBuf) -> Result<Self, Failure> {
        note(&format!("preparing {segments} segments"));
        fs::create_dir_all(&work)?;
        let folder = work.join("east");
        let region = Region::folder("east", folder.clone())?;
        let mut prepared = Self {
            segments,
            pristine: work.join("pristine"),
            folder,
            region,
            work,
            token: String::new(),
            snapshot: 0,
            times: Vec::new(),
            parts: Vec::new(),
        };
        let mut node = prepared.primary(program).await?;
        let admin = node.admin_token()?;
        prepared.token = node
            .client()
            .create_ingest_token(&admin, REPOSITORY, "bench")
            .await?;
        prepared.send(&node, 0, OLD_LINES).await?;
        let flush = "mutation { setDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown, value: \"true\"}) }";
        node.client().graphql(&admin, flush, Value::Null).await?;
        node.terminate()?;
        node.wait().await?;
        let bucket = open(&prepared.region).await?;
        let state = prepared.with_segments(newest(&bucket).await?)?;
        // Under its own name: it is still the state of that position, with a longer past.
        prepared.snapshot = snapshot::write(&bucket, &state).await?.size;
        fs::rename(&prepared.folder, &prepared.pristine)?;
        Ok(prepared)
    }

    /// The state with metadata of older segments, up to the wanted number.
    fn with_segments(&self, mut state: State) -> Result<State, Failure> {
        let mut all: Vec<Segment> = state.segments.iter().cloned().collect();
        let Some(real) = all.first().cloned() else {
            return Err(Failure::Failed("there is no segment".to_owned()));
        };
        let older = snapshot::sample::state(self.segments.saturating_sub(all.len()));
        all.extend(older.segments.iter().map(|older| Segment {
            repository: real.repository.clone(),
            bucket: real.bucket,
            partition: real.partition,
            ..older.clone()
        }));
        state.segments = SegmentSet::from_vec(all)
            .map_err(|twin| Failure::Failed(format!("segment {twin} is there twice")))?;
        if state.segments.len() != self.segments {
            return Err(Failure::Failed(format!(
                "{} segments instead of {}",
                state.segments.len(),
                self.segments
            )));
        }
        Ok(state)
    }

    /// The primary's bucket as it was prepared.
    fn restore(&self) -> Result<(), Failure> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        copy(&self.pristine, &self.folder)
    }

    /// A primary with a new data folder, serving.
    async fn primary(&self, program: &Path) -> Result<NodeProcess, Failure> {
        let mut node = start(program, &self.work, "primary", self.region.own())?;
        node.ready(HANG_TIMEOUT).await?;
        Ok(node)
    }

    /// Sends lines until they are acknowledged; the first has the number `from`.
    async fn send(&self, node: &NodeProcess, from: u64, count: u64) -> Result<(), Failure> {
        let mut events = Vec::new();
        for (number, line) in (from..from + count).zip(texts(&[])?) {
            events.push(json!({ "timestamp": START_MS + number as i64, "rawstring": line? }));
        }
        for (at, events) in events.chunks(BATCH_LINES).enumerate() {
            let body = serde_json::to_vec(&json!([{ "events": events }]))?;
            let key = format!("{from}-{at}");
            let sent = node.client().ingest(&self.token, &key, Bytes::from(body));
            sent.await?;
        }
        Ok(())
    }

    /// Loading the snapshot and writing it where a standby does, without anything else.
    async fn snapshot_alone(&self) -> Result<Duration, Failure> {
        self.restore()?;
        let from = open(&self.region).await?;
        let key = snapshot::newest(&from, None)
            .await?
            .ok_or_else(|| Failure::Failed("there is no snapshot".to_owned()))?
            .key;
        let scratch = self.work.join("scratch");
        let data = scratch.join("data");
        fs::create_dir_all(&data)?;
        let to = open(&Region::folder("west", scratch.join("bucket"))?).await?;
        let alone = async {
            let state = recovery::load(&from, &key).await?;
            snapshot::write(&to, &state).await?;
            snapshot::mirror(&data, &state).await?;
            Ok::<_, Failure>(state)
        };
        let begun = Instant::now();
        let state = alone.await?;
        let took = begun.elapsed();
        if state.segments.len() != self.segments {
            return Err(Failure::Failed("segments are missing".to_owned()));
        }
        fs::remove_dir_all(&scratch)?;
        Ok(took)
    }

    /// Kills a primary, starts a standby, and tells the time to its first complete search.
    async fn fail_over(&self, program: &Path) -> Result<Duration, Failure> {
        self.restore()?;
        let mut primary = self.primary(program).await?;
        self.send(&primary, OLD_LINES, LIVE_LINES).await?;
        let west = Region::folder("west", self.work.join("west"))?;
        let mut env = west.own();
        env.extend(self.region.recover_from(&west));
        let begun = Instant::now();
        primary.send_kill()?;
        let mut standby = start(program, &self.work, "standby", env)?;
        while search(&standby).await != Some(OLD_LINES + LIVE_LINES) {
            standby.must_run()?;
            if begun.elapsed() > HANG_TIMEOUT {
                return Err(Failure::Failed(format!(
                    "the standby does not find all lines:\n{}",
                    standby.log_tail(12)
                )));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let took = begun.elapsed();
        standby.kill().await?;
        primary.wait().await?;
        fs::remove_dir_all(self.work.join("west"))?;
        Ok(took)
    }
}

/// Opens a region's bucket to write to it.
pub(crate) async fn open(region: &Region) -> Result<Bucket, Failure> {
    let variables = region.own();
    let config = BucketConfig::from_env(Role::Own, &|name| variables.get(name).cloned())?;
    let config = config.ok_or_else(|| Failure::Failed("no bucket".to_owned()))?;
    Ok(Bucket::open(config).await?)
}

/// Starts a node with a new data folder.
pub(crate) fn start(
    program: &Path,
    work: &Path,
    name: &str,
    mut env: BTreeMap<String, String>,
) -> Result<NodeProcess, Failure> {
    let data_dir = work.join(format!("{name}-data"));
    if data_dir.exists() {
        fs::remove_dir_all(&data_dir)?;
    }
    env.insert("BACKSTAY_LOG".to_owned(), "info".to_owned());
    let spec = NodeSpec {
        name: name.to_owned(),
        program: program.to_owned(),
        env,
        data_dir,
        log_file: work.join(format!("{name}.log")),
    };
    Ok(NodeProcess::start(&spec)?)
}

async fn newest(bucket: &Bucket) -> Result<State, Failure> {
    let newest = snapshot::newest(bucket, None).await?;
    let newest = newest.ok_or_else(|| Failure::Failed("there is no snapshot".to_owned()))?;
    Ok(snapshot::read(bucket, &newest.key).await?)
}

/// How many lines a node finds; `None` when it does not answer.
async fn search(node: &NodeProcess) -> Option<u64> {
    let admin = node.admin_token().ok()?;
    let range = START_MS..START_MS + (OLD_LINES + LIVE_LINES) as i64;
    let rows = node
        .client()
        .query_within(&admin, REPOSITORY, "*", range)
        .await;
    let mut rows = rows.ok()?;
    let mut found = 0;
    while let Some(row) = rows.next().await {
        row.ok()?;
        found += 1;
    }
    Some(found)
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
