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

#[cfg(test)]
mod tests;
