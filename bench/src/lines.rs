//! The log lines that are measured with.

use std::path::PathBuf;

use backstay_lab::workload::lines::{Files, Generator};
use chrono::DateTime;

use crate::Failure;

/// The first line's time, in ms since 1970; each line is a millisecond later.
pub(crate) const START_MS: i64 = 1_750_000_000_000;

/// Lines of text.
pub(crate) type Texts = Box<dyn Iterator<Item = Result<String, Failure>>>;

/// The lines of files, or, without any, generated ones without end.
pub(crate) fn texts(logs: &[PathBuf]) -> Result<Texts, Failure> {
    if logs.is_empty() {
        let start = DateTime::from_timestamp_millis(START_MS).unwrap_or_default();
        return Ok(Box::new(Generator::new(1, start).map(|line| Ok(line.text))));
    }
    let files = Files::find(logs)?;
    Ok(Box::new(files.lines().map(|line| Ok(line?.text))))
}
