//! The drill: in a lab of its own, ingest into the primary region by the global name, kill all of it
//! with SIGKILL in mid-ingest, let the standby start from its bucket alone and take the name, and
//! compare what is found there with what was acknowledged.
//!
//! `play` is the story, step by step; [`report`] what came of it, judged; [`timeline`] and
//! [`html`] are its pictures; [`progress`] tells the person who waits.

pub mod html;
mod play;
pub mod progress;
mod region;
pub mod report;
mod stage;
pub mod timeline;
pub mod traffic;

use std::path::PathBuf;

use backstay_pair::Side;

use crate::client::ClientError;
use crate::up::LabError;
use crate::workload::lines::LinesError;
use crate::workload::sender::SendError;

pub use play::run;
pub use progress::Progress;
pub use report::Report;

/// Events of a drill that is not told how many.
pub const EVENTS: u64 = 100_000;

/// Fewest events of a drill: with less there is no "mid-ingest".
pub const FEWEST_EVENTS: u64 = 1_000;

/// What a drill is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `backstay` binary that the lab's parts run.
    pub program: PathBuf,
    /// What its pods run as nodes, where that is another program: one that cheats, so that it is
    /// seen that the drill finds it out.
    pub node: Option<PathBuf>,
    /// Files and folders of logs; none means generated lines.
    pub logs: Vec<PathBuf>,
    /// How many events; `None` means [`EVENTS`], or all lines of the given logs.
    pub events: Option<u64>,
    /// The blob service of a running Azurite, instead of folders.
    pub azurite: Option<String>,
    /// Whether the working folder stays.
    pub keep: bool,
    /// The seed of the generated lines.
    pub seed: u64,
    /// Clients that send at the same time.
    pub senders: usize,
}

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
        "{events} events are too few to kill a node in the midst of them; give at least {FEWEST_EVENTS}"
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
    /// A person or the system asked for an end.
    #[error("interrupted; the lab is stopped")]
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
#[error("{error}{}", look(.work_dir))]
pub struct Failure {
    /// Why.
    #[source]
    pub error: DrillError,
    /// The working folder with the lab, if there is one.
    pub work_dir: Option<PathBuf>,
}

fn look(work_dir: &Option<PathBuf>) -> String {
    match work_dir {
        None => String::new(),
        Some(path) => format!("\nthe lab's logs and data are in {}", path.display()),
    }
}

/// What a drill would do, in words.
pub fn plan(options: &Options) -> Vec<String> {
    let source = if options.logs.is_empty() {
        format!("generated log lines (seed {})", options.seed)
    } else {
        let names: Vec<String> = options
            .logs
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!("the lines of {}", names.join(", "))
    };
    let events = match (options.events, options.logs.is_empty()) {
        (Some(events), true) => format!("{events}"),
        (Some(events), false) => format!("at most {events}"),
        (None, true) => format!("{EVENTS}"),
        (None, false) => "all".to_owned(),
    };
    let buckets = match &options.azurite {
        None => "logs in folders".to_owned(),
        Some(url) => format!("logs in two new containers in the Azurite at {url}"),
    };
    let end = if options.keep {
        "stop the lab and leave its folder"
    } else {
        "stop the lab and remove what was made (kept if the drill fails)"
    };
    vec![
        format!("start a lab of two regions in a temporary folder, {buckets}"),
        "create a repository and an ingest token in the primary region".to_owned(),
        format!("send {events} events out of {source} to the global name, with {} clients that retry", options.senders),
        "wait until a part of them is in segments in the primary's bucket".to_owned(),
        "kill all of the primary region with SIGKILL while requests are on their way".to_owned(),
        "scale the standby's humio-operator to 1, and disable the primary's endpoint".to_owned(),
        "wait until the global name points to the standby, for its first acknowledgement and its first complete search".to_owned(),
        "send the rest, and wait until it is in segments in the standby's bucket".to_owned(),
        "start the old primary region again as it was; it must refuse every event".to_owned(),
        "search for everything: each acknowledged event once, and nothing that was not sent".to_owned(),
        end.to_owned(),
    ]
}
