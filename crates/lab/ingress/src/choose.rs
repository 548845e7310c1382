//! Which endpoint gets a request, and whether one that failed may be sent again. No I/O.

use axum::http::Method;

/// So many endpoints are tried for one request.
pub(crate) const MAX_ATTEMPTS: usize = 4;

/// An endpoint, as far as choosing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Requests that it is answering.
    pub in_flight: usize,
    /// This request has been there.
    pub tried: bool,
    /// It did not take a connection a moment ago.
    pub refused: bool,
}

/// The one with the fewest requests in flight that this request has not been to. One that did not
/// take a connection a moment ago is only for when there is no other. Among equals, turns are taken.
pub(crate) fn choose(candidates: &[Candidate], turn: usize) -> Option<usize> {
    let count = candidates.len();
    let first = turn.checked_rem(count)?;
    (first..count)
        .chain(0..first)
        .filter_map(|index| Some((index, candidates.get(index)?)))
        .filter(|(_, candidate)| !candidate.tried)
        .min_by_key(|(_, candidate)| (candidate.refused, candidate.in_flight))
        .map(|(index, _)| index)
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was sent: there was no connection to send it on.
    Unsent,
    /// The connection broke before the answer. The endpoint may have done what was asked.
    Unanswered,
    /// The endpoint was silent for too long. It may still do what was asked.
    Silent,
    /// The client was silent for too long, in the middle of its request.
    ClientSilent,
}

/// Whether a request may be sent to another endpoint after `attempts` of them. One that may have
/// been acted on may not, unless it asks for nothing to be done; and one whose body has begun to go
/// out cannot, since that part of it is gone.
pub(crate) fn again(method: &Method, failure: Failure, body_taken: bool, attempts: usize) -> bool {
    let harmless = match failure {
        Failure::Unsent => true,
        Failure::Unanswered => matches!(*method, Method::GET | Method::HEAD),
        Failure::Silent | Failure::ClientSilent => false,
    };
    harmless && !body_taken && attempts < MAX_ATTEMPTS
}

#[cfg(test)]
mod tests;
