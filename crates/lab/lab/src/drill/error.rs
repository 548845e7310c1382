//! Why a drill comes to no verdict.

use std::path::PathBuf;

use backstay_pair::Side;

use super::MIN_EVENTS;
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
        /// The folder that it was to be made in.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// There are too few lines.
    #[error(
        "{events} events are too few to kill a node in the middle of them; give at least {MIN_EVENTS}"
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
    /// The lab itself failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A bucket cannot be read.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// A call of a node's API failed.
    #[error("the {side} region: {source}")]
    Call {
        /// The side of the pair that the region is.
        side: Side,
        /// What the node answered, or why it could not be reached.
        #[source]
        source: ClientError,
    },
    /// A client gave up.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A command cannot be run.
    #[error("cannot run `backstay {command}`: {source}")]
    Command {
        /// The command line, without the program.
        command: String,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// The watch is not there any more.
    #[error("`backstay watch` {how}; its log {} ends with:\n{end}", .log.display())]
    Watch {
        /// What became of it.
        how: String,
        /// The file of its output.
        log: PathBuf,
        /// The log's last lines.
        end: String,
    },
    /// A command of the runbook has not done what it is for.
    #[error("`backstay {command}` ended with exit code {code}: {problem}")]
    Runbook {
        /// The runbook's command, such as `promote`.
        command: String,
        /// The exit code; -1 after a signal.
        code: i32,
        /// What the command reported.
        problem: String,
    },
    /// A cluster of a pair that is no lab.
    #[error("no way into the {side} region's cluster: {problem}")]
    Cluster {
        /// The side of the pair that the region is.
        side: Side,
        /// What is wrong, in words for the message.
        problem: String,
    },
    /// A DNS name could not be resolved.
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
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// What is known instead.
        detail: String,
    },
}

/// A drill that came to no verdict, with where to look.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}{}", look(.work_dir), next(.standing))]
pub struct Failure {
    /// What ended the drill early.
    #[source]
    pub error: DrillError,
    /// The working folder with the lab, or with logs, if there is one.
    pub work_dir: Option<PathBuf>,
    /// A pair that the drill was played against stands as it was left.
    pub standing: bool,
}

fn next(standing: &bool) -> &'static str {
    if *standing {
        "\nthe pair stands as it was left; next: backstay status, and if the secondary serves, \
         backstay promote, backstay failback and backstay clean-secondary"
    } else {
        ""
    }
}

fn look(work_dir: &Option<PathBuf>) -> String {
    match work_dir {
        None => String::new(),
        Some(path) => format!("\nlogs and data are in {}", path.display()),
    }
}
