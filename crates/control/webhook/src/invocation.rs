//! What the Functions host tells a custom handler when it does not forward the HTTP request, and
//! what it wants to hear.
//!
//! Source: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers> ("Request
//! payload", "Response payload", "Function with bindings"). The page shows `Query` as a text with
//! JSON in it; both that and an object are understood, and so are headers with one value or a list.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::admission::Shown;
use crate::message::{MAX_MESSAGE_BYTES, Malformed, Message, json as read_json};
use crate::refusal::Refusal;

/// A message within JSON can be twice as long, and the headers come beside it.
pub(crate) const MAX_INVOCATION_BYTES: usize = 1 << 20;
/// As the bindings of `alert/function.json` are called.
const REQUEST_BINDING: &str = "req";
const RESPONSE_BINDING: &str = "res";

/// An HTTP request, as the host tells of it.
pub(crate) struct Invocation(Value);

impl Invocation {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut whole = read_json("the invocation", bytes)?;
        let request = whole
            .get_mut("Data")
            .and_then(|it| it.get_mut(REQUEST_BINDING));
        match request.map(Value::take) {
            Some(request @ Value::Object(_)) => Ok(Self(request)),
            _ => Err(Malformed::new("Data.req", "missing, or no object")),
        }
    }

    pub(crate) fn shown(&self) -> Shown {
        let header = self.0.get("Headers").and_then(|it| {
            let mut all = it.as_object()?.iter();
            let found = all.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
            one(found.1)
        });
        let code = match self.0.get("Query") {
            Some(Value::String(text)) => serde_json::from_str::<Value>(text)
                .ok()
                .and_then(|it| one(it.get("code")?).map(str::to_owned)),
            Some(query) => query.get("code").and_then(one).map(str::to_owned),
            None => None,
        };
        Shown::new(header, code)
    }

    pub(crate) fn message(&self) -> Result<Message, Refusal> {
        match self.0.get("Body") {
            Some(Value::String(body)) if body.len() > MAX_MESSAGE_BYTES => {
                Err(Refusal::Oversized(MAX_MESSAGE_BYTES))
            }
            Some(Value::String(body)) => Ok(Message::parse(body.as_bytes())?),
            Some(body @ Value::Object(_)) => Ok(Message::read(body)?),
            _ => Err(Malformed::new("Data.req.Body", "missing, or neither text nor object").into()),
        }
    }
}

fn one(value: &Value) -> Option<&str> {
    match value {
        Value::Array(all) => all.first()?.as_str(),
        one => one.as_str(),
    }
}

/// What the host is to answer to the caller, and to write into its log.
pub(crate) fn response(status: StatusCode, text: &str) -> Value {
    let text = text.trim_end();
    json!({
        "Outputs": { RESPONSE_BINDING: {
            "statusCode": status.as_u16(),
            "headers": { "Content-Type": "text/plain; charset=utf-8" },
            "body": text,
        } },
        "Logs": [text],
        "ReturnValue": null,
    })
}

/// What the host is told when a trigger without an answer is done.
pub(crate) fn done() -> Value {
    json!({ "Outputs": {}, "Logs": [], "ReturnValue": null })
}

#[cfg(test)]
mod tests;
