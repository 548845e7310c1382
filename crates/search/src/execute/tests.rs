#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use proptest::prelude::*;
use tokio::sync::watch;

use super::*;
use crate::query::tests::{WORDS, expr, field_name, query};
use crate::query::{Count, Expr, Operator, Part, Stage, Value};
use crate::segment::{Shape, write_shaped};
use crate::{MemorySource, SourceError};

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
    let tags = prop::sample::select(vec!["kind", "#type", "kind"]).prop_map(str::to_owned);
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
    let live = vec![Arc::new(of(3)), Arc::new(of(4))];
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

// The reference: the language by its description, over maps, with nothing of the executor.

type Map = BTreeMap<String, String>;

fn map_of(event: &Event) -> Map {
    let mut map = Map::new();
    for (name, value) in event.fields.iter().rev() {
        map.insert(name.clone(), value.clone());
    }
    for (name, value) in event.tags.iter().rev() {
        map.insert(format!("#{}", name.trim_start_matches('#')), value.clone());
    }
    map.insert("@timestamp".into(), event.timestamp_ms.to_string());
    map.insert("@rawstring".into(), event.raw.clone());
    map.insert("@id".into(), event.id.clone());
    map
}

fn lower(text: &str) -> Vec<char> {
    text.chars()
        .map(|c| {
            let lower: Vec<char> = c.to_lowercase().collect();
            match lower[..] {
                [one] if c.is_ascii() || (!one.is_ascii() && one.len_utf8() == c.len_utf8()) => one,
                _ => c,
            }
        })
        .collect()
}

/// Whether `text` has the parts one after the other; `Star` lets anything between.
fn glob(parts: &[Part], text: &[char]) -> bool {
    match parts.split_first() {
        None => text.is_empty(),
        Some((Part::Star, rest)) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        Some((Part::Literal(literal), rest)) => {
            let literal: Vec<char> = literal.chars().collect();
            text.starts_with(&literal) && glob(rest, &text[literal.len()..])
        }
    }
}

fn holds(expr: &Expr, map: &Map) -> bool {
    let texts = || {
        map.iter()
            .filter(|(name, _)| !name.starts_with('#') && *name != "@id" && *name != "@timestamp")
            .map(|(_, value)| value)
    };
    match expr {
        Expr::True => true,
        Expr::Text(pattern) => {
            let mut parts = vec![Part::Star];
            parts.extend(pattern.parts.iter().map(|part| match part {
                Part::Literal(text) => Part::Literal(lower(text).into_iter().collect()),
                Part::Star => Part::Star,
            }));
            parts.push(Part::Star);
            texts().any(|text| glob(&parts, &lower(text)))
        }
        Expr::Regex(regex) => texts().any(|text| regex.compiled.is_match(text)),
        Expr::Compare {
            field,
            operator,
            value,
        } => {
            let Some(text) = map.get(field) else {
                return *operator == Operator::NotEqual;
            };
            let number = || text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
            match (operator, value) {
                (Operator::Equal, Value::Pattern(p)) => glob(&p.parts, &chars(text)),
                (Operator::NotEqual, Value::Pattern(p)) => !glob(&p.parts, &chars(text)),
                (Operator::Equal, Value::Regex(r)) => r.compiled.is_match(text),
                (Operator::NotEqual, Value::Regex(r)) => !r.compiled.is_match(text),
                (Operator::Less, Value::Number(n)) => number().is_some_and(|v| v < *n),
                (Operator::LessEqual, Value::Number(n)) => number().is_some_and(|v| v <= *n),
                (Operator::Greater, Value::Number(n)) => number().is_some_and(|v| v > *n),
                (Operator::GreaterEqual, Value::Number(n)) => number().is_some_and(|v| v >= *n),
                other => panic!("{other:?} is no comparison"),
            }
        }
        Expr::And(parts) => parts.iter().all(|part| holds(part, map)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, map)),
        Expr::Not(inner) => !holds(inner, map),
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn by_fields(a: &Map, b: &Map, fields: &[String], descending: bool) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Greater, Less};
    let number = |text: &String| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    for field in fields {
        let order = match (a.get(field), b.get(field)) {
            (None, None) => continue,
            (None, _) => return Greater,
            (_, None) => return Less,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                (Some(_), None) => Less,
                (None, Some(_)) => Greater,
                (None, None) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return if descending { order.reverse() } else { order };
        }
    }
    std::cmp::Ordering::Equal
}

fn grouped(rows: &[Map], fields: &[String], count: &Count) -> BTreeMap<Vec<String>, u64> {
    let mut groups = BTreeMap::new();
    for row in rows {
        if let Some(key) = fields
            .iter()
            .map(|f| row.get(f).cloned())
            .collect::<Option<Vec<_>>>()
        {
            let counted = count
                .field
                .as_ref()
                .is_none_or(|field| row.contains_key(field));
            *groups.entry(key).or_default() += u64::from(counted);
        }
    }
    groups
}

fn reference(query: &Query, range: TimeRange, events: &[(Event, usize)], limit: usize) -> Vec<Map> {
    let inside = |at: i64| range == TimeRange::ALL || (range.start_ms <= at && at < range.end_ms);
    let mut sorted: Vec<&Event> = events.iter().map(|(event, _)| event).collect();
    sorted.retain(|event| inside(event.timestamp_ms));
    sorted.sort_by_key(|event| (event.timestamp_ms, event.id.clone()));
    let mut rows: Vec<Map> = sorted.into_iter().map(map_of).collect();
    let mut by_time = true;
    for stage in &query.stages {
        match stage {
            Stage::Filter(expr) => rows.retain(|row| holds(expr, row)),
            Stage::Head(n) => rows.truncate(*n),
            Stage::Tail(n) => rows = rows.split_off(rows.len().saturating_sub(*n)),
            Stage::Sort {
                fields,
                descending,
                limit,
            } => {
                rows.sort_by(|a, b| by_fields(a, b, fields, *descending));
                rows.truncate(*limit);
                by_time = false;
            }
            Stage::Select(fields) => {
                rows.iter_mut()
                    .for_each(|row| row.retain(|name, _| fields.contains(name)));
            }
            Stage::Count(count) => {
                let n = grouped(&rows, &[], count).remove(&vec![]).unwrap_or(0);
                rows = vec![Map::from([(count.output.clone(), n.to_string())])];
                by_time = false;
            }
            Stage::GroupBy { fields, count, .. } => {
                let mut groups: Vec<_> = grouped(&rows, fields, count).into_iter().collect();
                groups.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
                rows = groups
                    .into_iter()
                    .map(|(key, n)| {
                        let mut row: Map = fields.iter().cloned().zip(key).collect();
                        row.insert(count.output.clone(), n.to_string());
                        row
                    })
                    .collect();
                by_time = false;
            }
            Stage::TimeChart {
                series,
                span_ms,
                count,
                ..
            } => {
                let span = span_ms.unwrap();
                let mut names: Vec<String> = series.iter().cloned().collect();
                for row in &mut rows {
                    if let Some(at) = row.get("@timestamp").and_then(|at| at.parse::<i64>().ok()) {
                        row.insert("_bucket".into(), at.div_euclid(span).to_string());
                    } else {
                        row.remove("_bucket");
                    }
                }
                names.insert(0, "_bucket".into());
                let groups = grouped(&rows, &names, count);
                let number = |key: &Vec<String>| key[0].parse::<i64>().unwrap();
                let first = groups.keys().map(number).min().unwrap_or(0);
                let last = groups.keys().map(number).max().unwrap_or(-1);
                let mut found: Vec<Vec<String>> =
                    groups.keys().map(|key| key[1..].to_vec()).collect();
                found.sort();
                found.dedup();
                rows = Vec::new();
                for bucket in first..=last {
                    for values in &found {
                        let mut key = vec![bucket.to_string()];
                        key.extend(values.clone());
                        let n = groups.get(&key).copied().unwrap_or(0);
                        let mut row = Map::from([("_bucket".into(), (bucket * span).to_string())]);
                        row.extend(series.iter().cloned().zip(values.clone()));
                        row.insert(count.output.clone(), n.to_string());
                        rows.push(row);
                    }
                }
                by_time = false;
            }
        }
    }
    if by_time {
        rows = rows.split_off(rows.len().saturating_sub(limit));
        rows.reverse();
    }
    rows.truncate(limit);
    rows
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
        let query = Query { stages: vec![Stage::Filter(expr)] };
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
