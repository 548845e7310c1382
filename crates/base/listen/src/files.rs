//! How many files may be open: each connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process have `wanted` files open, as far as the system allows it, and answers how many
/// it then may have. A limit that is already higher is left alone.
pub fn allow_files(wanted: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    if soft < wanted {
        // Whether it worked is seen below.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
    getrlimit(Resource::RLIMIT_NOFILE).map_or(soft, |(soft, _)| soft)
}

/// Makes room for `wanted` files of one kind (connections, probes) beside `others` of the process,
/// and answers for how many of the kind there is room. Where the system allows too few for both,
/// the others come first, but have no more than half.
pub fn share_of_files(wanted: usize, others: u64) -> usize {
    let all = (wanted as u64).saturating_add(others);
    share(wanted, others, allow_files(all))
}

fn share(wanted: usize, others: u64, allowed: u64) -> usize {
    let left = allowed.saturating_sub(others.min(allowed / 2)).max(1);
    usize::try_from(left).unwrap_or(wanted).min(wanted)
}

#[cfg(test)]
mod tests;
