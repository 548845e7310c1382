//! ETags: who changes a resource can say which state of it he has seen.
//!
//! They stand for what is configured, not for what is found by probing: an endpoint that goes down
//! invalidates no change that is about to be made. Azure's own Traffic Manager does not document
//! them; the conditional headers work as RFC 9110 has them.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::ArmError;

/// The ETag of a resource in its configured state.
pub(crate) fn etag(resource: &impl Serialize) -> String {
    // What was read from JSON can be written as JSON.
    let bytes = serde_json::to_vec(resource).unwrap_or_default();
    let hash = digest(&SHA256, &bytes);
    let short = hash.as_ref().get(..15).unwrap_or_default();
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(short))
}

/// What a request demands of the state of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl Conditions {
    /// Those of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ArmError> {
        let read = |name: HeaderName| match headers.get(&name).map(|it| it.to_str()) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value.trim().to_owned())),
            Some(Err(_)) => Err(ArmError::bad(
                "InvalidHeaderValue",
                format!("The value of the header '{name}' is not readable."),
            )),
        };
        Ok(Self {
            if_match: read(IF_MATCH)?,
            if_none_match: read(IF_NONE_MATCH)?,
        })
    }

    /// Whether the resource is in such a state; `None` if it does not exist.
    ///
    /// # Errors
    /// When it is not.
    pub fn hold<R: Serialize>(&self, resource: Option<&R>) -> Result<(), ArmError> {
        let current = resource.map(etag);
        let matches = |wanted: &str| match &current {
            None => false,
            Some(current) => wanted
                .split(',')
                .map(str::trim)
                .any(|it| it == "*" || it == current),
        };
        if let Some(wanted) = &self.if_match
            && !matches(wanted)
        {
            return Err(ArmError::precondition(match current {
                Some(_) => "The resource has changed since it was read (If-Match); read it again.",
                None => "The resource does not exist, and If-Match was given.",
            }));
        }
        if let Some(unwanted) = &self.if_none_match
            && matches(unwanted)
        {
            return Err(ArmError::precondition(
                "The resource exists already (If-None-Match).",
            ));
        }
        Ok(())
    }
}
