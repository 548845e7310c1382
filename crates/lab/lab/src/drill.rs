//! The drill: the whole story of a failover and of the way back, in a lab of its own or on a pair of
//! clusters. Clients send to the global name all the while; a disaster hits the primary in
//! mid-ingest; `backstay watch` fails over by itself; the runbook's commands promote the standby, fail
//! back and clean up; and what is found in the end is compared with what was acknowledged.
//!
//! `play` has the order of the acts, `acts` what happens in each; `scene` is what they are played
//! on; `clients`, `watcher` and `operator` are those who act: clients of the global name, a
//! `backstay watch`, and whoever types the runbook's commands. [`report`] is what came of it, judged;
//! [`timeline`] and [`html`] are its pictures; [`progress`] tells the person who waits.

mod acts;
pub mod against;
mod clients;
mod clock;
mod error;
pub mod fault;
mod hands;
pub mod html;
mod operator;
mod plan;
mod play;
pub mod progress;
mod region;
pub mod report;
mod scene;
mod stage;
pub mod timeline;
pub mod traffic;
mod watcher;

use std::path::PathBuf;

pub use against::Against;
pub use error::{DrillError, Failure};
pub use fault::Fault;
pub use operator::Target;
pub use plan::plan;
pub use play::run;
pub use progress::Progress;
pub use report::Report;

/// Events of a drill for which no number is given.
pub const DEFAULT_EVENTS: u64 = 100_000;

/// Fewest events of a drill: with less there is no "mid-ingest".
pub const MIN_EVENTS: u64 = 1_000;

/// How far the story is played. Each act needs those before it; in the end of each, everything is
/// searched and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// The disaster, and the failover.
    Failover,
    /// The standby grows to an active region's size.
    Promotion,
    /// The primary takes everything back.
    Failback,
    /// The secondary stands by again.
    #[default]
    Cleaning,
}

/// The options of a drill.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `backstay` binary that the lab's parts, the watch and the runbook's commands run.
    pub program: PathBuf,
    /// What its pods run as nodes, where that is another program: one that cheats, so that it is
    /// seen that the drill finds it out.
    pub node: Option<PathBuf>,
    /// Files and folders of logs; none means generated lines.
    pub logs: Vec<PathBuf>,
    /// How many events; `None` means [`DEFAULT_EVENTS`], or all lines of the given logs.
    pub events: Option<u64>,
    /// The blob service of a running Azurite, instead of folders.
    pub azurite: Option<String>,
    /// Whether the working folder stays.
    pub keep: bool,
    /// The seed of the generated lines.
    pub seed: u64,
    /// Clients that send at the same time.
    pub senders: usize,
    /// Which fault hits the primary.
    pub fault: Fault,
    /// Where a command of the runbook is killed, to be resumed.
    pub kill_operator_at: Option<Target>,
    /// The act after which the drill ends.
    pub until: Act,
    /// What the memory of all of the lab's nodes may come to, in bytes.
    pub memory: u64,
    /// The pair that it is played against, instead of a lab.
    pub against: Option<Against>,
}
