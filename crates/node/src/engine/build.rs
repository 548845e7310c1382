//! A segment of some events, whatever they are like.
//!
//! Events whose columns cannot be built must not hold up all others of their partition: they become
//! a segment of texts with their times and ids, and each says so in `@error`. Nothing acknowledged
//! is lost or changed by that; what is lost is that their fields can be searched.

use std::panic::{AssertUnwindSafe, catch_unwind};

use backstay_search::segment::Written;
use backstay_search::{Event, SearchError};

use super::record::RecordError;

/// The reason is cut to so many characters in each event.
const MAX_REASON_CHARS: usize = 300;

/// A segment that was built.
pub(crate) struct Built {
    pub(crate) written: Written,
    /// Why it has no fields, if so.
    pub(crate) bare: Option<BuildError>,
}

/// Why a segment could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// What it is to hold cannot be read.
    #[error(transparent)]
    Events(#[from] RecordError),
    /// Its columns cannot be built.
    #[error(transparent)]
    Columns(#[from] SearchError),
    /// A panic, with what it said.
    #[error("a bug: {0}")]
    Bug(String),
    /// Not even of the texts alone.
    #[error("{whole}; without their fields: {bare}")]
    Neither {
        /// With their fields.
        whole: Box<BuildError>,
        /// Without.
        #[source]
        bare: Box<BuildError>,
    },
}

/// Builds a segment by `write`, which may fail or panic.
///
/// # Errors
/// With both reasons, where it cannot even be built of the texts.
pub(crate) fn build(
    events: Vec<Event>,
    write: impl Fn(&[Event]) -> Result<Written, SearchError>,
) -> Result<Built, BuildError> {
    let why = match attempt(&events, &write) {
        Ok(written) => {
            return Ok(Built {
                written,
                bare: None,
            });
        }
        Err(why) => why,
    };
    let told: String = why.to_string().chars().take(MAX_REASON_CHARS).collect();
    let events: Vec<Event> = events.into_iter().map(|it| bare(it, &told)).collect();
    match attempt(&events, &write) {
        Ok(written) => Ok(Built {
            written,
            bare: Some(why),
        }),
        Err(bare) => Err(BuildError::Neither {
            whole: Box::new(why),
            bare: Box::new(bare),
        }),
    }
}

fn attempt(
    events: &[Event],
    write: &impl Fn(&[Event]) -> Result<Written, SearchError>,
) -> Result<Written, BuildError> {
    match catch_unwind(AssertUnwindSafe(|| write(events))) {
        Ok(Ok(written)) => Ok(written),
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(BuildError::Bug(said.unwrap_or("a panic").to_owned()))
        }
    }
}

fn bare(event: Event, why: &str) -> Event {
    let message = format!("its fields could not be written to a segment: {why}");
    Event {
        tags: Vec::new(),
        fields: vec![
            ("@error".to_owned(), "true".to_owned()),
            ("@error_msg".to_owned(), message),
        ],
        ..event
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use backstay_search::segment;

    use super::*;

    fn events() -> Vec<Event> {
        let event = |n: usize| Event {
            timestamp_ms: n as i64,
            raw: format!("line {n}"),
            id: format!("id-{n}"),
            tags: vec![("type".to_owned(), "json".to_owned())],
            fields: vec![("field".to_owned(), n.to_string())],
        };
        (0..5).map(event).collect()
    }

    fn refused(events: &[Event]) -> SearchError {
        SearchError::Write {
            events: events.len(),
            source: "too many columns".into(),
        }
    }

    fn has_fields(events: &[Event]) -> bool {
        events.iter().any(|it| !it.tags.is_empty())
    }

    #[test]
    fn what_can_be_built_is_built_whole() {
        let built = build(events(), segment::write).ok().unwrap();
        assert!(built.bare.is_none());
        assert_eq!(built.written.events, 5);
    }

    #[test]
    fn events_whose_columns_cannot_be_built_are_kept_as_texts_that_say_so() {
        let failing = |events: &[Event]| {
            if has_fields(events) {
                Err(refused(events))
            } else {
                assert_eq!(events.len(), 5, "none is left out");
                for (n, event) in events.iter().enumerate() {
                    assert_eq!(
                        (event.timestamp_ms, &*event.id),
                        (n as i64, &*format!("id-{n}"))
                    );
                    assert_eq!(event.raw, format!("line {n}"));
                    assert_eq!(event.fields[0], ("@error".to_owned(), "true".to_owned()));
                    assert!(event.fields[1].1.contains("too many columns"));
                }
                segment::write(events)
            }
        };
        let panicking = |events: &[Event]| {
            if has_fields(events) {
                panic!("an index is out of bounds")
            } else {
                segment::write(events)
            }
        };
        let built = build(events(), failing).ok().unwrap();
        assert_eq!((built.written.events, built.written.raw_bytes), (5, 30));
        assert!(built.bare.unwrap().to_string().contains("too many columns"));
        let built = build(events(), panicking).ok().unwrap();
        assert_eq!((built.written.start_ms, built.written.end_ms), (0, 4));
        assert!(
            built
                .bare
                .unwrap()
                .to_string()
                .contains("an index is out of bounds")
        );
    }

    #[test]
    fn what_cannot_be_built_at_all_is_an_error_with_both_reasons() {
        let error = build(events(), |events| Err(refused(events)))
            .err()
            .unwrap()
            .to_string();
        assert_eq!(error.matches("too many columns").count(), 2, "{error}");
    }
}
