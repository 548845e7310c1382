//! Log lines: generated ones, or those of given files.

mod files;
mod generated;

pub use files::{FileLines, Files, LinesError};
pub use generated::Generator;

/// One log line with the identity by which it is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What kind of log it is of, for the tag `#kind`.
    pub kind: String,
    /// The text, without the end of line.
    pub text: String,
}

/// Puts an identity into a line so that it is still a line of its kind: a first field in JSON, a
/// last `key=value` elsewhere.
pub fn stamp(text: &str, identity: &str) -> String {
    let field = super::IDENTITY_FIELD;
    match text.strip_prefix('{') {
        Some(rest) if text.ends_with('}') => {
            let comma = if rest.trim_start().starts_with('}') {
                ""
            } else {
                ","
            };
            format!("{{\"{field}\":\"{identity}\"{comma}{rest}")
        }
        _ => format!("{text} {field}={identity}"),
    }
}

#[cfg(test)]
mod tests;
