//! Loading a snapshot of a million segments, as a recovery does: decrypted, unpacked, parsed and
//! patched into a state that can be served.
//!
//! The peer does with the same bytes what nobody can do without, and keeps nothing: it decrypts,
//! unpacks, and has `serde_json` parse them to [`IgnoredAny`]. It is written in two ways, and the
//! faster one counts: with the whole text in memory, one step after the other; and as a stream,
//! unpacked while it is parsed. Both sides are measured in turn in one process, and the medians
//! are compared. Peak memory is that of a process that loads the snapshot and does nothing else.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use backstay_bucket::{Bucket, BucketConfig, Role, Secret};
use backstay_global::recovery::{PatchInput, Place, Replace, patch};
use backstay_global::snapshot::{self, SnapshotKey};
use backstay_global::{EpochOffset, State};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::runtime::Handle;

use crate::measure::{median, peak_memory, timed};
use crate::table::{Ratio, Report, Row};
use crate::{Failure, note};

/// The wall time may be at most this much of the peer's.
const MAX_TIME_RATIO: f64 = 2.0;
/// Peak memory of a process that only loads, in bytes.
const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// Protects nothing: the bucket is made here and removed again.
const KEY: &str = "the key of a benchmark";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Segments in the snapshot.
    #[arg(long, default_value_t = 1_000_000)]
    segments: usize,
    /// How often each side is measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OnceOptions {
    /// The folder of the bucket.
    folder: PathBuf,
    /// The snapshot's object.
    object: String,
}

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    let folder = tempfile::tempdir()?;
    let bucket = open(folder.path()).await?;
    note(&format!("writing {} segments", options.segments));
    let written = snapshot::write(&bucket, &snapshot::sample::state(options.segments)).await?;
    let object = written.key.to_string();
    let text = zstd::decode_all(&*bucket.get(&object).await?)?.len() as u64;

    let (mut ours, mut whole, mut streamed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=options.rounds {
        let (state, load) = timed(load(&bucket, &written.key)).await?;
        if state.segments.len() != options.segments {
            return Err(Failure::Failed(format!(
                "{} segments were written and {} loaded",
                options.segments,
                state.segments.len()
            )));
        }
        drop(state);
        let ((), parse) = timed(parse_whole(&bucket, &object)).await?;
        let ((), stream) = timed(parse_streamed(&bucket, &object)).await?;
        // The first round only brings the object into the kernel's cache.
        if round > 0 {
            note(&format!(
                "round {round}: load {load:.1?}, peer {parse:.1?} whole, {stream:.1?} streamed"
            ));
            ours.push(load);
            whole.push(parse);
            streamed.push(stream);
        }
    }
    let memory = in_a_process(folder.path(), &object)?;

    let (ours, whole, streamed) = (median(ours), median(whole), median(streamed));
    let time = Ratio::of("of wall time", ours, whole.min(streamed)).at_most(MAX_TIME_RATIO);
    let peak = Ratio {
        name: "of peak memory to 1 GiB",
        value: memory as f64 / MAX_MEMORY_BYTES as f64,
        limit: Some(1.0),
    };
    Ok(Report {
        bench: "recovery",
        subject: format!(
            "a snapshot with {} segments from an encrypted folder bucket into a patched state",
            options.segments
        ),
        peer: "decrypt, unpack and parse the same bytes to nothing; the faster of two ways"
            .to_owned(),
        rows: vec![
            Row::bytes("text", text),
            Row::bytes("object", written.size),
            Row::time("load", ours),
            Row::time("peer, whole text in memory", whole),
            Row::time("peer, streamed", streamed),
            Row::bytes("peak memory of a process that loads", memory),
        ],
        ok: time.holds() && peak.holds(),
        ratios: vec![time, peak],
        notes: vec![format!(
            "medians of {} rounds, object in the kernel's cache",
            options.rounds
        )],
    })
}

/// Loads and tells the peak memory.
pub(crate) async fn once(options: &OnceOptions) -> Result<Report, Failure> {
    let bucket = open(&options.folder).await?;
    let key = SnapshotKey::parse(&options.object)
        .ok_or_else(|| Failure::Failed(format!("{} is not a snapshot", options.object)))?;
    let state = load(&bucket, &key).await?;
    let memory = peak_memory().ok_or_else(|| {
        Failure::Missing("/proc/self/status has no VmHWM; run this on Linux".to_owned())
    })?;
    Ok(Report {
        bench: "recovery-once",
        subject: options.object.clone(),
        peer: String::new(),
        rows: vec![
            Row {
                name: PEAK.to_owned(),
                value: memory as f64,
                unit: "bytes",
            },
            Row::count("segments", state.segments.len() as u64),
        ],
        ratios: Vec::new(),
        notes: Vec::new(),
        ok: true,
    })
}

/// The row that [`in_a_process`] reads.
const PEAK: &str = "peak memory";

fn in_a_process(folder: &Path, object: &str) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        rows: Vec<AnswerRow>,
    }
    #[derive(Deserialize)]
    struct AnswerRow {
        name: String,
        value: f64,
    }
    let output = Command::new(std::env::current_exe()?)
        .args(["--output", "json", "recovery-once"])
        .args([folder.as_os_str(), object.as_ref()])
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Failed(format!("loading in a process: {said}")));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)?;
    let peak = answer.rows.iter().find(|row| row.name == PEAK);
    peak.map(|row| row.value as u64)
        .ok_or_else(|| Failure::Failed("the process that loads told no memory".to_owned()))
}

async fn open(folder: &Path) -> Result<Bucket, Failure> {
    let key = Secret::from(KEY.to_owned());
    Ok(Bucket::open(BucketConfig::local(folder, key, Role::Own)).await?)
}

/// Loads a snapshot into a patched state.
pub(crate) async fn load(bucket: &Bucket, key: &SnapshotKey) -> Result<State, Failure> {
    let state = snapshot::read(bucket, key).await?;
    let input = patching(bucket, &state);
    Ok(patch(state, &input).state)
}

/// How a standby in another region patches it.
fn patching(bucket: &Bucket, state: &State) -> PatchInput {
    let source = Place::of(bucket.config());
    PatchInput {
        cluster_id: "0e1f6c1d5d8a4f0db1a5c6f2f9f0aa10".to_owned(),
        position: EpochOffset {
            epoch: state.epoch + 1,
            offset: 1,
        },
        term: state.term + 1,
        own: Place {
            container: "secondarylogscalecontainer".to_owned(),
            ..source.clone()
        },
        source,
        replace_region: Some(Replace {
            from: "eastus".to_owned(),
            to: "westus".to_owned(),
        }),
        replace_bucket: None,
        partitions: BTreeMap::new(),
        recovery: "a recovery".to_owned(),
        from_cluster: state.cluster_id.clone(),
        from: state.position(),
        at_ms: 0,
        tails: Vec::new(),
    }
}

/// The peer with the whole text in memory.
async fn parse_whole(bucket: &Bucket, object: &str) -> Result<(), Failure> {
    let packed = bucket.get(object).await?;
    let text = zstd::decode_all(&*packed)?;
    serde_json::from_slice::<IgnoredAny>(&text)?;
    Ok(())
}

/// The peer as a stream.
async fn parse_streamed(bucket: &Bucket, object: &str) -> Result<(), Failure> {
    let packed = Packed {
        chunks: bucket.get_stream(object).await?,
        current: io::Cursor::default(),
        runtime: Handle::current(),
    };
    let parsed = tokio::task::spawn_blocking(move || {
        let text = BufReader::with_capacity(1 << 20, zstd::Decoder::new(packed)?);
        serde_json::from_reader::<_, IgnoredAny>(text).map_err(io::Error::from)
    });
    parsed.await??;
    Ok(())
}

/// A bucket's stream as a reader, for a thread that may wait.
struct Packed {
    chunks: BoxStream<'static, backstay_bucket::Result<Bytes>>,
    current: io::Cursor<Bytes>,
    runtime: Handle,
}

impl Read for Packed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(into)? {
                0 => {}
                read => return Ok(read),
            }
            match self.runtime.block_on(self.chunks.next()) {
                Some(chunk) => self.current = io::Cursor::new(chunk.map_err(io::Error::other)?),
                None => return Ok(0),
            }
        }
    }
}
