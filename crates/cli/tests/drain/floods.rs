//! What clients can send at worst, in whole batches that a node takes, and how it is told afterwards
//! that each of their events is there once.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::process::{Answer, Process};
use backstay_testkit::hostile::{self, FORMATS, Hostile};

/// Groups of the smallest documents: a tally of each tells one that is lost from one that is doubled.
const GROUPS: usize = 500;

/// How much of everything is sent.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Damaged batches of each format.
    pub damaged: usize,
    /// Events with very many fields, long names, or deep values.
    pub wide: usize,
    /// Documents of one field.
    pub small: usize,
    /// Messages without text.
    pub empty: usize,
}

/// What a node has acknowledged.
#[derive(Debug, Default)]
pub struct Sent {
    damaged: Vec<Hostile>,
    wide: Vec<String>,
    small: usize,
    empty: usize,
}

/// A sender to one repository.
pub struct Sender<'a> {
    node: &'a Process,
    token: String,
}

impl<'a> Sender<'a> {
    /// One whose repository is made for it.
    pub fn new(node: &'a Process, repository: &str) -> Self {
        node.graphql(&format!(
            r#"mutation {{ createRepository(name: "{repository}") {{ repository {{ name }} }} }}"#
        ));
        let token = node.ingest_token_of(repository);
        Self { node, token }
    }

    /// The same to another node of the same cluster, or to one that has recovered it.
    pub fn to<'b>(&self, node: &'b Process) -> Sender<'b> {
        let token = self.token.clone();
        Sender { node, token }
    }

    /// Sends once. An answer with the status 0 is none.
    pub fn once(&self, path: &str, key: &str, more: &[&str], body: &[u8]) -> Answer {
        let key = format!("Idempotency-Key: {key}");
        let mut headers = vec!["-H", key.as_str()];
        headers.extend_from_slice(more);
        self.node.curl(path, &self.token, &headers, body)
    }

    /// Sends until the node has it: with a key, so that it has it once.
    pub fn send(&self, path: &str, key: &str, more: &[&str], body: &[u8]) -> Answer {
        loop {
            let answer = self.once(path, key, more, body);
            if !matches!(answer.status, 429 | 503) {
                return answer;
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Announces a body, sends a part of it, and no more.
    pub fn trickle(&self, part: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.node.address()).unwrap();
        let head = format!(
            "POST /services/collector/raw HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n",
            self.token,
            16 << 20
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Who has no room for it ends the connection.
        let _ = stream.write_all(part);
        stream
    }
}

pub fn packed(plain: Vec<u8>) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .arg("-1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    thread::scope(|threads| {
        threads.spawn(move || input.write_all(&plain).unwrap());
        gzip.wait_with_output().unwrap().stdout
    })
}

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];
const GZIP: [&str; 4] = [
    "-H",
    "Content-Type: application/json",
    "-H",
    "Content-Encoding: gzip",
];

fn damaged(sender: &Sender<'_>, count: usize) -> Vec<Hostile> {
    let mut runner = TestRunner::deterministic();
    let numbered = (0..count).flat_map(|number| FORMATS.map(|format| (number, format)));
    let batches = numbered.map(|(number, format)| {
        let name = format!("{format:?} {number}");
        let batches = hostile::batches(format, &name);
        let batch = batches.new_tree(&mut runner).unwrap().current();
        let kind = format!("Content-Type: {}", format.content_type());
        let answer = sender.send(format.path(), &name, &["-H", &kind], &batch.body);
        hostile::check_answer(&batch, answer.status, answer.body.as_bytes());
        batch
    });
    batches.collect()
}

fn wide(sender: &Sender<'_>, count: usize) -> Vec<String> {
    let texts = (0..count).map(|number| {
        let text = format!("wide {number}");
        let body =
            json!([{ "tags": { "a": "b" }, "events": [hostile::wide_event(number, &text)] }]);
        let path = "/api/v1/ingest/humio-structured";
        let answer = sender.send(path, &text, &JSON, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{text}: {answer:?}");
        text
    });
    texts.collect()
}

fn small(sender: &Sender<'_>, count: usize) -> usize {
    let documents = (0..count).map(|n| format!("{{\"index\":{{}}}}\n{{\"k\":{}}}\n", n % GROUPS));
    let body = packed(documents.collect::<String>().into_bytes());
    let path = "/api/v1/ingest/elastic-bulk/_bulk";
    let answer = sender.send(path, "small", &GZIP, &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    count
}

fn empty(sender: &Sender<'_>, count: usize) -> usize {
    let messages = vec!["\"\""; count].join(",");
    let body = packed(format!("[{{\"messages\":[{messages}]}}]").into_bytes());
    let path = "/api/v1/ingest/humio-unstructured";
    let answer = sender.send(path, "empty", &GZIP, &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    count
}

impl Sent {
    /// Sends all of it at once, beside connections that send a part of what they announce, and bombs.
    pub fn to(node: &Process, sizes: Sizes) -> Self {
        let senders = ["damaged", "wide", "small", "empty"].map(|name| Sender::new(node, name));
        let [for_damaged, for_wide, for_small, for_empty] = &senders;
        let part = vec![b'x'; 256 << 10];
        let slow: Vec<TcpStream> = (0..40).map(|_| for_wide.trickle(&part)).collect();
        let half: Vec<TcpStream> = (0..40)
            .map(|_| {
                let mut stream = TcpStream::connect(node.address()).unwrap();
                stream.write_all(b"POST /services/coll").unwrap();
                stream
            })
            .collect();
        let sent = thread::scope(|threads| {
            let damaged = threads.spawn(|| damaged(for_damaged, sizes.damaged));
            let wide = threads.spawn(|| wide(for_wide, sizes.wide));
            let small = threads.spawn(|| small(for_small, sizes.small));
            let empty = threads.spawn(|| empty(for_empty, sizes.empty));
            let bombs = threads.spawn(|| {
                let bomb = packed(vec![b' '; 300 << 20]);
                for _ in 0..3 {
                    let path = "/api/v1/ingest/humio-unstructured";
                    let answer = for_wide.once(path, "bomb", &GZIP, &bomb);
                    assert!([413, 429].contains(&answer.status), "{answer:?}");
                }
            });
            bombs.join().unwrap();
            Self {
                damaged: damaged.join().unwrap(),
                wide: wide.join().unwrap(),
                small: small.join().unwrap(),
                empty: empty.join().unwrap(),
            }
        });
        drop((slow, half));
        sent
    }

    /// Checks that all of it is there once.
    pub fn check(&self, node: &Process) {
        let texts = |repository: &str| -> Vec<String> {
            let rows = node.find_in(repository, "*");
            let texts = rows.iter().map(|row| row["@rawstring"].as_str());
            texts.map(|text| text.unwrap().to_owned()).collect()
        };
        let found = texts("damaged");
        for batch in &self.damaged {
            for good in &batch.good {
                let times = found.iter().filter(|text| *text == good).count();
                assert_eq!(times, 1, "{good:?} of {batch:?}");
            }
        }
        let mut found = texts("wide");
        let mut expected = self.wide.clone();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        let rows = node.find_in("small", "groupBy(k)");
        assert_eq!(rows.len(), GROUPS);
        for row in rows {
            let expected = (self.small / GROUPS).to_string();
            assert_eq!(row["_count"], json!(expected), "{row}");
        }
        let rows = node.find_in("empty", "count()");
        assert_eq!(rows[0]["_count"], json!(self.empty.to_string()), "{rows:?}");
    }
}
