//! Why a drill comes to no verdict.

use std::path::PathBuf;

use backstay_pair::Side;

use super::FEWEST_EVENTS;
use crate::client::ClientError;
use crate::up::LabError;
use crate::workload::lines::LinesError;
use crate::workload::sender::SendError;

/// Why a drill came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The working folder cannot be made.
    #[error("cannot make a working folder in {path}: {source}")]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There are too few lines.
    #[error(
        "{events} events are too few to kill a node in the middle of them; give at least {FEWEST_EVENTS}"
    )]
    TooFew {
        /// How many there are.
        events: u64,
    },
    /// The lines cannot be read.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// There are no addresses for a lab.
    #[error("no addresses for a lab: {0}")]
    Addresses(#[source] std::io::Error),
    /// The lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A bucket cannot be read.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// A call of a node's API failed.
    #[error("the {side} region: {source}")]
    Call {
        /// Which region.
        side: Side,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A client gave up.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A command cannot be run.
    #[error("cannot run `backstay {command}`: {source}")]
    Command {
        /// Which.
        command: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The watch is not there any more.
    #[error("`backstay watch` {how}; its log {} ends with:\n{end}", .log.display())]
    Watch {
        /// What became of it.
        how: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        end: String,
    },
    /// A command of the runbook has not done what it is for.
    #[error("`backstay {command}` ended with exit code {code}: {problem}")]
    Runbook {
        /// Which.
        command: String,
        /// How it ended.
        code: i32,
        /// What it says.
        problem: String,
    },
    /// A cluster of a pair that is no lab.
    #[error("no way into the {side} region's cluster: {problem}")]
    Cluster {
        /// Which region's.
        side: Side,
        /// Why.
        problem: String,
    },
    /// Name resolution.
    #[error(transparent)]
    Names(backstay_names::NameError),
    /// A pair whose standby is not able is not put to the test.
    #[error("`backstay verify` says no, so there is no drill: {0}")]
    NotAble(String),
    /// A person has said no.
    #[error("not confirmed: {0}")]
    Declined(String),
    /// A person or the system asked for an end.
    #[error("interrupted")]
    Interrupted,
    /// Something that had to happen did not.
    #[error("{what} did not happen within {seconds} s; {detail}")]
    Waited {
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
        /// What is known instead.
        detail: String,
    },
}

/// A drill that came to no verdict, with where to look.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}{}", look(.work_dir), next(.standing))]
pub struct Failure {
    /// Why.
    #[source]
    pub error: DrillError,
    /// The working folder with the lab, or with logs, if there is one.
    pub work_dir: Option<PathBuf>,
    /// A pair that the drill was played against stands as it was left.
    pub standing: bool,
}

fn next(standing: &bool) -> &'static str {
    match standing {
        false => "",
        true => {
            "\nthe pair stands as it was left; next: backstay status, and if the secondary serves, \
             backstay promote, backstay failback and backstay clean-secondary"
        }
    }
}

fn look(work_dir: &Option<PathBuf>) -> String {
    match work_dir {
        None => String::new(),
        Some(path) => format!("\nlogs and data are in {}", path.display()),
    }
}
