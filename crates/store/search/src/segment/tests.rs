#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use tokio::sync::watch;

use super::*;
use crate::execute::{Execution, Limits, Progress, Row};
use crate::{Event, MemorySource, Query, SearchError, TimeRange};

fn events(count: i64) -> Vec<Event> {
    (0..count)
        .map(|n| Event {
            timestamp_ms: 1_700_000_000_000 - n,
            raw: format!("level=info user=u{n} took {} ms \"über\"", n * 7),
            id: format!("id-{n}"),
            tags: vec![("kind".to_owned(), "app".to_owned())],
            fields: vec![
                ("level".to_owned(), "info".to_owned()),
                ("user".to_owned(), format!("u{n}")),
                (format!("rare{n}"), format!("not in the text {n}")),
            ],
        })
        .collect()
}

const SHAPE: Shape = Shape {
    group_bytes: 700,
    columns: 5,
};

pub(super) fn search(bytes: Bytes, text: &str) -> Result<Vec<Row>, SearchError> {
    let source = MemorySource::new("7", i64::MIN, i64::MAX, bytes);
    let limits = Limits {
        rows: 10_000,
        ..Limits::default()
    };
    let query = Query::parse(text).unwrap();
    let execution = Execution::new(
        query,
        TimeRange::ALL,
        vec![Arc::new(source)],
        vec![],
        limits,
    );
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(execution.run(watch::channel(Progress::default()).0))
        .map(|result| result.events)
}

#[test]
fn any_parquet_reader_reads_it() {
    let written = write(&events(50)).unwrap();
    let reader = SerializedFileReader::new(written.bytes).unwrap();
    let rows: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap().to_string())
        .collect();
    assert_eq!(rows.len(), 50);
    assert!(rows[0].contains("@timestamp: 1699999999951"), "{}", rows[0]);
    assert!(rows[0].contains("user: \"u49\""), "{}", rows[0]);
}

#[test]
fn its_footer_says_how_many_events_it_has() {
    let counted = |bytes: Bytes| {
        let source = MemorySource::new("7", i64::MIN, i64::MAX, bytes);
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(count(Arc::new(source)))
    };
    let bytes = write_shaped(&events(50), &SHAPE).unwrap().bytes;
    assert_eq!(counted(bytes.clone()).unwrap(), 50);
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        let error = counted(bytes.slice(..cut)).unwrap_err();
        assert!(
            matches!(error, SearchError::Corrupt { .. }),
            "{cut}: {error}"
        );
    }
}

#[test]
fn says_what_it_holds() {
    let events = events(50);
    let written = write_shaped(&events, &SHAPE).unwrap();
    assert_eq!(written.events, 50);
    assert_eq!(
        written.raw_bytes,
        events.iter().map(|e| e.raw.len() as u64).sum::<u64>()
    );
    assert_eq!(
        (written.start_ms, written.end_ms),
        (1_699_999_999_951, 1_700_000_000_000)
    );
    assert!(
        SerializedFileReader::new(written.bytes)
            .unwrap()
            .num_row_groups()
            > 1
    );
}

#[test]
fn no_events_are_a_segment_too() {
    let written = write(&[]).unwrap();
    assert_eq!(search(written.bytes, "").unwrap(), Vec::<Row>::new());
}

#[test]
fn the_order_of_the_events_does_not_matter() {
    let mut events = events(40);
    let one = write(&events).unwrap();
    events.reverse();
    assert_eq!(one.bytes, write(&events).unwrap().bytes);
}

#[test]
fn fields_without_a_column_are_found() {
    let bytes = write_shaped(&events(50), &SHAPE).unwrap().bytes;
    assert_eq!(search(bytes.clone(), "rare37=*").unwrap().len(), 1);
    assert_eq!(search(bytes.clone(), "\"text 37\"").unwrap().len(), 1);
    let row = search(bytes, "rare37=\"not in the text 37\"").unwrap();
    assert_eq!(row[0]["rare37"], serde_json::json!("not in the text 37"));
}

/// What a damaged file gives: an error, or what the whole file gives. Never a panic in the
/// caller, never another answer.
fn check(damaged: Vec<u8>, what: &str, text: &str, expected: &[Row]) -> bool {
    match search(damaged.into(), text) {
        Ok(rows) => {
            assert_eq!(rows, expected, "{text} with {what}");
            false
        }
        Err(SearchError::Corrupt { segment, .. }) => {
            assert_eq!(segment, "7");
            true
        }
        Err(other) => panic!("{text} with {what}: {other}"),
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_changes_nothing() {
    let whole = write_shaped(&events(40), &SHAPE).unwrap().bytes;
    for text in ["", "über u37", "user=u3*|count()"] {
        let expected = search(whole.clone(), text).unwrap();
        assert!(!expected.is_empty());
        let mut caught = 0;
        let mut tried = 0;
        for at in (0..whole.len())
            .step_by(11)
            .chain(whole.len() - 8..whole.len())
        {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 1 << (at % 8);
            tried += 1;
            caught += u32::from(check(
                damaged,
                &format!("byte {at} flipped"),
                text,
                &expected,
            ));
        }
        // Filters and columns that a query does not look at may be damaged unseen.
        assert!(caught * 3 > tried, "{text}: {caught} of {tried}");
    }
}

#[test]
fn a_cut_file_is_an_error() {
    let whole = write_shaped(&events(40), &SHAPE).unwrap().bytes;
    for length in (0..whole.len()).step_by(17).chain(0..20) {
        assert!(
            check(whole[..length].to_vec(), "the end cut off", "", &[]),
            "{length}"
        );
    }
}

#[test]
fn bytes_that_are_no_segment_are_an_error() {
    for bytes in [
        &b""[..],
        b"PAR1",
        b"\xff\xff\xff\xffPAR1",
        b"\0\0\0\0PAR1",
        &[0; 4096],
    ] {
        assert!(check(bytes.to_vec(), "rubbish", "", &[]));
    }
}
