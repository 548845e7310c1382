//! Tests that what a segment costs grows with its bytes, whatever its events look like.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tests::search;
use super::write;
use crate::{Event, work};

/// Fields of the smaller event; the larger has four times as many.
const SMALL_EVENT_FIELDS: usize = 3000;

/// How the text of an event has its values.
#[derive(Clone, Copy, Debug)]
enum Text {
    /// One after the other, as a line of `key=value`.
    InOrder,
    /// The last one first.
    Backwards,
    /// Not at all.
    Without,
    /// Nearly all of each, again and again.
    Almost,
}

const TEXTS: [Text; 4] = [Text::InOrder, Text::Backwards, Text::Without, Text::Almost];

/// An event with so many fields of names of their own, twice some.
fn wide(fields: usize, text: Text) -> Event {
    let mut fields: Vec<(String, String)> = (0..fields)
        .map(|n| (format!("f{n:06}"), format!("value{n:06}")))
        .collect();
    let pair = |(name, value): &(String, String)| format!("{name}={value} ");
    let raw = match text {
        Text::InOrder => fields.iter().map(pair).collect(),
        Text::Backwards => fields.iter().rev().map(pair).collect(),
        Text::Without => "x".repeat(fields.len() * 20),
        Text::Almost => "value00 ".repeat(fields.len() * 2),
    };
    fields.push((
        "f000001".to_owned(),
        "a second one does not count".to_owned(),
    ));
    Event {
        timestamp_ms: 1_700_000_000_000,
        raw,
        id: "wide".to_owned(),
        tags: vec![("kind".to_owned(), "wide".to_owned())],
        fields,
    }
}

/// Four times the bytes cost four times the work, and a little for names that grow.
fn assert_linear(what: &str, mut work: impl FnMut(usize)) {
    let small = work::counted(|| work(SMALL_EVENT_FIELDS));
    let large = work::counted(|| work(4 * SMALL_EVENT_FIELDS));
    assert!(
        small > SMALL_EVENT_FIELDS as u64,
        "{what}: only {small} is counted"
    );
    assert!(large < small * 5, "{what}: {small}, then {large}");
}

#[test]
fn writing_a_wide_event_costs_what_its_bytes_cost() {
    for text in TEXTS {
        let mut events = [
            wide(SMALL_EVENT_FIELDS, text),
            wide(4 * SMALL_EVENT_FIELDS, text),
        ];
        let mut next = 0;
        assert_linear(&format!("{text:?}"), |_| {
            let event = std::mem::take(&mut events[next]);
            next += 1;
            write(&[event]).unwrap();
        });
    }
}

#[test]
fn writing_many_events_costs_what_their_bytes_cost() {
    assert_linear("events of 500 fields of their own", |n| {
        let events: Vec<Event> = (0..n / 500)
            .map(|n| {
                let mut event = wide(500, Text::InOrder);
                event.id = format!("{n:06}");
                for (name, _) in &mut event.fields {
                    name.push_str(&format!("_{n:06}"));
                }
                event
            })
            .collect();
        write(&events).unwrap();
    });
}

#[test]
fn searching_a_wide_event_costs_what_its_bytes_cost() {
    for query in [
        "f000007=value* f000008=* f000009!=x f002990=value002990",
        "value000011",
        "/value0000[1]2/",
        "select([f000001, f000002, f002999, #kind]) | f002999=*",
        "groupBy([f000001, f000002, f002999])",
        "f002999=* | sort(f002998) | f000500=value000500",
    ] {
        let segments: Vec<_> = [SMALL_EVENT_FIELDS, 4 * SMALL_EVENT_FIELDS]
            .map(|n| write(&[wide(n, Text::InOrder)]).unwrap().bytes)
            .into();
        let mut next = segments.into_iter();
        assert_linear(query, |_| {
            let rows = search(next.next().unwrap(), query).unwrap();
            assert_eq!(rows.len(), 1, "{query}");
        });
    }
}

#[test]
fn no_field_is_lost_however_many_there_are() {
    for text in TEXTS {
        let bytes = write(&[wide(SMALL_EVENT_FIELDS, text)]).unwrap().bytes;
        let rows = search(bytes.clone(), "f000001=value000001").unwrap();
        // With the time, the text, the identity and a tag.
        assert_eq!(rows[0].len(), SMALL_EVENT_FIELDS + 4, "{text:?}");
        for n in 0..SMALL_EVENT_FIELDS {
            assert_eq!(
                rows[0][&format!("f{n:06}")],
                format!("value{n:06}").as_str()
            );
        }
        for word in ["value000000", "value001499", "ALUE002999"] {
            assert_eq!(
                search(bytes.clone(), word).unwrap().len(),
                1,
                "{text:?} {word}"
            );
        }
        assert_eq!(search(bytes, "nowhere").unwrap().len(), 0);
    }
}
