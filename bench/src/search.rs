//! Finding a rare text in 1 GB of log lines, as a node does: through its engine, in segments of an
//! encrypted folder bucket, to which the lines came by the engine's own ingest.
//!
//! The peer is `rg --count --fixed-strings` over the raw file. *Cold* is the first search after
//! the node's segment cache was removed and the kernel was made to forget all files (where it
//! lets us); *warm* is the same search again. Each cold search is of a node that has just
//! started. Both sides are measured in turn; the medians are compared.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_node::{Engine, IngestError, NodeConfig, RepositoryName};
use backstay_search::{Event, Limits, Query, QueryResult, TimeRange};
use futures::{StreamExt, TryStreamExt, stream};

use crate::lines::{START_MS, texts};
use crate::measure::{bytes_below, forget_files, median, timed};
use crate::table::{Ratio, Report, Row};
use crate::{Failure, note};

/// What is searched: in one line, two thirds into the file.
const NEEDLE: &str = "needle-5e0f3a9c17";
/// A repository that every new cluster has.
const REPOSITORY: &str = "humio";
/// Raw bytes of one ingest request.
const BATCH_BYTES: usize = 1 << 20;
/// Requests on their way at the same time.
const SENDERS: usize = 8;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Bytes of raw log lines.
    #[arg(long, default_value_t = 1_000_000_000)]
    bytes: u64,
    /// Log files or folders (also .gz) instead of generated lines; as much of them as `--bytes`.
    #[arg(long)]
    logs: Vec<PathBuf>,
    /// Where the raw file, the bucket and the node's folder are made; needs about twice `--bytes`.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    let version = rg_version()?;
    let dir = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let raw = dir.path().join("raw.log");
    let size = write_raw(options, &raw)?;
    note(&format!("ingesting {size} bytes of lines"));
    let (events, ingest) = timed(ingest(dir.path(), &raw)).await?;
    let stored = bytes_below(&dir.path().join("bucket").join("segments"))?;

    let mut forgets = true;
    let (mut ours_cold, mut ours_warm) = (Vec::new(), Vec::new());
    let (mut rg_cold, mut rg_warm) = (Vec::new(), Vec::new());
    let mut last = QueryResult::default();
    for round in 1..=options.rounds {
        let cache = dir.path().join("node").join("segment-cache");
        if cache.exists() {
            fs::remove_dir_all(&cache)?;
        }
        let engine = start(dir.path()).await?;
        forgets &= forget_files();
        let (_, cold) = timed(search(&engine)).await?;
        let (found, warm) = timed(search(&engine)).await?;
        engine.drain().await;
        last = found;
        forgets &= forget_files();
        let ((), peer_cold) = timed(async { rg(&raw) }).await?;
        let ((), peer_warm) = timed(async { rg(&raw) }).await?;
        note(&format!(
            "round {round}: search {cold:.1?} cold, {warm:.1?} warm; rg {peer_cold:.1?} cold, {peer_warm:.1?} warm"
        ));
        ours_cold.push(cold);
        ours_warm.push(warm);
        rg_cold.push(peer_cold);
        rg_warm.push(peer_warm);
    }
    let (ours_cold, ours_warm) = (median(ours_cold), median(ours_warm));
    let (rg_cold, rg_warm) = (median(rg_cold), median(rg_warm));
    let cold = if forgets {
        "cold: no segment in the node's cache, no file in the kernel's"
    } else {
        "cold: no segment in the node's cache, but files in the kernel's, which does not let this user clear it (/proc/sys/vm/drop_caches); so rg's cold figure is a warm one"
    };
    Ok(Report {
        bench: "search",
        subject: format!("a text that one of {events} lines has, {size} bytes of raw lines"),
        peer: version,
        rows: vec![
            Row::bytes("raw lines", size),
            Row::bytes("segments", stored),
            Row::time("ingest, until all is in segments", ingest),
            Row::time("search, cold", ours_cold),
            Row::time("search, warm", ours_warm),
            Row::time("rg, cold", rg_cold),
            Row::time("rg, warm", rg_warm),
            Row::count("segments read", last.stats.segments_read),
            Row::count("segments ruled out", last.stats.segments_skipped),
            Row::count("events looked at", last.stats.events_scanned),
        ],
        ratios: vec![
            Ratio::of("to rg, cold", ours_cold, rg_cold),
            Ratio::of("to rg, warm", ours_warm, rg_warm),
        ],
        notes: vec![format!("medians of {} rounds; {cold}", options.rounds)],
        ok: true,
    })
}

/// The first line of `rg --version`.
fn rg_version() -> Result<String, Failure> {
    let output = Command::new("rg").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match text {
        Ok(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
        Err(error) => Err(Failure::Missing(format!(
            "rg is not to be run ({error}); get it with `apt-get install ripgrep` or `cargo install ripgrep`, and have it on PATH"
        ))),
    }
}

/// Searches with ripgrep; fails unless exactly the one line is found.
fn rg(raw: &Path) -> Result<(), Failure> {
    let output = Command::new("rg")
        .args(["--count", "--fixed-strings", "--no-config", NEEDLE])
        .arg(raw)
        .stdin(Stdio::null())
        .output()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "1" => Ok(()),
        other => Err(Failure::Failed(format!(
            "rg finds {other:?} lines instead of 1"
        ))),
    }
}

/// Writes the raw file; answers with its size.
fn write_raw(options: &Options, path: &Path) -> Result<u64, Failure> {
    let mut lines = texts(&options.logs)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut size, mut hidden) = (0, false);
    while size < options.bytes {
        let Some(line) = lines.next() else { break };
        let line = line?;
        writeln!(out, "{line}")?;
        size += line.len() as u64 + 1;
        if !hidden && size >= options.bytes / 3 * 2 {
            let line = format!("a line with {NEEDLE} in it");
            writeln!(out, "{line}")?;
            size += line.len() as u64 + 1;
            hidden = true;
        }
    }
    if !hidden {
        return Err(Failure::Failed(format!(
            "there are only {size} bytes of lines; give --bytes {size} or more --logs"
        )));
    }
    out.flush()?;
    Ok(size)
}

/// A node's engine over a folder bucket below `dir`, serving.
async fn start(dir: &Path) -> Result<Engine, Failure> {
    let bucket = dir.join("bucket");
    fs::create_dir_all(&bucket)?;
    let vars = |name: &str| match name {
        "LOCAL_STORAGE_PATH" => Some(bucket.display().to_string()),
        "LOCAL_STORAGE_ENCRYPTION_KEY" => Some("the key of a benchmark".to_owned()),
        "DIRECTORY" => Some(dir.join("node").display().to_string()),
        _ => None,
    };
    let engine = Engine::new(NodeConfig::from_env(&vars)?)?;
    engine.start();
    engine.ready().await?;
    Ok(engine)
}

/// Ingests the lines and waits until all of them are in segments; answers with how many.
async fn ingest(dir: &Path, raw: &Path) -> Result<u64, Failure> {
    let engine = start(dir).await?;
    let repository = RepositoryName::new(REPOSITORY);
    let text = Arc::new(fs::read(raw)?);
    let sent = stream::iter(batches(&text))
        .map(|batch| send(&engine, &repository, &text, batch))
        .buffer_unordered(SENDERS)
        .try_fold(0, |sum, sent| async move { Ok(sum + sent) })
        .await?;
    let Some(global) = engine.global() else {
        return Err(Failure::Failed("the node has no state".to_owned()));
    };
    // As an operator does it before a node is drained.
    global
        .commit(|_| {
            Ok(vec![backstay_global::Event::DynamicConfigSet {
                name: "FlushSegmentsAndGlobalOnShutdown".to_owned(),
                value: Some("true".to_owned()),
            }])
        })
        .await?;
    let state = global.clone();
    engine.drain().await;
    let published: u64 = state.read(|state| state.segments.iter().map(|it| it.events).sum());
    if published != sent {
        return Err(Failure::Failed(format!(
            "{sent} lines were sent and {published} are in segments"
        )));
    }
    Ok(sent)
}

/// Where each batch begins, and its first line's number.
fn batches(text: &[u8]) -> Vec<Batch> {
    let mut all = Vec::new();
    let (mut start, mut line) = (0, 0);
    while start < text.len() {
        let rest = text.get(start..).unwrap_or_default();
        let enough = rest.get(BATCH_BYTES..).unwrap_or_default();
        let end = enough
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(text.len(), |at| start + BATCH_BYTES + at + 1);
        let lines = text.get(start..end).unwrap_or_default();
        all.push(Batch { start, end, line });
        line += lines.iter().filter(|byte| **byte == b'\n').count() as i64;
        start = end;
    }
    all
}

/// Lines of one request.
struct Batch {
    start: usize,
    end: usize,
    /// Lines before it.
    line: i64,
}

/// Sends a batch until it is acknowledged; answers with its lines.
async fn send(
    engine: &Engine,
    repository: &RepositoryName,
    text: &[u8],
    batch: Batch,
) -> Result<u64, Failure> {
    let lines = text.get(batch.start..batch.end).unwrap_or_default();
    let lines = String::from_utf8_lossy(lines);
    let events: Vec<Event> = (batch.line..)
        .zip(lines.lines())
        .map(|(number, line)| Event {
            timestamp_ms: START_MS + number,
            raw: line.to_owned(),
            id: format!("{number:012x}"),
            tags: vec![("kind".to_owned(), "logs".to_owned())],
            fields: Vec::new(),
        })
        .collect();
    let sent = events.len() as u64;
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        match engine.ingest(repository, events.clone(), None).await {
            Ok(_) => return Ok(sent),
            // Only what was certainly not stored is sent again.
            Err(IngestError::Backlog { retry_after, .. }) if Instant::now() < until => {
                tokio::time::sleep(retry_after).await;
            }
            Err(IngestError::NotReady { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Searches; fails unless exactly the one line is found.
async fn search(engine: &Engine) -> Result<QueryResult, Failure> {
    let query = Query::parse(NEEDLE)?;
    let repository = RepositoryName::new(REPOSITORY);
    let limits = Limits::default();
    let found = engine
        .search(&repository, query, TimeRange::ALL, limits)
        .await?;
    if found.events.len() != 1 {
        return Err(Failure::Failed(format!(
            "the search finds {} events instead of 1",
            found.events.len()
        )));
    }
    Ok(found)
}
