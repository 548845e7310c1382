//! Batches of the worst kinds that clients send, and plain log lines to compare them with.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::wire::Request;
use backstay_testkit::hostile::{self, FORMATS, Hostile};

const JSON: &str = "application/json";

fn request(path: &'static str, key: String, body: String) -> Request {
    Request {
        path,
        content_type: JSON,
        key,
        body: body.into_bytes(),
    }
}

fn unstructured(key: String, messages: &[String]) -> Request {
    let body = json!([{ "messages": messages }]).to_string();
    request("/api/v1/ingest/humio-unstructured", key, body)
}

/// Batches of each format in which some events are damaged.
pub fn damaged(count: usize) -> Vec<(Hostile, Request)> {
    let mut runner = TestRunner::deterministic();
    let numbered = (0..count).flat_map(|number| FORMATS.map(|format| (number, format)));
    let batches = numbered.map(|(number, format)| {
        let name = format!("{format:?} {number}");
        let batches = hostile::batches(format, &name);
        let batch = batches.new_tree(&mut runner).unwrap().current();
        let request = Request {
            path: format.path(),
            content_type: format.content_type(),
            key: name,
            body: batch.body.clone(),
        };
        (batch, request)
    });
    batches.collect()
}

/// Events with more of something than there may be: fields, depth, length of names and values.
pub fn wide(count: usize) -> Vec<Request> {
    let requests = (0..count).map(|number| {
        let event = hostile::wide_event(number, &format!("wide {number}"));
        let body = json!([{ "tags": { "a": "b" }, "events": [event] }]).to_string();
        let path = "/api/v1/ingest/humio-structured";
        request(path, format!("wide {number}"), body)
    });
    requests.collect()
}

/// Documents of one field.
pub fn tiny(batches: usize, documents: usize) -> Vec<Request> {
    let requests = (0..batches).map(|batch| {
        let document = |n: usize| format!("{{\"index\":{{}}}}\n{{\"k\":{n}}}\n");
        let body = (0..documents).map(document).collect();
        let path = "/api/v1/ingest/elastic-bulk/_bulk";
        request(path, format!("tiny {batch}"), body)
    });
    requests.collect()
}

/// Messages without text.
pub fn empty(batches: usize, messages: usize) -> Vec<Request> {
    let none = vec![String::new(); messages];
    let requests = (0..batches).map(|batch| unstructured(format!("empty {batch}"), &none));
    requests.collect()
}

/// Batches of one short line each.
pub fn single(batches: usize) -> Vec<Request> {
    let requests = (0..batches).map(|batch| {
        let key = format!("single {batch}");
        unstructured(key.clone(), &[key])
    });
    requests.collect()
}

/// Lines that cannot be packed, in batches of so many bytes.
pub fn noise(batches: usize, bytes: usize) -> Vec<Request> {
    let mut random = StdRng::seed_from_u64(1);
    let mut line = || -> String {
        let letters = (0..1000).map(|_| char::from(random.random_range(b'#'..b'[')));
        letters.collect()
    };
    let requests = (0..batches).map(|batch| {
        let lines: Vec<String> = (0..bytes / 1000).map(|_| line()).collect();
        unstructured(format!("noise {batch}"), &lines)
    });
    requests.collect()
}

/// What a batch takes in the journal besides its events, and an event besides its line, or hardly less.
const BATCH_BYTES: usize = 56;
const EVENT_BYTES: usize = 47;
/// A line.
const LINE_BYTES: usize = 120;

/// Batches of ordinary log lines that take these sizes in the journal.
pub fn plain(sizes: &[usize]) -> Vec<Request> {
    let batches = sizes.iter().enumerate().map(|(batch, size)| {
        let size = size.saturating_sub(BATCH_BYTES);
        let lines = (size / (EVENT_BYTES + LINE_BYTES)).max(1);
        let length = (size / lines).saturating_sub(EVENT_BYTES);
        let line = |n: usize| {
            let mut line = format!(
                "2026-11-30T12:{:02}:{:02}.{:03}Z INFO worker-{batch} GET /api/items/{n} 200 in {} ms, cache hit, user {}",
                n / 60 % 60,
                n % 60,
                n % 1000,
                n * 7 % 90,
                n * 31 % 977,
            );
            while line.len() < length {
                line.push_str(" and more");
            }
            line.truncate(length);
            line
        };
        let lines: Vec<String> = (0..lines).map(line).collect();
        unstructured(format!("plain {batch}"), &lines)
    });
    batches.collect()
}
