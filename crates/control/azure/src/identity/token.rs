//! A token, and how the services that issue them write one.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::SourceError;
use crate::http::Answer;

/// So long before its end a token is renewed, as Azure's own libraries do.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(300);
/// A token is taken to serve so long, whatever is said of its end: of two clocks one may be wrong.
const MIN_LIFETIME: Duration = Duration::from_secs(30);
/// No token serves longer.
const MAX_LIFETIME: Duration = Duration::from_secs(86_400);

/// A bearer token.
#[derive(Clone)]
pub(crate) struct Token {
    value: SecretString,
    pub(super) renew_at: Instant,
    pub(super) end: Instant,
}

impl Token {
    /// A token that serves for so long.
    pub(super) fn new(value: String, lifetime: Duration) -> Result<Self, SourceError> {
        let value = SecretString::from(value);
        let mut header = HeaderValue::from_str(&format!("Bearer {}", value.expose_secret()));
        if value.expose_secret().is_empty() || header.as_mut().is_err() {
            return Err(SourceError::Refused(
                "what was issued is no token: it is empty, or has letters that no header can carry"
                    .to_owned(),
            ));
        }
        let lifetime = lifetime.clamp(MIN_LIFETIME, MAX_LIFETIME);
        let now = Instant::now();
        Ok(Self {
            value,
            renew_at: now + (lifetime - RENEW_BEFORE_EXPIRY.min(lifetime / 2)),
            end: now + lifetime,
        })
    }

    /// The token itself. Named so that a reviewer finds each use.
    pub(crate) fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// What Entra, a managed identity and the Azure CLI answer. Numbers are written as numbers by some
/// and as text by others.
#[derive(Deserialize)]
pub(super) struct Issued {
    #[serde(alias = "accessToken")]
    access_token: SecretString,
    expires_in: Option<Value>,
    expires_on: Option<Value>,
}

impl Issued {
    /// Reads an answer; what serde says of a wrong one could quote it, and is not shown.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(super) fn token(self) -> Result<Token, SourceError> {
        let lifetime = seconds(self.expires_in.as_ref()).or_else(|| {
            let end = UNIX_EPOCH.checked_add(seconds(self.expires_on.as_ref())?)?;
            Some(end.duration_since(SystemTime::now()).unwrap_or_default())
        });
        Token::new(
            self.access_token.expose_secret().to_owned(),
            lifetime.unwrap_or(MIN_LIFETIME),
        )
    }
}

fn seconds(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// The token in a successful answer.
pub(super) fn issued(answer: &Answer) -> Result<Token, SourceError> {
    match Issued::read(&answer.body) {
        Some(issued) => issued.token(),
        None => Err(SourceError::Refused(format!(
            "its answer holds no token ({} bytes)",
            answer.body.len()
        ))),
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
    message: Option<String>,
}

/// What a refusing answer says, without this secret.
pub(super) fn refusal(answer: &Answer, secret: &str) -> String {
    let read: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
    let said = read.and_then(|it| {
        let words = [it.error, it.error_description.or(it.message)];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(": "))
    });
    let said = said.unwrap_or_else(|| format!("{} bytes that say nothing", answer.body.len()));
    format!(
        "status {}, {}",
        answer.status,
        backstay_resource::text::excerpt_without(&said, secret)
    )
}

#[cfg(test)]
mod tests;
