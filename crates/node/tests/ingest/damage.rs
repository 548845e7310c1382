//! Damaged batches over the wire: what was good is found once, what was bad was named.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::curl::{raw_lines, send};
use crate::server::Server;
use backstay_testkit::hostile::{self, FORMATS};

const BATCHES: usize = 8;

#[test]
fn the_good_events_of_damaged_batches_are_found_once() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let mut runner = TestRunner::deterministic();
    let mut sent = Vec::new();
    for format in FORMATS {
        let kind = format!("Content-Type: {}", format.content_type());
        for number in 0..BATCHES {
            let batches = hostile::batches(format, &format!("{format:?} {number}"));
            let batch = batches.new_tree(&mut runner).unwrap().current();
            let answer = send(&server, format.path(), &token, &["-H", &kind], &batch.body);
            let body = answer.body.clone().into_bytes();
            hostile::check_answer(&batch, answer.status, &body);
            sent.push(batch);
        }
    }
    let found = raw_lines(&server);
    for batch in sent {
        for good in &batch.good {
            let times = found.iter().filter(|line| *line == good).count();
            assert_eq!(times, 1, "{good:?} of {batch:?}");
        }
    }
}
