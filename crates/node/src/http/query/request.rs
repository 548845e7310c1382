//! What a client asks for: LogScale's `QueryInput`.

use backstay_search::{Query, TimeRange};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http::error::ApiError;

/// A search that can run.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) query: Query,
    /// The query as it was written.
    pub(super) text: String,
    pub(super) range: TimeRange,
}

/// The body. What would change the answer and is not known here is refused; what only concerns
/// how it is shown (`timeZoneOffsetMinutes`, `showQueryEventDistribution`, …) is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    query_string: String,
    start: Option<Time>,
    end: Option<Time>,
    #[serde(default)]
    is_live: Option<bool>,
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
    #[serde(default)]
    around: Option<Value>,
    #[serde(default)]
    use_ingest_time: Option<bool>,
}

/// Ms since 1970, or relative.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Ms(i64),
    Fraction(f64),
    Text(String),
}

impl Time {
    fn text(&self) -> String {
        match self {
            Self::Ms(ms) => ms.to_string(),
            // Out of range it saturates.
            Self::Fraction(ms) => (*ms as i64).to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl Request {
    /// Understands a body; `now_ms` is what relative times are relative to.
    pub(super) fn parse(body: &[u8], now_ms: i64) -> Result<Self, ApiError> {
        let body: Body = serde_json::from_slice(body).map_err(|error| {
            ApiError::bad_request(format!(
                "the body is not a query: {error}; send JSON such as {{\"queryString\":\"error\",\"start\":\"24hours\",\"end\":\"now\"}}"
            ))
        })?;
        if body.is_live == Some(true) {
            return Err(ApiError::bad_request(
                "isLive: live queries are not supported; send \"isLive\":false and repeat the query",
            ));
        }
        if body
            .arguments
            .is_some_and(|arguments| !arguments.is_empty())
        {
            return Err(ApiError::bad_request(
                "arguments: query parameters are not supported; put the values into queryString",
            ));
        }
        if body.around.is_some_and(|around| !around.is_null()) {
            return Err(ApiError::bad_request(
                "around: not supported; narrow the query by start and end, or stream it from …/query",
            ));
        }
        if body.use_ingest_time == Some(true) {
            return Err(ApiError::bad_request(
                "useIngestTime: not supported; start and end mean @timestamp",
            ));
        }
        let start = body.start.as_ref().map(Time::text);
        let end = body.end.as_ref().map(Time::text);
        let range = TimeRange::parse(start.as_deref(), end.as_deref(), now_ms)
            .map_err(|error| ApiError::bad_request(format!("start, end: {error}")))?;
        if range.start_ms > range.end_ms {
            return Err(ApiError::bad_request(format!(
                "start ({} ms) is after end ({} ms); exchange them",
                range.start_ms, range.end_ms
            )));
        }
        let query = Query::parse(&body.query_string)
            .map_err(|error| ApiError::bad_request(format!("queryString: {error}")))?;
        Ok(Self {
            query,
            text: body.query_string,
            range,
        })
    }
}

#[cfg(test)]
mod tests;
