//! Why an attempt failed, in words.

use std::error::Error;

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
