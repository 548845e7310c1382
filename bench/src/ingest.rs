//! Log lines end to end over HTTP, on one core: into a `backstay node` that has a core of its own,
//! sent from another core, over an encrypted folder bucket.
//!
//! The peer is `zstd -3 -T1` of the same bytes, from standard input to a file, on the node's core.
//! Two ends are measured: all is acknowledged, which is durable in the journal; and all is in
//! segments, for which the node is told to flush and sent SIGTERM. Wall time and the processes'
//! own CPU time are compared; a round is one of each side, the medians count.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backstay_lab::client::{ClientError, NodeClient};
use backstay_lab::region::Region;
use backstay_lab::supervisor::{NodeProcess, NodeSpec};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::lines::{START_MS, texts};
use crate::measure::{median, timed};
use crate::process::{cpu_of, cpu_of_children, pin_self, pinned, program};
use crate::table::{Ratio, Report, Row};
use crate::{Failure, note};

const REPOSITORY: &str = "humio";
/// Raw bytes of one request.
const BATCH_BYTES: usize = 1 << 20;
/// Requests on their way at the same time.
const SENDERS: usize = 4;
/// Longest wait for anything; only a hang takes so long.
const HANG_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Bytes of raw log lines.
    #[arg(long, default_value_t = 256_000_000)]
    bytes: usize,
    /// Log files or folders (also .gz) instead of generated lines, from the start again when they
    /// are fewer than `--bytes`.
    #[arg(long)]
    logs: Vec<PathBuf>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The node's core; this program takes the other one.
    #[arg(long, default_value_t = 1)]
    core: u32,
    /// The `backstay` binary; by default the one next to this program.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where the raw file and the buckets are made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// The lines, as one text and as requests.
struct Load {
    raw: PathBuf,
    bytes: u64,
    lines: u64,
    bodies: Vec<Bytes>,
    repeated: u32,
}

/// What a round took of a node.
struct Took {
    acknowledged: Duration,
    acknowledged_cpu: Duration,
    segments: Duration,
    segments_cpu: Duration,
}

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    let version = zstd_version()?;
    let dir = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let binary = program(options.program.as_deref())?;
    let binary = pinned(&binary, options.core, dir.path())?;
    pin_self(u32::from(options.core == 0))?;
    let load = load(options, dir.path())?;

    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    let (mut all_wall, mut all_cpu) = (Vec::new(), Vec::new());
    let (mut peer_wall, mut peer_cpu) = (Vec::new(), Vec::new());
    let (mut packed, mut stored) = (0, 0);
    for round in 0..=options.rounds {
        let work = dir.path().join(format!("round-{round}"));
        let (took, segments) = node(&binary, &load, &work).await?;
        stored = segments;
        fs::remove_dir_all(&work)?;
        let file = dir.path().join("peer.zst");
        let (peer, peer_took) = zstd(options.core, &load.raw, &file)?;
        packed = fs::metadata(&file)?.len();
        // The first round only brings the programs and the file into the kernel's cache.
        if round > 0 {
            note(&format!(
                "round {round}: acknowledged {:.1?} (CPU {:.1?}), in segments {:.1?} (CPU {:.1?}); zstd {peer:.1?} (CPU {peer_took:.1?})",
                took.acknowledged, took.acknowledged_cpu, took.segments, took.segments_cpu
            ));
            wall.push(took.acknowledged);
            cpu.push(took.acknowledged_cpu);
            all_wall.push(took.segments);
            all_cpu.push(took.segments_cpu);
            peer_wall.push(peer);
            peer_cpu.push(peer_took);
        }
    }
    let (wall, cpu) = (median(wall), median(cpu));
    let (all_wall, all_cpu) = (median(all_wall), median(all_cpu));
    let (peer_wall, peer_cpu) = (median(peer_wall), median(peer_cpu));
    let mut notes = vec![format!(
        "medians of {} rounds; node and peer on core {}, sender on another; {SENDERS} requests of 1 MiB of lines at a time",
        options.rounds, options.core
    )];
    if load.repeated > 1 {
        notes.push(format!(
            "the logs were taken {} times, which flatters the peer: it has seen them before",
            load.repeated
        ));
    }
    Ok(Report {
        bench: "ingest",
        subject: format!(
            "{} log lines over HTTP on one core, folder bucket",
            load.lines
        ),
        peer: format!("{version}: -3 -T1 of the same bytes to a file on the same core"),
        rows: vec![
            Row::bytes("raw lines", load.bytes),
            Row::bytes("segments", stored),
            Row::bytes("peer's file", packed),
            Row::time("until acknowledged", wall),
            Row::time("until acknowledged, CPU of the node", cpu),
            Row::time("until in segments", all_wall),
            Row::time("until in segments, CPU of the node", all_cpu),
            Row::time("peer", peer_wall),
            Row::time("peer, CPU", peer_cpu),
            Row::rate("acknowledged", load.bytes, wall),
            Row::rate("in segments", load.bytes, all_wall),
            Row::rate("peer", load.bytes, peer_wall),
        ],
        ratios: vec![
            Ratio::of("to zstd, wall, until acknowledged", wall, peer_wall),
            Ratio::of("to zstd, CPU, until acknowledged", cpu, peer_cpu),
            Ratio::of("to zstd, wall, until in segments", all_wall, peer_wall),
            Ratio::of("to zstd, CPU, until in segments", all_cpu, peer_cpu),
        ],
        notes,
        ok: true,
    })
}

fn zstd_version() -> Result<String, Failure> {
    let output = Command::new("zstd").arg("--version").output();
    let output = output.map_err(|error| {
        Failure::Missing(format!(
            "zstd is not to be run ({error}); get it with `apt-get install zstd`"
        ))
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find(|word| word.starts_with('v'));
    Ok(format!(
        "zstd {}",
        version.unwrap_or_default().trim_end_matches(',')
    ))
}

/// Packs the raw file; answers with wall and CPU time.
fn zstd(core: u32, raw: &Path, to: &Path) -> Result<(Duration, Duration), Failure> {
    let before = cpu_of_children()?;
    let begun = Instant::now();
    let status = Command::new("taskset")
        .args(["-c", &core.to_string(), "zstd", "-3", "-T1", "-q", "-c"])
        .stdin(File::open(raw)?)
        .stdout(File::create(to)?)
        .stderr(Stdio::inherit())
        .status()?;
    let wall = begun.elapsed();
    if !status.success() {
        return Err(Failure::Failed(format!("zstd: {status}")));
    }
    Ok((wall, cpu_of_children()?.saturating_sub(before)))
}

/// Writes the raw file and makes the requests.
fn load(options: &Options, dir: &Path) -> Result<Load, Failure> {
    note("making the lines");
    let raw = dir.join("raw.log");
    let mut text = Vec::with_capacity(options.bytes + (1 << 16));
    let (mut bodies, mut batch, mut batch_bytes) = (Vec::new(), Vec::new(), 0);
    let (mut lines, mut repeated) = (0_u64, 0);
    while text.len() < options.bytes {
        repeated += 1;
        for line in texts(&options.logs)? {
            let line = line?;
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
            batch_bytes += line.len() + 1;
            batch.push(json!({ "timestamp": START_MS + lines as i64, "rawstring": line }));
            lines += 1;
            let enough = text.len() >= options.bytes;
            if batch_bytes >= BATCH_BYTES || enough {
                bodies.push(body(std::mem::take(&mut batch))?);
                batch_bytes = 0;
            }
            if enough {
                break;
            }
        }
    }
    fs::write(&raw, &text)?;
    Ok(Load {
        raw,
        bytes: text.len() as u64,
        lines,
        bodies,
        repeated,
    })
}

fn body(events: Vec<Value>) -> Result<Bytes, Failure> {
    let group = json!([{ "tags": { "kind": "logs" }, "events": events }]);
    Ok(serde_json::to_vec(&group)?.into())
}

/// A round of a node; answers also with the bytes of its segments.
async fn node(binary: &Path, load: &Load, work: &Path) -> Result<(Took, u64), Failure> {
    fs::create_dir_all(work)?;
    let region = Region::folder("here", work.join("bucket"))?;
    let mut env: BTreeMap<String, String> = region.own();
    env.insert("BACKSTAY_LOG".to_owned(), "warn".to_owned());
    let spec = NodeSpec {
        name: "measured".to_owned(),
        program: binary.to_owned(),
        env,
        data_dir: work.join("data"),
        log_file: work.join("log"),
    };
    let mut node = NodeProcess::start(&spec)?;
    node.ready(HANG_TIMEOUT).await?;
    let id = node
        .pid()
        .ok_or_else(|| Failure::Failed("the node has ended".to_owned()))?;
    let admin = node.admin_token()?;
    let client = node.client().clone();
    let token = client
        .create_ingest_token(&admin, REPOSITORY, "bench")
        .await?;
    let (children, before) = (cpu_of_children()?, cpu_of(id)?);
    let begun = Instant::now();
    let (_, acknowledged) = timed(send(&client, &token, load)).await?;
    let acknowledged_cpu = cpu_of(id)?.saturating_sub(before);
    let found = client.count(&admin, REPOSITORY).await?;
    if found != load.lines {
        return Err(Failure::Failed(format!(
            "{} lines were acknowledged and {found} are found",
            load.lines
        )));
    }
    // The search is not what is measured.
    let (searched, searched_cpu) = (begun.elapsed(), cpu_of(id)?);
    let flush = "mutation { setDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown, value: \"true\"}) }";
    client.graphql(&admin, flush, Value::Null).await?;
    node.terminate()?;
    let status = node.wait().await?;
    let all = begun.elapsed().saturating_sub(searched) + acknowledged;
    if !status.success() {
        return Err(Failure::Failed(format!(
            "the node ended with {status}:\n{}",
            node.log_tail(12)
        )));
    }
    // Since the node was waited for, its time is that of a child; the search is taken out again.
    let whole = cpu_of_children()?.saturating_sub(children + before);
    let search = searched_cpu.saturating_sub(before + acknowledged_cpu);
    let took = Took {
        acknowledged,
        acknowledged_cpu,
        segments: all,
        segments_cpu: whole.saturating_sub(search),
    };
    Ok((
        took,
        crate::measure::bytes_below(&work.join("bucket/segments"))?,
    ))
}

/// Sends everything until it is acknowledged.
async fn send(client: &NodeClient, token: &str, load: &Load) -> Result<(), Failure> {
    let sent = load.bodies.iter().enumerate();
    stream::iter(sent)
        .map(|(at, body)| send_one(client, token, at, body))
        .buffer_unordered(SENDERS)
        .try_collect()
        .await
}

async fn send_one(
    client: &NodeClient,
    token: &str,
    at: usize,
    body: &Bytes,
) -> Result<(), Failure> {
    let until = Instant::now() + HANG_TIMEOUT;
    let key = format!("batch-{at}");
    loop {
        match client.ingest(token, &key, body.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_retryable() && Instant::now() < until => {
                let wait = match error {
                    ClientError::Refused { retry_after, .. } => retry_after,
                    _ => None,
                };
                tokio::time::sleep(wait.unwrap_or(Duration::from_millis(50))).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
