//! Variables that nobody reads: a misspelt name is told, and one that decides what a node recovers
//! is refused.

mod spelling;

use std::collections::BTreeSet;

use backstay_node::config;
use clap::CommandFactory as _;

use crate::args::{Arguments, Command};
use spelling::{Known, Verdict};

/// Overrides of the pair's file, whose reader knows them.
const OVERRIDES: &str = "BACKSTAY_PAIR__";

/// What is read outside of the arguments and the node's configuration.
const OTHERS: [&str; 6] = [
    "BACKSTAY_AZURE_TOKEN_FILE",
    "BACKSTAY_INGRESS_HEALTH",
    "BACKSTAY_INGRESS_HTTP",
    "BACKSTAY_INGRESS_HTTPS",
    "BACKSTAY_LOG",
    "BACKSTAY_LOG_FORMAT",
];

/// Marks by which a lab finds what it has started; and what failpoints, tests and benchmarks read,
/// which start processes of ours.
const INTERNAL: [&str; 24] = [
    "BACKSTAY_AZ",
    "BACKSTAY_AZURITE",
    "BACKSTAY_AZURITE_BLOB",
    "BACKSTAY_BENCH_ROUNDS",
    "BACKSTAY_BIN",
    "BACKSTAY_BLESS",
    "BACKSTAY_FAILPOINT_LOG",
    "BACKSTAY_FAULT_POINT",
    "BACKSTAY_FAULT_RUNS",
    "BACKSTAY_FAULT_SEED",
    "BACKSTAY_FUZZ_SECONDS",
    "BACKSTAY_JUDGES",
    "BACKSTAY_KILLS",
    "BACKSTAY_KILL_AT",
    "BACKSTAY_LAB",
    "BACKSTAY_OUTAGES",
    "BACKSTAY_POD",
    "BACKSTAY_PYTHON",
    "BACKSTAY_SEGMENTS",
    "BACKSTAY_SIM_FIRST",
    "BACKSTAY_SIM_SEED",
    "BACKSTAY_SIM_SEEDS",
    "BACKSTAY_STOP_AT",
    "BACKSTAY_TRAFFIC_TEST_CHILD",
];

/// Variables by which a node would start from something else than is meant: as they are called, and as
/// they are to be called.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(misnamed).collect::<Vec<_>>().join("\n"))]
pub struct Misnamed(Vec<(String, String)>);

fn misnamed((name, meant): &(String, String)) -> String {
    format!(
        "{name} is not a variable of a node, and {meant} decides from where it starts: rename it to {meant}, or remove it"
    )
}

/// Warns of variables that look like ours and are not read.
///
/// # Errors
/// What is wrong and to be done, when a node would recover something else because of one.
pub fn look(command: &Command, flags: &BTreeSet<&'static str>) -> Result<(), Misnamed> {
    let known = known();
    // What is set by a template without a value counts as unset, for us too.
    let mut set: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| (lossy(&name), lossy(&value)))
        .filter(|(_, value)| !value.trim().is_empty())
        .collect();
    set.sort_unstable();
    let is_set = |name: &str| flags.contains(name) || set.iter().any(|(it, _)| it == name);
    let mut refused = Vec::new();
    for (name, value) in &set {
        match known.verdict(name, value, &is_set) {
            Verdict::Known | Verdict::Foreign => {}
            Verdict::Decides { meant } if matches!(command, Command::Node(_)) => {
                refused.push((name.clone(), meant.to_owned()));
            }
            Verdict::Unknown {
                nearest: Some(nearest),
            }
            | Verdict::Decides { meant: nearest } => {
                tracing::warn!("{name} is not a variable that is read; is {nearest} meant?");
            }
            Verdict::Unknown { nearest: None } => {
                tracing::warn!("{name} is not a variable that is read; correct or remove it");
            }
        }
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Misnamed(refused))
    }
}

fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// All that any command reads.
fn known() -> Known {
    let mut names: BTreeSet<String> = config::variables().into_iter().collect();
    names.extend(OTHERS.map(ToOwned::to_owned));
    of_arguments(&Arguments::command(), &mut names);
    Known {
        names,
        internal: INTERNAL.iter().map(|name| (*name).to_owned()).collect(),
        deciding: config::deciding_variables().into_iter().collect(),
        overrides: OVERRIDES,
    }
}

fn of_arguments(command: &clap::Command, names: &mut BTreeSet<String>) {
    let own = command.get_arguments().filter_map(clap::Arg::get_env);
    names.extend(own.map(lossy));
    for below in command.get_subcommands() {
        of_arguments(below, names);
    }
}

#[cfg(test)]
mod tests;
