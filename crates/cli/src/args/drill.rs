//! The arguments of a drill.
// What stands in brackets here is for the reader of `--help`: clap shows comments as they are.
#![allow(rustdoc::broken_intra_doc_links)]

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(
    after_help = "A lab of its own, which is gone afterwards; see docs/drill.md. Exit codes: 0 nothing lost and every \
    check holds, 1 something was lost, a check does not hold, or there is no verdict, 2 bad usage, 3 the standby of \
    --against is not able, 4 not confirmed."
)]
pub struct DrillFlags {
    /// Files and folders of logs, plain or gzip [default: generated logs]
    #[arg(long, num_args = 1.., value_name = "PATH")]
    pub logs: Vec<PathBuf>,
    /// How many events [default: 100000, or all lines of --logs]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..=50_000_000))]
    pub events: Option<u64>,
    /// Use the running Azurite with its blob service at this URL, instead of folders
    #[arg(long, value_name = "URL")]
    pub azurite: Option<String>,
    /// Leave the buckets, data and logs of the nodes where they are
    #[arg(long)]
    pub keep: bool,
    /// Write a report with a plot
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// The seed of the generated logs [default: random]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Clients that send at the same time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub senders: u16,
    /// Which fault hits the primary
    #[arg(long, value_enum, default_value_t = FaultFlag::Kill)]
    pub fault: FaultFlag,
    /// The last act: everything is searched in the end of each
    #[arg(long, value_enum, default_value_t = ActFlag::Cleaning)]
    pub until: ActFlag,
    /// Kill the command of the runbook that has this step with SIGKILL when it comes to it, and resume
    /// it; COMMAND:STEP where several have one of that name
    #[arg(long, value_name = "STEP")]
    pub kill_operator_at: Option<String>,
    /// Play it on the pair of clusters that this file describes, instead of a lab: the disaster is the
    /// primary's ingress scaled to 0, and each step that changes the pair asks first
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["azurite", "keep", "fault"]
    )]
    pub against: Option<PathBuf>,
    /// Do not ask
    #[arg(long, requires = "against")]
    pub yes: bool,
    /// The DNS server that is asked where the pair's global name points [default: the system's]
    #[arg(long, value_name = "ADDRESS:PORT", env = "BACKSTAY_DNS")]
    pub dns: Option<SocketAddr>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Which fault hits the primary in a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FaultFlag {
    /// All of it dies of SIGKILL
    Kill,
    /// All its processes are stopped where they stand (SIGSTOP)
    Freeze,
    /// It is cut off from the world and the other region's bucket; it lives
    Partition,
    /// Its bucket refuses it with 403 (needs --azurite)
    DenyBucket,
    /// It dies, and its bucket, from which the standby recovers, is slow (needs --azurite)
    SlowBucket,
}

/// How far a drill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ActFlag {
    /// The disaster and the failover
    Failover,
    /// The standby grows to an active region's size
    Promotion,
    /// The primary takes everything back
    Failback,
    /// The secondary stands by again
    Cleaning,
}
