//! The arguments of `backstay lab`.
// What stands in brackets here is for the reader of `--help`: clap shows comments as they are.
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use backstay_pair::Side;
use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(
    after_help = "A lab is a folder, and a block of loopback addresses (127.B.0.0/16). On macOS they have to be \
    made first: see docs/lab.md. Exit codes: 0 done, 1 failed, 2 bad usage."
)]
pub struct LabFlags {
    /// The lab's folder [default: backstay/lab in XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "FOLDER", env = "BACKSTAY_LAB_DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// Second byte of the lab's addresses, 127.B.0.0/16; a lab keeps those that it was made with
    /// [default: 71]
    #[arg(long, value_name = "B", global = true, value_parser = clap::value_parser!(u8).range(1..=254))]
    pub net: Option<u8>,
    #[command(subcommand)]
    pub command: LabCommand,
}

impl LabFlags {
    /// Whether it is a part of a lab, which serves until it is told to stop.
    pub fn serves(&self) -> bool {
        matches!(self.command, LabCommand::Part(_))
    }
}

#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Starts both regions, or goes on with the lab in the folder
    Up(LabUpFlags),
    /// Ends the lab; what it kept stays, unless --purge
    Down {
        /// Remove the folder too
        #[arg(long)]
        purge: bool,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Shows both regions
    Status,
    /// Prints the path of the kubeconfig, with the contexts aks-primary and aks-secondary
    Kubeconfig,
    /// Kills all of a region with SIGKILL; it stays dead
    KillRegion(OnRegion),
    /// Cuts a region off from the world and the other region's bucket; it lives
    Partition(OnRegion),
    /// Stops all processes of a region where they stand (SIGSTOP)
    Freeze(OnRegion),
    /// Makes a region's bucket slow, for whoever asks
    SlowBucket(SlowFlags),
    /// Makes a region's bucket answer it, and nobody else, with 403
    DenyBucket(OnRegion),
    /// Ends whatever fault was injected into a region, or both
    Restore {
        /// Which [default: both]
        region: Option<Side>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    #[command(flatten)]
    Part(LabPart),
}

/// What the lab's own processes are.
#[derive(Debug, Subcommand)]
pub enum LabPart {
    /// One region: API server, controllers, pods
    #[command(hide = true)]
    Region {
        /// Which
        side: Side,
        /// The block of addresses
        #[arg(long)]
        block: u8,
        /// Azure's name of it
        #[arg(long)]
        name: String,
        /// What its pods run as nodes, where that is another program
        #[arg(long)]
        node: Option<PathBuf>,
    },
    /// An operator
    #[command(hide = true)]
    Operator {
        /// Which
        #[arg(value_enum)]
        which: Operator,
        /// Waits that a specification asks for are divided by this
        #[arg(long, default_value_t = 1)]
        hurry: u32,
    },
    /// The ingress of a region
    #[command(hide = true)]
    Ingress,
    /// Nothing, until it is told to stop
    #[command(hide = true)]
    Pause,
    /// A program that ends when standard input ends
    #[command(hide = true)]
    Watchdog {
        /// The program and its arguments
        #[arg(required = true, last = true)]
        command: Vec<std::ffi::OsString>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operator {
    /// For HumioCluster
    Humio,
    /// For Kafka
    Strimzi,
}

#[derive(Debug, Args)]
pub struct LabUpFlags {
    /// Return when both regions are ready, and let the lab go on
    #[arg(long)]
    pub detach: bool,
    /// Use the running Azurite with its blob service at this URL
    #[arg(long, value_name = "URL", conflicts_with = "folders")]
    pub azurite: Option<String>,
    /// Keep logs in folders, even where Azurite is installed
    #[arg(long)]
    pub folders: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct OnRegion {
    /// primary or secondary
    pub region: Side,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct SlowFlags {
    #[command(flatten)]
    pub on: OnRegion,
    /// How much longer each piece takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub millis: u64,
}
