//! The arguments of the runbook's commands.
// What stands in brackets here is for the reader of `--help`: clap shows comments as they are.
#![allow(rustdoc::broken_intra_doc_links)]

use clap::{Args, Subcommand};

use super::ControlFlags;

/// What each of the runbook's commands is told.
#[derive(Debug, Args)]
pub struct RunFlags {
    #[command(flatten)]
    pub control: ControlFlags,
    /// Print the steps, ask nothing, and change nothing
    #[arg(long)]
    pub plan: bool,
    /// Print the steps with what each check says now, and change nothing
    #[arg(long, conflicts_with = "plan")]
    pub dry_run: bool,
    #[command(flatten)]
    pub who: WhoFlags,
}

/// Who runs it, and how sure they are.
#[derive(Clone, Copy, Debug, Args)]
pub struct WhoFlags {
    /// Do not ask before what cannot be undone
    #[arg(long)]
    pub yes: bool,
    /// Take the run lock from whoever holds it
    #[arg(long)]
    pub take_over: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Phase 1 with shared routing, phase 2 with dedicated pools; see docs/promote.md. Exit codes: \
    0 promoted, 1 failed, 2 bad usage, 3 a check refuses, 4 waiting for a person."
)]
pub struct PromoteFlags {
    #[command(flatten)]
    pub run: RunFlags,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Everything that the secondary has taken in is kept, unless --skip-reverse-recovery; see \
    docs/failback.md. Exit codes: 0 failed back, 1 failed, 2 bad usage, 3 a check refuses, 4 waiting for a person."
)]
pub struct FailbackFlags {
    #[command(flatten)]
    pub run: RunFlags,
    /// Leave behind what the secondary has taken in; it says how much that is
    #[arg(long)]
    pub skip_reverse_recovery: bool,
    /// Seconds for which the alert must stay quiet before it is over
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub quiet_seconds: u64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Refuses unless the primary is proven healthy; no segment is deleted; see docs/failback.md. Exit \
    codes: 0 the standby is able again, 1 failed, 2 bad usage, 3 a check refuses, 4 waiting for a person."
)]
pub struct CleanFlags {
    #[command(flatten)]
    pub run: RunFlags,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A run is a ConfigMap of the standby's cluster (kubectl get configmap -l logscale.dr/run). Exit \
    codes as of the command that was begun; 3 when there is no such run."
)]
pub struct RunsFlags {
    #[command(flatten)]
    pub control: ControlFlags,
    #[command(subcommand)]
    pub command: RunsCommand,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Shows all runs that are kept, the newest first
    List,
    /// Shows one
    Show {
        /// Its name
        run: String,
    },
    /// Goes on with one, at the first step that does not hold, on whatever machine
    Resume {
        /// Its name
        run: String,
        /// A person has reset Kafka's topic global-events
        #[arg(long)]
        topic_is_reset: bool,
        #[command(flatten)]
        who: WhoFlags,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Gives one up; what is done stays
    Abort {
        /// Its name
        run: String,
        #[command(flatten)]
        who: WhoFlags,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}
