//! Recovering what clients send at worst, against recovering plain log lines.
//!
//! Both sides are real `backstay node` processes over encrypted folder buckets. A primary acknowledges
//! batches and makes no segment, and is killed; a standby is started with nothing but its bucket to
//! recover from. Two ends: it serves, and all of it is in segments of its own. The peer is the same with
//! ordinary log lines, of as many bytes in as many batches, as they lie in the journal: what is sent may
//! be much less. A recovery after which there are not as many events as were sent fails the benchmark;
//! that each is there once is asserted by `crates/node/tests/engine/reading.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backstay_global::journal_over;
use backstay_journal::{StreamId, WriterId};
use backstay_lab::region::Region;
use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lines::{START_MS, Texts, texts};
use crate::measure::median;
use crate::process::program;
use crate::standby::{HANG_TIMEOUT, REPOSITORY, copy, open, start};
use crate::table::{Ratio, Report, Row};
use crate::{Failure, note};

/// How often the standby is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// What is read may be at most so many times what is read of plain lines.
const MAX_READ_RATIO: f64 = 2.0;
/// Events of a batch of small ones.
const SMALL_BATCH_EVENTS: usize = 5_000;
/// What a batch takes in the journal besides its events, and an event besides its line.
const BATCH_OVERHEAD_BYTES: usize = 56;
const EVENT_OVERHEAD_BYTES: usize = 47;
/// Partitions of the source.
const PARTITIONS: u32 = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Bytes of each kind, as they are sent.
    #[arg(long, default_value_t = 16_000_000)]
    bytes: usize,
    /// How often each recovery is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The `backstay` binary; by default the one next to this program.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// What clients send.
struct Kind {
    name: &'static str,
    /// The names of its ratios: time until it serves, until all is imported, objects, bytes.
    ratios: [&'static str; 4],
    batch: fn(usize) -> Vec<Value>,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "wide and deep events",
        ratios: [
            "of the time until it serves, wide and deep events",
            "of the time until all is imported, wide and deep events",
            "of objects read, wide and deep events",
            "of bytes decoded, wide and deep events",
        ],
        batch: wide,
    },
    Kind {
        name: "events of one field",
        ratios: [
            "of the time until it serves, events of one field",
            "of the time until all is imported, events of one field",
            "of objects read, events of one field",
            "of bytes decoded, events of one field",
        ],
        batch: tiny,
    },
    Kind {
        name: "empty events",
        ratios: [
            "of the time until it serves, empty events",
            "of the time until all is imported, empty events",
            "of objects read, empty events",
            "of bytes decoded, empty events",
        ],
        batch: empty,
    },
];

/// An event with 20,000 fields, one with fields of long names, or one that is nested very deep.
fn wide(number: usize) -> Vec<Value> {
    let attributes: Map<String, Value> = match number % 3 {
        0 => (0..20_000)
            .map(|n| (format!("field{n}"), json!(n)))
            .collect(),
        1 => (0..2_000)
            .map(|n| (format!("{n}{}", "n".repeat(900)), json!([n, n])))
            .collect(),
        _ => {
            let value = json!("v".repeat(300_000));
            let deep = (0..300).fold(value, |inner, n| json!({ format!("n{n}"): inner }));
            Map::from_iter([("deep".to_owned(), deep)])
        }
    };
    let text = format!("wide {number}");
    vec![json!({ "timestamp": START_MS, "rawstring": text, "attributes": attributes })]
}

fn tiny(number: usize) -> Vec<Value> {
    let event = |n| json!({ "timestamp": START_MS, "attributes": { "k": number * SMALL_BATCH_EVENTS + n } });
    (0..SMALL_BATCH_EVENTS).map(event).collect()
}

fn empty(_: usize) -> Vec<Value> {
    vec![json!({ "timestamp": START_MS, "rawstring": "" }); SMALL_BATCH_EVENTS]
}

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    let program = program(options.program.as_deref())?;
    let dir = tempfile::tempdir()?;
    let mut rows = Vec::new();
    let mut ratios = Vec::new();
    for (at, kind) in KINDS.iter().enumerate() {
        note(&format!("sending {}", kind.name));
        let work = dir.path().join(at.to_string());
        let mut hostile = Source::new(&program, work.join("hostile"), |number, sent| {
            Ok((sent < options.bytes).then(|| (kind.batch)(number)))
        })
        .await?;
        let sizes = hostile.sizes.clone();
        let mut lines = texts(&[])?;
        let mut plain = Source::new(&program, work.join("plain"), |number, _| {
            let size = sizes.get(number);
            size.map(|size| plain(*size, &mut lines)).transpose()
        })
        .await?;
        for round in 0..=options.rounds {
            for (source, of) in [(&mut hostile, kind.name), (&mut plain, "plain lines")] {
                let cost = source.recover(&program).await?;
                // The first round only brings the program and the files into the kernel's cache.
                if round > 0 {
                    note(&format!("round {round}, {of}: {cost:.1?}"));
                    source.costs.push(cost);
                }
            }
        }
        fs::remove_dir_all(&work)?;
        let (hostile, plain) = (hostile.middle(kind.name, &mut rows), {
            plain.middle(&format!("plain lines as {}", kind.name), &mut rows)
        });
        let [serves, imported, objects, bytes] = kind.ratios;
        let of_counts = |name, ours: u64, theirs: u64| Ratio {
            name,
            value: ours as f64 / theirs as f64,
            limit: Some(MAX_READ_RATIO),
        };
        ratios.extend([
            Ratio::of(serves, hostile.serves, plain.serves),
            Ratio::of(imported, hostile.imported, plain.imported),
            of_counts(objects, hostile.objects, plain.objects),
            of_counts(bytes, hostile.bytes, plain.bytes),
        ]);
    }
    Ok(Report {
        bench: "hostile",
        subject: "a standby that recovers the worst that clients send, from its start".to_owned(),
        peer: "the same with plain log lines, of as many bytes in the journal".to_owned(),
        rows,
        ok: ratios.iter().all(Ratio::holds),
        ratios,
        notes: vec![format!(
            "medians of {} rounds; as many events are found as were sent",
            options.rounds
        )],
    })
}

/// Plain lines that take `size` bytes in the journal.
fn plain(size: usize, lines: &mut Texts) -> Result<Vec<Value>, Failure> {
    let mut left = size.saturating_sub(BATCH_OVERHEAD_BYTES);
    let mut events = Vec::new();
    while left > EVENT_OVERHEAD_BYTES {
        let Some(line) = lines.next().transpose()? else {
            break;
        };
        left = left.saturating_sub(EVENT_OVERHEAD_BYTES + line.len());
        events.push(json!({ "timestamp": START_MS, "rawstring": line }));
    }
    Ok(events)
}

/// What a recovery took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    serves: Duration,
    imported: Duration,
    objects: u64,
    bytes: u64,
}

/// A primary's bucket, to be copied for each round.
struct Source {
    work: PathBuf,
    region: Region,
    folder: PathBuf,
    pristine: PathBuf,
    events: u64,
    /// The batches, as they lie in the journal.
    sizes: Vec<usize>,
    costs: Vec<Cost>,
}

impl Source {
    /// Sends batches until there is no further one; `batch` is given its number, and the bytes sent.
    async fn new(
        program: &Path,
        work: PathBuf,
        mut batch: impl FnMut(usize, usize) -> Result<Option<Vec<Value>>, Failure>,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(&work)?;
        let folder = work.join("east");
        let region = Region::folder("east", folder.clone())?;
        let mut env = region.own();
        // All of it stays in the journal.
        env.extend(
            [
                ("BACKSTAY_SEGMENT_BYTES", "1000000000"),
                ("BACKSTAY_SEGMENT_SECONDS", "86400"),
                ("BACKSTAY_MEMORY_BYTES", "4294967296"),
                ("BACKSTAY_INGEST_PARTITIONS", &PARTITIONS.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut node = start(program, &work, "primary", env)?;
        node.ready(HANG_TIMEOUT).await?;
        let admin = node.admin_token()?;
        let token = node.client();
        let token = token
            .create_ingest_token(&admin, REPOSITORY, "bench")
            .await?;
        let (mut number, mut sent, mut count) = (0, 0, 0);
        while let Some(events) = batch(number, sent)? {
            count += events.len() as u64;
            let body = serde_json::to_vec(&json!([{ "events": events }]))?;
            sent += body.len();
            let key = number.to_string();
            // One after the other, so that each is an entry of its own.
            node.client()
                .ingest(&token, &key, Bytes::from(body))
                .await?;
            number += 1;
        }
        node.kill().await?;
        let pristine = work.join("pristine");
        let mut source = Self {
            region,
            folder,
            pristine,
            work,
            events: count,
            sizes: Vec::new(),
            costs: Vec::new(),
        };
        source.look().await?;
        fs::rename(&source.folder, &source.pristine)?;
        Ok(source)
    }

    /// Looks how long the batches are where they lie.
    async fn look(&mut self) -> Result<(), Failure> {
        let bucket = open(&self.region).await?;
        let journal = journal_over(&bucket, WriterId("bench".to_owned()));
        for partition in 0..PARTITIONS {
            let stream = StreamId::Partition(partition);
            let keys = bucket.list(&stream.prefix(), None);
            let keys: Vec<_> = keys.try_collect().await?;
            let slots = journal.slots(stream, 0, keys.len() as u64, 1);
            let slots: Vec<_> = slots.try_collect().await?;
            let data = slots.into_iter().flatten().filter(|it| !it.is_seal());
            self.sizes.extend(data.map(|entry| entry.payload.len()));
        }
        Ok(())
    }

    async fn recover(&self, program: &Path) -> Result<Cost, Failure> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        copy(&self.pristine, &self.folder)?;
        let west = Region::folder("west", self.work.join("west"))?;
        let mut env: BTreeMap<String, String> = west.own();
        env.extend(self.region.recover_from(&west));
        let begun = Instant::now();
        let mut node = start(program, &self.work, "standby", env)?;
        let mut serves = None;
        let imported = loop {
            node.must_run()?;
            let answer = node.client().status().await.ok().filter(|it| it.ok);
            if let Some(answer) = answer {
                serves.get_or_insert_with(|| begun.elapsed());
                let body: Value = serde_json::from_str(&answer.body)?;
                let left = body["notImported"].as_array().map_or(0, Vec::len);
                if left == 0 {
                    break begun.elapsed();
                }
            }
            if begun.elapsed() > HANG_TIMEOUT {
                let log = node.log_tail(12);
                return Err(Failure::Failed(format!("it does not import all:\n{log}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        let admin = node.admin_token()?;
        let found = node.client().count(&admin, REPOSITORY).await?;
        if found != self.events {
            return Err(Failure::Failed(format!(
                "{found} of {} events are there",
                self.events
            )));
        }
        let metrics = metrics(node.client().base()).await?;
        let metric = |name: &str| {
            let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
            let found = lines.find(|(of, _)| *of == name);
            found.and_then(|(_, value)| value.trim().parse().ok())
        };
        let objects = metric("backstay_source_read_objects_total");
        let bytes = metric("backstay_source_read_bytes_total");
        let (Some(objects), Some(bytes)) = (objects, bytes) else {
            return Err(Failure::Failed("a metric is missing".to_owned()));
        };
        node.kill().await?;
        fs::remove_dir_all(self.work.join("west"))?;
        Ok(Cost {
            serves: serves.unwrap_or(imported),
            imported,
            objects,
            bytes,
        })
    }

    /// The medians, which are also added to the table.
    fn middle(&self, of: &str, rows: &mut Vec<Row>) -> Cost {
        let times = |time: fn(&Cost) -> Duration| median(self.costs.iter().map(time).collect());
        let count = |count: fn(&Cost) -> u64| {
            let mut counts: Vec<u64> = self.costs.iter().map(count).collect();
            counts.sort_unstable();
            counts.get(counts.len() / 2).copied().unwrap_or_default()
        };
        let cost = Cost {
            serves: times(|it| it.serves),
            imported: times(|it| it.imported),
            objects: count(|it| it.objects),
            bytes: count(|it| it.bytes),
        };
        let size: usize = self.sizes.iter().sum();
        rows.extend([
            Row::count(format!("{of}: events"), self.events),
            Row::count(
                format!("{of}: entries of the journal"),
                self.sizes.len() as u64,
            ),
            Row::bytes(format!("{of}: in the journal, unpacked"), size as u64),
            Row::time(format!("{of}: until it serves"), cost.serves),
            Row::time(format!("{of}: until all is imported"), cost.imported),
            Row::count(format!("{of}: objects read"), cost.objects),
            Row::bytes(format!("{of}: decoded"), cost.bytes),
        ]);
        cost
    }
}

/// The metrics of the node at this address.
async fn metrics(base: &url::Url) -> Result<String, Failure> {
    let port = base.port_or_known_default().unwrap_or_default();
    let host = base.host_str().unwrap_or_default();
    let mut stream = TcpStream::connect((host, port)).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
