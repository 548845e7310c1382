//! What a recovery reads of its source: each entry as often as there are things to be known of it, and
//! hardly more of the worst that clients can send than of plain log lines.
//!
//! Compared are recoveries of as many bytes in as many entries, as they lie in the journal: what was sent
//! may be much less.

use backstay_bucket::{Bucket, BucketConfig, Role, Secret};
use backstay_global::journal_over;
use backstay_journal::{StreamId, WriterId};
use backstay_node::RepositoryName;
use backstay_search::{Limits, Query, TimeRange};
use futures::TryStreamExt;

use crate::generators;
use crate::host::{Host, Region, Vars};
use crate::wire::{Api, Request};
use backstay_testkit::hostile::check_answer;

const PARTITIONS: u32 = 2;

/// The entries of a source are read to find its end, for their keys, and to be imported.
const PASSES: u64 = 3;

/// Objects of a partition that may be asked for besides its entries: behind the end, which is looked for
/// some slots ahead, and around the seal.
const OTHER_READS: u64 = 32;

/// Bytes of the source's `global` behind its newest snapshot: hosts and heartbeats.
const GLOBAL_BYTES: u64 = 16 << 10;

fn node(region: &Region, name: &str) -> Vars {
    region
        .node(name)
        .with("BACKSTAY_INGEST_PARTITIONS", &PARTITIONS.to_string())
        .with("BACKSTAY_ACK_TIMEOUT_MS", "60000")
        .with("BACKSTAY_LEASE_MS", "10000")
        .with("BACKSTAY_HEARTBEAT_MS", "500")
        .with("BACKSTAY_MEMORY_BYTES", &(2_u64 << 30).to_string())
}

/// Id and text of all events.
fn rows(host: &Host) -> Vec<(String, String)> {
    let engine = host.engine.clone();
    host.run(async move {
        let limits = Limits {
            memory: 256 << 20,
            rows: 1_000_000,
            ..Limits::default()
        };
        let query = Query::parse("*").unwrap();
        let humio = RepositoryName::new("humio");
        let result = engine.search(&humio, query, TimeRange::ALL, limits).await;
        let rows = result.unwrap().events.into_iter().map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("@id"), text("@rawstring"))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable();
        rows
    })
}

/// A region whose node was killed, with all of it in its journal only.
struct Source {
    region: Region,
    token: String,
    requests: Vec<Request>,
    rows: Vec<(String, String)>,
    /// The entries that have events: how long they are unpacked.
    sizes: Vec<usize>,
    /// All entries.
    entries: u64,
}

/// What was read of a source.
#[derive(Clone, Copy, Debug)]
struct Cost {
    objects: u64,
    bytes: u64,
}

impl Source {
    /// Sends one after the other, so that each is an entry of its own; `answered` checks the answers.
    fn of(requests: Vec<Request>, answered: impl Fn(usize, u16, &[u8])) -> Self {
        let region = Region::new();
        let lazy = node(&region, "p")
            .with("BACKSTAY_SEGMENT_BYTES", "1000000000")
            .with("BACKSTAY_SEGMENT_SECONDS", "3600");
        let host = Host::start(&lazy);
        let api = Api::of(&host);
        let token = api.ingest_token(&host);
        for (number, request) in requests.iter().enumerate() {
            let answer = api.send(&token, request);
            answered(number, answer.status, answer.body.as_bytes());
        }
        let rows = rows(&host);
        host.kill();
        assert_eq!(crate::host::segments(&region), 0);
        let mut source = Self {
            region,
            token,
            requests,
            rows,
            sizes: Vec::new(),
            entries: 0,
        };
        source.look();
        source
    }

    /// The same where all is taken.
    fn taken(requests: Vec<Request>) -> Self {
        Self::of(requests, |number, status, body| {
            let body = String::from_utf8_lossy(body);
            assert_eq!(status, 200, "{number}: {body}");
        })
    }

    fn look(&mut self) {
        let folder = self.region.bucket("bucket");
        let key = Secret::from(self.region.key());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let entries = runtime.block_on(async {
            let config = BucketConfig::local(&folder, key, Role::Own);
            let bucket = Bucket::open(config).await.unwrap();
            let journal = journal_over(&bucket, WriterId("test".to_owned()));
            let mut all = Vec::new();
            for partition in 0..PARTITIONS {
                let stream = StreamId::Partition(partition);
                let folder = format!("{folder}/{}", stream.prefix());
                let count = std::fs::read_dir(folder).unwrap().count();
                let slots = journal.slots(stream, 0, count as u64, 1);
                all.extend(slots.try_collect::<Vec<_>>().await.unwrap());
            }
            all
        });
        self.entries = entries.len() as u64;
        let data = entries.into_iter().map(|entry| entry.unwrap());
        let data = data.filter(|entry| !entry.is_seal());
        self.sizes = data.map(|entry| entry.payload.len()).collect();
    }

    fn bytes(&self) -> u64 {
        self.sizes.iter().map(|size| *size as u64).sum()
    }

    /// Recovers and imports it; each entry is a piece of its own as far as `vars` do not say otherwise.
    /// What was acknowledged is there once, also when its clients send it again.
    fn recover(&self, vars: impl Fn(Vars) -> Vars) -> Cost {
        let west = Region::new();
        let each = node(&west, "s").with("BACKSTAY_SEGMENT_BYTES", "1");
        let host = Host::start(&vars(each).recovering_from(&self.region));
        host.until("all is imported", |engine| {
            engine.status().not_imported.is_empty()
        });
        let api = Api::of(&host);
        for request in &self.requests {
            api.send(&self.token, request);
        }
        let cost = Cost {
            objects: api.metric("backstay_source_read_objects_total"),
            bytes: api.metric("backstay_source_read_bytes_total"),
        };
        host.kill();
        // From its own bucket alone.
        std::fs::remove_dir_all(self.region.bucket("bucket")).unwrap();
        let host = Host::start(&node(&west, "later"));
        assert!(self.rows == rows(&host), "something is lost or doubled");
        host.kill();
        cost
    }
}

/// Nothing is read twice that need not be, and no more than twice as much of it as of plain lines.
fn costs_hardly_more_than_plain_lines(hostile: &Source) -> Cost {
    let plain = Source::taken(generators::plain(&hostile.sizes));
    assert_eq!(plain.entries, hostile.entries);
    let (bytes, of_plain) = (hostile.bytes(), plain.bytes());
    assert!(
        (bytes * 9 / 10..=bytes * 101 / 100).contains(&of_plain),
        "{bytes} bytes are compared with {of_plain}"
    );
    let cost = hostile.recover(|vars| vars);
    let cost_of_plain = plain.recover(|vars| vars);
    assert!(
        cost.objects <= 2 * cost_of_plain.objects && cost.bytes <= 2 * cost_of_plain.bytes,
        "{cost:?}, and {cost_of_plain:?} of plain lines"
    );
    // Each pass decodes all of it, so it cannot be less.
    assert!((PASSES * bytes..=PASSES * bytes + GLOBAL_BYTES).contains(&cost.bytes));
    cost
}

#[test]
fn damaged_batches() {
    let (batches, requests): (Vec<_>, Vec<_>) = generators::damaged(3).into_iter().unzip();
    let source = Source::of(requests, |number, status, body| {
        check_answer(&batches[number], status, body);
    });
    for batch in &batches {
        for good in &batch.good {
            let times = source.rows.iter().filter(|(_, text)| text == good).count();
            assert_eq!(times, 1, "{good:?} of {batch:?}");
        }
    }
    costs_hardly_more_than_plain_lines(&source);
}

#[test]
fn wide_and_deep_events() {
    let source = Source::taken(generators::wide(4));
    assert_eq!(source.rows.len(), 4);
    costs_hardly_more_than_plain_lines(&source);
}

#[test]
fn tiny_documents() {
    let source = Source::taken(generators::tiny(8, 500));
    assert_eq!(source.rows.len(), 8 * 500);
    costs_hardly_more_than_plain_lines(&source);
}

#[test]
fn empty_messages() {
    let source = Source::taken(generators::empty(8, 500));
    assert_eq!(source.rows.len(), 8 * 500);
    costs_hardly_more_than_plain_lines(&source);
}

#[test]
fn lines_that_cannot_be_packed() {
    let source = Source::taken(generators::noise(2, 1_600_000));
    costs_hardly_more_than_plain_lines(&source);
}

/// As many pieces as entries: each object is asked for once in each pass.
#[test]
fn batches_of_one_line() {
    let source = Source::taken(generators::single(80));
    let cost = costs_hardly_more_than_plain_lines(&source);
    let needed = PASSES * source.entries;
    let most = needed + OTHER_READS * u64::from(PARTITIONS);
    assert!(
        (needed..=most).contains(&cost.objects),
        "{cost:?} for {} entries",
        source.entries
    );
}

/// What has no room in a piece is not read again either.
#[test]
fn pieces_that_end_where_the_memory_does_read_nothing_twice() {
    let source = Source::taken(generators::wide(10));
    let least = backstay_node::memory::MIN_BUDGET_BYTES.to_string();
    let cost = source.recover(|vars| {
        vars.with("BACKSTAY_MEMORY_BYTES", &least)
            .with("BACKSTAY_SEGMENT_BYTES", "1000000000")
    });
    let most = PASSES * source.bytes() + GLOBAL_BYTES;
    assert!(cost.bytes <= most, "{cost:?} of {most}");
}
