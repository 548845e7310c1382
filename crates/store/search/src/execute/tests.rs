#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use futures::TryStreamExt;
use proptest::prelude::*;
use tokio::sync::watch;

mod repositories;

use super::*;
use crate::execute::reference::{Map, reference};
use crate::query::Stage;
use crate::query::tests::{WORDS, expr, field_name, query};
use crate::segment::{Shape, write_shaped};
use crate::{Event, MemorySource, SourceError};

const SHAPE: Shape = Shape {
    group_bytes: 60,
    columns: 3,
};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9]{1,9}",
        1 => prop::sample::select(vec!["\u{212a}", "\u{17f}", "ÜNÏCODE", "\n", "Connection-refused"])
            .prop_map(str::to_owned),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let pairs = |names: BoxedStrategy<String>| prop::collection::vec((names, word()), 0..4);
    let names = prop_oneof![
        8 => field_name(),
        1 => Just(String::new()),
        1 => Just("@more".to_owned()),
        1 => Just("@timestamp".to_owned()),
    ];
    let tags = prop::sample::select(vec!["kind", "#type", "kind", "#repo"]).prop_map(str::to_owned);
    (
        0_i64..40,
        prop::collection::vec(word(), 0..6),
        pairs(tags.boxed()),
        pairs(names.boxed()),
        any::<bool>(),
    )
        .prop_map(|(timestamp_ms, words, tags, fields, repeated)| {
            let mut words = words;
            if repeated {
                words.extend(fields.iter().map(|(_, value)| value.clone()));
            }
            Event {
                timestamp_ms,
                raw: words.join(" "),
                id: String::new(),
                tags,
                fields,
            }
        })
}

/// Events, each with the place where it is: segments 0 to 2, live batches 3 and 4.
fn placed() -> impl Strategy<Value = Vec<(Event, usize)>> {
    prop::collection::vec((event(), 0_usize..5), 0..40).prop_map(|mut events| {
        for (number, (event, _)) in events.iter_mut().enumerate() {
            event.id = format!("{:02}", (number * 37) % 41);
        }
        events
    })
}

fn range() -> impl Strategy<Value = TimeRange> {
    prop_oneof![
        Just(TimeRange::ALL),
        (0_i64..40, 0_i64..40).prop_map(|(start_ms, end_ms)| TimeRange { start_ms, end_ms }),
    ]
}

fn source(id: &str, events: &[Event]) -> Arc<dyn SegmentSource> {
    let written = write_shaped(events, &SHAPE).unwrap();
    Arc::new(MemorySource::new(
        id,
        written.start_ms,
        written.end_ms,
        written.bytes,
    ))
}

fn execution(
    query: &Query,
    range: TimeRange,
    events: &[(Event, usize)],
    limits: Limits,
) -> Execution {
    let of = |place: usize| -> Vec<Event> {
        let here = events.iter().filter(|(_, at)| *at == place);
        here.map(|(event, _)| event.clone()).collect()
    };
    let segments = (0..3)
        .map(of)
        .filter(|events| !events.is_empty())
        .enumerate()
        .map(|(id, events)| source(&id.to_string(), &events))
        .collect();
    let live: Vec<Arc<dyn LiveEvents>> = vec![Arc::new(of(3)), Arc::new(of(4))];
    Execution::new(query.clone(), range, segments, live, limits)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
        .block_on(future)
}

fn run(execution: Execution) -> Result<QueryResult, SearchError> {
    block_on(execution.run(watch::channel(Progress::default()).0))
}

fn maps(rows: &[Row]) -> Vec<Map> {
    let text = |value: &serde_json::Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let map = |row: &Row| {
        row.iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    };
    rows.iter().map(map).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn gives_what_the_reference_gives(
        query in query(),
        events in placed(),
        range in range(),
        rows in 1_usize..60,
    ) {
        let limits = Limits { rows, ..Limits::default() };
        let result = run(execution(&query, range, &events, limits)).unwrap();
        let expected = reference(&query, range, &events, rows);
        prop_assert_eq!(maps(&result.events), expected, "{}", query);
        prop_assert_eq!(result.is_aggregate, query.is_aggregate());
    }

    #[test]
    fn filters_agree_wherever_an_event_is(expr in expr(), events in placed()) {
        let query = Query { stages: vec![Stage::Filter(expr)], memory: 0 };
        let limits = Limits { rows: 1000, ..Limits::default() };
        let result = run(execution(&query, TimeRange::ALL, &events, limits)).unwrap();
        prop_assert_eq!(
            maps(&result.events),
            reference(&query, TimeRange::ALL, &events, 1000),
            "{}",
            query
        );
    }

    #[test]
    fn a_stream_has_every_row_once(query in query(), events in placed(), range in range()) {
        let limits = Limits { rows: 5, ..Limits::default() };
        let rows: Vec<Row> =
            block_on(async { execution(&query, range, &events, limits).stream().try_collect().await })
                .unwrap();
        let only_rows = query
            .stages
            .iter()
            .all(|stage| matches!(stage, Stage::Filter(_) | Stage::Select(_)));
        let mut found = maps(&rows);
        let mut expected = reference(&query, range, &events, if only_rows { 1000 } else { 5 });
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected, "{}", query);
    }
}

fn plain(number: i64, raw: &str) -> Event {
    Event {
        timestamp_ms: number,
        raw: raw.to_owned(),
        id: format!("{number:05}"),
        tags: vec![("kind".to_owned(), "access".to_owned())],
        fields: vec![("number".to_owned(), number.to_string())],
    }
}

fn lines(count: i64) -> Vec<(Event, usize)> {
    (0..count)
        .map(|n| {
            (
                plain(n, &format!("line {n} of the log with number {}", n * n)),
                0,
            )
        })
        .collect()
}

#[test]
fn timestamps_are_numbers_and_counts_are_texts() {
    let events = vec![(plain(7, "a"), 0), (plain(8, "b"), 3)];
    let run = |text: &str| {
        let query = Query::parse(text).unwrap();
        run(execution(
            &query,
            TimeRange::ALL,
            &events,
            Limits::default(),
        ))
        .unwrap()
    };
    let rows = run("").events;
    assert_eq!(rows[0]["@timestamp"], serde_json::json!(8));
    assert_eq!(rows[1]["@timestamp"], serde_json::json!(7));
    assert_eq!(rows[1]["#kind"], serde_json::json!("access"));
    assert_eq!(run("count()").events[0]["_count"], serde_json::json!("2"));
    assert_eq!(
        run("select([@timestamp])").events[0]["@timestamp"],
        serde_json::json!(8)
    );
}

#[test]
fn a_rare_text_reads_one_row_group_and_no_other_segment() {
    let needle = plain(500, "here stands needle-4711-xyz alone");
    let mut events = lines(1000);
    events.push((needle, 0));
    events.extend(lines(1000).into_iter().map(|(event, _)| {
        let event = Event {
            id: format!("other {}", event.id),
            ..event
        };
        (event, 1)
    }));
    for text in [
        "needle-4711",
        "NEEDLE-4711",
        "/needle-\\d+-xyz/i",
        "*edle-4711*alone",
    ] {
        let query = Query::parse(text).unwrap();
        let result = run(execution(
            &query,
            TimeRange::ALL,
            &events,
            Limits::default(),
        ))
        .unwrap();
        assert_eq!(result.events.len(), 1, "{text}");
        assert_eq!(result.stats.segments_read, 1, "{text}");
        assert_eq!(result.stats.segments_skipped, 1, "{text}");
        assert!(
            result.stats.events_scanned < 20,
            "{text}: {:?}",
            result.stats
        );
    }
}

#[test]
fn letters_that_only_regular_expressions_fold_are_found() {
    let events = vec![(plain(1, "\u{17f}ervice \u{212a}afka is up"), 0)];
    for (text, rows) in [
        ("/service kafka/i", 1),
        ("/service kafka/", 0),
        ("\"service kafka\"", 0),
        ("\"\u{17f}ervice \u{212a}afka\"", 1),
    ] {
        let query = Query::parse(text).unwrap();
        let result = run(execution(
            &query,
            TimeRange::ALL,
            &events,
            Limits::default(),
        ));
        assert_eq!(result.unwrap().events.len(), rows, "{text}");
    }
}

#[test]
fn a_text_does_not_reach_over_two_events() {
    let events = vec![
        (plain(1, "one two"), 0),
        (plain(2, "three four"), 0),
        (plain(3, "twothree"), 0),
    ];
    for (text, rows) in [
        ("twothree", vec![3]),
        ("two*four", vec![]),
        ("two*three", vec![3]),
        ("four*two", vec![]),
        ("two", vec![3, 1]),
        ("t", vec![3, 2, 1]),
    ] {
        let query = Query::parse(text).unwrap();
        let result = run(execution(
            &query,
            TimeRange::ALL,
            &events,
            Limits::default(),
        ));
        let times: Vec<i64> = result
            .unwrap()
            .events
            .iter()
            .map(|row| row["@timestamp"].as_i64().unwrap())
            .collect();
        assert_eq!(times, rows, "{text}");
    }
}

#[test]
fn a_field_without_the_value_reads_no_segment() {
    let events = lines(200);
    for text in [
        "number=4000",
        "#kind=threaddumps",
        "nosuch=*",
        "nosuch<5",
        "@id=x",
    ] {
        let query = Query::parse(text).unwrap();
        let stats = run(execution(
            &query,
            TimeRange::ALL,
            &events,
            Limits::default(),
        ))
        .unwrap()
        .stats;
        assert_eq!(stats.events_scanned, 0, "{text}: {stats:?}");
    }
}

#[test]
fn the_newest_events_need_no_old_segment() {
    let mut events = lines(300);
    for (number, (_, place)) in events.iter_mut().enumerate() {
        *place = number / 100;
    }
    for (text, first) in [("", 299), ("line | tail(5)", 299), ("line | head(5)", 4)] {
        let query = Query::parse(text).unwrap();
        let limits = Limits {
            rows: 5,
            ..Limits::default()
        };
        let result = run(execution(&query, TimeRange::ALL, &events, limits)).unwrap();
        assert_eq!(
            result.events[0]["@timestamp"],
            serde_json::json!(first),
            "{text}"
        );
        assert!(
            result.stats.events_scanned < 150,
            "{text}: {:?}",
            result.stats
        );
    }
}

#[test]
fn memory_is_bounded() {
    let events = lines(500);
    let limits = Limits {
        memory: 10_000,
        rows: 500,
        ..Limits::default()
    };
    for text in [
        "",
        "sort(number, limit=500)",
        "groupBy(@id)",
        "timeChart(@id, span=1ms)",
    ] {
        let query = Query::parse(text).unwrap();
        let result = run(execution(&query, TimeRange::ALL, &events, limits));
        assert!(
            matches!(result, Err(SearchError::Memory { .. })),
            "{text}: {result:?}"
        );
    }
    let few = Query::parse("groupBy(#kind) | sort(_count)").unwrap();
    assert!(run(execution(&few, TimeRange::ALL, &events, limits)).is_ok());
}

#[test]
fn what_is_left_out_is_said() {
    let events = lines(50);
    let run = |text: &str| {
        let query = Query::parse(text).unwrap();
        run(execution(
            &query,
            TimeRange::ALL,
            &events,
            Limits::default(),
        ))
    };
    let groups = run("groupBy(@id, limit=10)").unwrap();
    assert_eq!((groups.events.len(), groups.warnings.len()), (10, 1));
    let chart = run("timeChart(@id, span=1s, limit=3)").unwrap();
    assert_eq!((chart.events.len(), chart.warnings.len()), (3, 1));
    assert!(run("timeChart()").unwrap().warnings.is_empty());
}

#[test]
fn a_chart_of_all_time_in_milliseconds_is_refused() {
    let events = vec![(plain(i64::MIN, "a"), 0), (plain(i64::MAX, "b"), 3)];
    let run = |text: &str| {
        let query = Query::parse(text).unwrap();
        run(execution(
            &query,
            TimeRange::ALL,
            &events,
            Limits::default(),
        ))
    };
    let refused = run("timeChart(span=1ms)");
    assert!(
        matches!(refused, Err(SearchError::Buckets { .. })),
        "{refused:?}"
    );
    assert!(run("timeChart()").is_ok());
}

#[test]
fn progress_reaches_its_total() {
    let mut events = lines(100);
    for (number, (_, place)) in events.iter_mut().enumerate() {
        *place = number % 5;
    }
    for text in ["line", "nowhere-to-be-found", "count()"] {
        let query = Query::parse(text).unwrap();
        let (sender, receiver) = watch::channel(Progress::default());
        let result =
            block_on(execution(&query, TimeRange::ALL, &events, Limits::default()).run(sender))
                .unwrap();
        let last = *receiver.borrow();
        assert_eq!((last.done, last.total), (5, 5), "{text}");
        assert_eq!(last.stats, result.stats);
    }
}

/// Fails, or waits for ever, at every read.
struct Broken {
    hangs: bool,
    reads: Arc<std::sync::atomic::AtomicUsize>,
}

#[async_trait::async_trait]
impl SegmentSource for Broken {
    fn id(&self) -> &str {
        "broken"
    }
    fn start_ms(&self) -> i64 {
        0
    }
    fn end_ms(&self) -> i64 {
        1
    }
    async fn size(&self) -> Result<u64, SourceError> {
        Ok(100_000)
    }
    async fn read(&self, _: std::ops::Range<u64>) -> Result<bytes::Bytes, SourceError> {
        self.reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(SourceError::new("the container is away"))
    }
}

#[test]
fn errors_of_the_storage_reach_the_caller() {
    let broken = Broken {
        hangs: false,
        reads: Arc::default(),
    };
    let query = Query::parse("a").unwrap();
    let sources: Vec<Arc<dyn SegmentSource>> = vec![Arc::new(broken)];
    let execution = Execution::new(query, TimeRange::ALL, sources, vec![], Limits::default());
    let error = run(execution).unwrap_err().to_string();
    assert!(
        error.contains("segment broken") && error.contains("the container is away"),
        "{error}"
    );
}

#[test]
fn a_dropped_search_stops_reading() {
    let reads: Arc<std::sync::atomic::AtomicUsize> = Arc::default();
    let sources: Vec<Arc<dyn SegmentSource>> = (0..50)
        .map(|_| {
            Arc::new(Broken {
                hangs: true,
                reads: reads.clone(),
            }) as Arc<dyn SegmentSource>
        })
        .collect();
    let query = Query::parse("a").unwrap();
    let execution = Execution::new(query, TimeRange::ALL, sources, vec![], Limits::default());
    block_on(async {
        let mut search = Box::pin(execution.run(watch::channel(Progress::default()).0));
        while reads.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            assert!(futures::poll!(&mut search).is_pending());
            tokio::task::yield_now().await;
        }
        drop(search);
        let before = reads.load(std::sync::atomic::Ordering::SeqCst);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(reads.load(std::sync::atomic::Ordering::SeqCst), before);
        assert!(before < 50);
    });
}

mod bounds;
