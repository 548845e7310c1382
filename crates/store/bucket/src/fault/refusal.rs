//! What a store answers when it refuses: its code, its message, and what it adds to them.
//!
//! Azure, S3 and Google's XML answer `<Code>` and `<Message>`; Google's JSON has `message` and
//! `reason`. A refused signature is answered with the string that was signed and the signature; these
//! are for debuggers of clients, and left out.

use serde::Deserialize;

use super::ServiceError;

/// A message, and a detail, is cut to so many characters.
const MAX_MESSAGE_CHARS: usize = 200;
/// What begins the part of a detail that nobody is to read.
const SIGNED: [&str; 2] = ["Server used following string to sign", "String to sign"];

#[derive(Deserialize)]
struct Google {
    error: GoogleError,
}

#[derive(Deserialize)]
struct GoogleError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<GoogleReason>,
}

#[derive(Deserialize)]
struct GoogleReason {
    #[serde(default)]
    reason: String,
}

/// Reads a refusal. `code`: what a header says, which comes with answers that have no body.
pub(crate) fn service_error(status: u16, code: Option<String>, body: &str) -> ServiceError {
    let json = serde_json::from_str::<Google>(body.trim()).ok();
    let (of_json, message) = match json {
        Some(Google { error }) => {
            let reason = error.errors.into_iter().map(|it| it.reason).next();
            (reason.filter(|it| !it.is_empty()), Some(error.message))
        }
        None => (None, element(body, "Message")),
    };
    let message = message.as_deref().and_then(first_line);
    let mut details: Vec<String> = [
        // Azure, S3, Google: why the request is not who it says it is, or not of now.
        element(body, "AuthenticationErrorDetail").map(|it| unsigned(&it)),
        element(body, "RequestTime").map(|it| format!("time of the request {it}")),
        element(body, "ServerTime").map(|it| format!("time of the server {it}")),
        element(body, "Details"),
        element(body, "Reason"),
    ]
    .into_iter()
    .flatten()
    .filter_map(|text| first_line(&text))
    .collect();
    details.dedup();
    let texts = message.into_iter().chain(details).collect::<Vec<_>>();
    ServiceError {
        status,
        code: code
            .or_else(|| element(body, "Code"))
            .or(of_json)
            .unwrap_or_default(),
        message: if texts.is_empty() {
            String::new()
        } else {
            format!(": {}", texts.join("; "))
        },
    }
}

/// The text of an element, in an answer that may be cut behind it.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
    Some(text)
}

/// Up to where it repeats what was signed, without the signature.
fn unsigned(detail: &str) -> String {
    let end = SIGNED.iter().filter_map(|it| detail.find(it)).min();
    let text = detail
        .get(..end.unwrap_or(detail.len()))
        .unwrap_or_default();
    let parts: Vec<&str> = text.split('\'').collect();
    // In quotes: a date has blanks, a signature or a token has none.
    let shown = parts.iter().enumerate().map(|(n, part)| {
        let quoted = n % 2 == 1;
        if quoted && part.len() > 16 && !part.contains(' ') {
            "…"
        } else {
            part
        }
    });
    shown.collect::<Vec<_>>().join("'")
}

fn first_line(text: &str) -> Option<String> {
    let line = text.trim().lines().next()?.trim();
    let short: String = line.chars().take(MAX_MESSAGE_CHARS).collect();
    (!short.is_empty()).then_some(short)
}

#[cfg(test)]
mod tests;
