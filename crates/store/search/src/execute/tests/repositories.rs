//! `#repo`: what a search says of events in several repositories is what it would say if each event
//! had its repository's name among its tags.

use std::time::Duration;

use super::*;
use crate::repository::REPOSITORY;
use crate::{live_of, segment_of};

/// The repositories of the places of [`placed`].
const REPOSITORIES: [&str; 5] = ["error", "12", "error", "12", "error"];

/// Each place as of its repository.
fn in_repositories(query: &Query, range: TimeRange, events: &[(Event, usize)]) -> Execution {
    let of = |place: usize| -> Vec<Event> {
        let here = events.iter().filter(|(_, at)| *at == place);
        here.map(|(event, _)| event.clone()).collect()
    };
    let segments = (0..3)
        .map(|place| (place, of(place)))
        .filter(|(_, events)| !events.is_empty())
        .enumerate()
        .map(|(id, (place, events))| {
            segment_of(REPOSITORIES[place].into(), source(&id.to_string(), &events))
        })
        .collect();
    let live = [3, 4].map(|place| live_of(REPOSITORIES[place].into(), Arc::new(of(place))));
    Execution::new(query.clone(), range, segments, live.into(), LIMITS)
}

const LIMITS: Limits = Limits {
    memory: 1 << 24,
    rows: 200,
    time: Duration::MAX,
};

/// The same events, with the name as a tag.
fn tagged(events: &[(Event, usize)]) -> Vec<(Event, usize)> {
    let mut events = events.to_vec();
    for (event, place) in &mut events {
        let name = REPOSITORIES[*place].to_owned();
        event.tags.insert(0, (REPOSITORY.to_owned(), name));
    }
    events
}

proptest! {
    #[test]
    fn a_search_in_repositories_is_one_over_events_that_are_tagged_with_them(
        query in query(),
        range in range(),
        events in placed(),
    ) {
        let found = run(in_repositories(&query, range, &events)).unwrap();
        let expected = run(execution(&query, range, &tagged(&events), LIMITS)).unwrap();
        prop_assert_eq!(maps(&found.events), maps(&expected.events), "{}", query);
        let found = streamed(in_repositories(&query, range, &events)).unwrap();
        let expected = streamed(execution(&query, range, &tagged(&events), LIMITS)).unwrap();
        prop_assert_eq!(found, expected, "{}", query);
    }

    #[test]
    fn what_a_filter_leaves_out_is_what_no_event_of_a_repository_passes(
        expr in expr(),
        events in placed(),
    ) {
        let query = Query { stages: vec![Stage::Filter(expr)], memory: 0 };
        for (place, repository) in REPOSITORIES.into_iter().enumerate() {
            let here = |(_, at): &&(Event, usize)| *at == place;
            let here: Vec<_> = events.iter().filter(here).cloned().collect();
            let found = run(execution(&query, TimeRange::ALL, &tagged(&here), LIMITS)).unwrap();
            prop_assert!(
                found.events.is_empty() || query.may_find_in(repository),
                "{}", query
            );
        }
    }
}

/// All rows of a stream, sorted.
fn streamed(execution: Execution) -> Result<Vec<Map>, SearchError> {
    let rows: Vec<Row> = block_on(async { execution.stream().try_collect().await })?;
    let mut rows = maps(&rows);
    rows.sort();
    Ok(rows)
}

/// A segment that must not be read.
struct Sealed(&'static str);

#[async_trait::async_trait]
impl SegmentSource for Sealed {
    fn id(&self) -> &str {
        self.0
    }
    fn start_ms(&self) -> i64 {
        0
    }
    fn end_ms(&self) -> i64 {
        100
    }
    async fn size(&self) -> Result<u64, SourceError> {
        Err(SourceError::new("it was read"))
    }
    async fn read(&self, _: std::ops::Range<u64>) -> Result<bytes::Bytes, SourceError> {
        Err(SourceError::new("it was read"))
    }
}

fn event(id: &str) -> Event {
    Event {
        timestamp_ms: 1,
        raw: id.to_owned(),
        id: id.to_owned(),
        ..Event::default()
    }
}

#[test]
fn nothing_is_read_of_a_repository_in_which_nothing_can_be_found() {
    let events = [event("a"), event("b")];
    for (text, count) in [
        ("#repo=web", Some(2)),
        ("#repo=web and a", Some(1)),
        ("(#repo=web or #repo=other) a", Some(1)),
        ("#repo=\"w*\"", Some(2)),
        ("#repo=/^web$/", Some(2)),
        ("#repo!=/^A/i", Some(2)),
        ("not #repo=app", Some(2)),
        ("!(#repo=app or #repo=other) | @id=b", Some(1)),
        ("not (not #repo=web or not a)", Some(1)),
        ("#repo!=app | #repo!=web", Some(0)),
        ("#repo!=*", Some(0)),
        ("#repo > 5", Some(0)),
        ("#repo=WEB", Some(0)),
        ("#repo=app", None),
        ("#repo=web or a", None),
        ("#repo=*", None),
        ("select(#repo) | #repo=web", None),
    ] {
        let prepared = |text: &str| {
            let segments = vec![
                segment_of("web".into(), source("0", &events)),
                segment_of("app".into(), Arc::new(Sealed("1"))),
            ];
            let query = Query::parse(text).unwrap();
            Execution::new(query, TimeRange::ALL, segments, vec![], LIMITS)
        };
        let counted = run(prepared(&format!("{text} | count()")));
        let rows = streamed(prepared(text));
        let Some(count) = count else {
            assert!(counted.is_err() && rows.is_err(), "{text}");
            continue;
        };
        let counted = counted.unwrap_or_else(|error| panic!("{text}: {error}"));
        let expected = count.to_string();
        assert_eq!(maps(&counted.events)[0]["_count"], expected, "{text}");
        assert_eq!(rows.unwrap().len(), count, "{text}");
    }
}

#[test]
fn progress_reaches_its_total_without_what_is_not_read() {
    let segments = vec![
        segment_of("web".into(), source("0", &[event("a")])),
        segment_of("app".into(), Arc::new(Sealed("1"))),
    ];
    let live = live_of("app".into(), Arc::new(vec![event("b")]));
    let query = Query::parse("#repo=web").unwrap();
    let execution = Execution::new(query, TimeRange::ALL, segments, vec![live], LIMITS);
    let (sender, receiver) = watch::channel(Progress::default());
    block_on(execution.run(sender)).unwrap();
    let last = *receiver.borrow();
    assert_eq!((last.done, last.total), (1, 1));
}

#[test]
fn the_name_is_read_from_no_column() {
    let events: Vec<Event> = (0..50).map(|n| event(&format!("event {n}"))).collect();
    let bytes = |text: &str| {
        let segments = vec![segment_of("web".into(), source("0", &events))];
        let query = Query::parse(text).unwrap();
        let execution = Execution::new(query, TimeRange::ALL, segments, vec![], LIMITS);
        run(execution).unwrap().stats.bytes
    };
    for text in ["#repo=web | groupBy(#repo)", "count(#repo)"] {
        assert_eq!(bytes(text), bytes("count()"), "{text}");
    }
    assert!(bytes("groupBy(@id)") > bytes("count()"));
}

#[test]
fn what_an_event_calls_its_repository_itself_does_not_count() {
    let secret = || (REPOSITORY.to_owned(), "secret".to_owned());
    let tagged = Event {
        tags: vec![secret(), ("repo".to_owned(), "bare".to_owned())],
        ..event("tagged")
    };
    let with_field = Event {
        fields: vec![secret()],
        ..event("with a field")
    };
    for (text, count) in [
        ("#repo=secret", 0),
        ("#repo=bare", 0),
        ("#repo=web", 4),
        ("secret", 0),
        ("*", 4),
        ("tail(9)", 4),
        ("select([#repo])", 4),
        ("sort(#repo)", 4),
        ("groupBy(#repo)", 1),
        ("timeChart(#repo, span=1s)", 1),
    ] {
        let events = [tagged.clone(), with_field.clone()];
        let segments = vec![segment_of("web".into(), source("0", &events))];
        let live = vec![live_of("web".into(), Arc::new(events.to_vec()))];
        let query = Query::parse(text).unwrap();
        let execution = Execution::new(query, TimeRange::ALL, segments, live, LIMITS);
        let found = maps(&run(execution).unwrap().events);
        assert_eq!(found.len(), count, "{text}");
        for row in &found {
            assert_eq!(row[REPOSITORY], "web", "{text}: {found:?}");
        }
    }
}
