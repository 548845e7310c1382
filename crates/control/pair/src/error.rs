//! What is wrong with a pair's file: every problem at once, each with its place.
//!
//! No text quotes a value. The place says where to look, and a key that somebody typed where its
//! name belongs must not end in a log.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The file cannot be read.
    #[error(
        "cannot read {path}: {source}; write it after the example deploy/backstay.example.toml"
    )]
    Read {
        /// The pair's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is too large to be meant.
    #[error("{path} has more than {limit} bytes, so it describes no pair; name another file")]
    TooLarge {
        /// The pair's file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// It is no text.
    #[error("{path} is not UTF-8 from byte {byte} on; save it as UTF-8")]
    NotText {
        /// The pair's file.
        path: PathBuf,
        /// Where it ceases to be text.
        byte: usize,
    },
    /// It is not TOML, or does not describe a pair.
    #[error("{}", list(path, problems))]
    Invalid {
        /// The pair's file.
        path: PathBuf,
        /// What is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the file; the first is 1.
    Line(usize),
    /// A variable of the environment, which overrides the file.
    Variable(String),
    /// Nowhere: it is missing.
    Nowhere,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, the variable that overrides the file, or nowhere.
    pub origin: Origin,
    /// The key, dotted; empty where the text is not TOML.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Line(line) => write!(f, "line {line}: ")?,
            Origin::Variable(name) => write!(f, "{name}: ")?,
            Origin::Nowhere => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

fn list(path: &std::path::Path, problems: &[Problem]) -> String {
    let mut text = format!("{} describes no pair:", path.display());
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    text
}
