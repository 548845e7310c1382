//! How errors are reported.
//!
//! - [`with_causes`]: an error and what caused it, on one line; [`innermost`]: the last cause alone;
//! - [`Cause`]: a cause whose type the crate that wraps it does not know;
//! - [`excerpt`]: foreign text, before it comes into an error or a log line.

use std::error::Error;

/// A cause whose type is its maker's: of a closure that a caller gives, of a crate above.
pub type Cause = Box<dyn Error + Send + Sync>;

/// So many characters of a foreign text are shown.
pub const SHOWN: usize = 600;

/// An error and its causes on one line; what a cause says that was said already is left out. HTTP
/// clients say that a request failed, and why only in a cause of a cause.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// The last cause: for errors whose outer texts repeat the inner ones, with what need not be shown.
pub fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// The beginning of a foreign text, on one line. It leaves in what could be a credential.
pub fn excerpt(text: &str) -> String {
    let text = text.trim();
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
