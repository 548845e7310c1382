//! What is stored of a batch: each event that can be, whatever the others are like.
//!
//! Three things can happen to an event. It is stored. It is stored and says in `@error` what was
//! wrong, because there is something to store: all that has a text. Or it is refused, because there
//! is nothing, or because the protocol tells its client of each event and the client acts on it.
//! A batch of which nothing at all can be stored is an error as a whole.

use backstay_search::Event;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::draft::Draft;
use crate::{BodyError, Context};

/// Most refused events that an answer names.
const MAX_NAMED_EVENTS: usize = 100;

/// The events of a batch, decoded, and the answer for its sender once they are stored.
#[derive(Debug)]
pub struct Batch {
    /// What is to be stored; none of them has an identity yet.
    pub events: Vec<Event>,
    /// The answer once they are.
    pub response: Response<Bytes>,
}

/// An answer of this content type.
pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// An answer in JSON.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    response(status, "application/json", body.to_string())
}

/// An event that is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused<K> {
    /// Its place in the batch, from 0.
    pub(super) at: usize,
    /// What kind of problem it is, in the terms of the protocol.
    pub(super) kind: K,
    /// What is wrong with it, for its sender.
    pub(super) problem: String,
}

/// Takes the events of a batch one by one.
pub(super) struct Collector<'a, 'c, K = ()> {
    pub(super) context: &'a mut Context<'c>,
    events: Vec<Event>,
    refused: Vec<Refused<K>>,
    refusals: usize,
}

/// What became of the events.
pub(super) struct BatchOutcome<K = ()> {
    pub(super) events: Vec<Event>,
    /// The first of the refused ones.
    pub(super) refused: Vec<Refused<K>>,
    /// How many were refused.
    pub(super) refusals: usize,
}

impl<'a, 'c, K> Collector<'a, 'c, K> {
    pub(super) fn new(context: &'a mut Context<'c>) -> Self {
        Self {
            context,
            events: Vec::new(),
            refused: Vec::new(),
            refusals: 0,
        }
    }

    /// Begins an event with this raw text.
    pub(super) fn draft(&self, raw: String) -> Draft {
        Draft::new(raw, self.context.max_fields, self.context.now_ms)
    }

    /// Stores an event.
    ///
    /// # Errors
    /// When the batch takes more memory than there is.
    pub(super) fn take(&mut self, draft: Draft) -> Result<(), BodyError> {
        self.context.keep(draft.finish(), &mut self.events)
    }

    /// Refuses the event at hand.
    pub(super) fn refuse(&mut self, kind: K, problem: impl Into<String>) {
        let at = self.seen();
        self.refusals += 1;
        if self.refused.len() < MAX_NAMED_EVENTS {
            self.refused.push(Refused {
                at,
                kind,
                problem: problem.into(),
            });
        }
    }

    /// How many events there were so far.
    pub(super) fn seen(&self) -> usize {
        self.events.len() + self.refusals
    }

    pub(super) fn outcome(self) -> BatchOutcome<K> {
        BatchOutcome {
            events: self.events,
            refused: self.refused,
            refusals: self.refusals,
        }
    }
}

impl<K> BatchOutcome<K> {
    /// What was wrong with the refused ones, in short.
    pub(super) fn problems(&self) -> String {
        const MAX_SHOWN_PROBLEMS: usize = 5;
        let shown = self.refused.iter().take(MAX_SHOWN_PROBLEMS);
        let mut problems: Vec<String> = shown
            .map(|refused| format!("event {}: {}", refused.at, refused.problem))
            .collect();
        let more = self.refusals.saturating_sub(problems.len());
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        problems.join("; ")
    }

    /// The batch, with this answer; an error where all of it was refused.
    pub(super) fn answered(self, response: Response<Bytes>) -> Result<Batch, BodyError> {
        if self.events.is_empty() && self.refusals > 0 {
            return Err(BodyError::malformed(self.problems()));
        }
        Ok(Batch {
            events: self.events,
            response,
        })
    }
}
