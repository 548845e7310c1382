//! Named points at which a test can kill the process.
//!
//! "Nothing acknowledged is lost" must hold wherever a process dies: between a put and its
//! acknowledgement, in the middle of a trim, half-way through a recovery. The code names those
//! places with [`hit`], and a test walks through all of them with two environment variables:
//!
//! | Variable | Meaning |
//! |---|---|
//! | `BACKSTAY_FAILPOINT_LOG=path` | appends the name of each point at every hit, one a line, so that a test can enumerate the points that a run passes, and how often |
//! | `BACKSTAY_KILL_AT=name:n` | SIGKILLs its own process at the `n`-th hit of `name` (`name` alone is the first) |
//! | `BACKSTAY_STOP_AT=name:n` | SIGSTOPs it there instead, as a machine that is suspended: a SIGCONT lets it go on |
//!
//! All exist in debug builds only; in a release build [`hit`] is an empty function and no
//! variable can kill a production node.

/// Passes the point `name`. Names are `crate.operation.place`, for example
/// `journal.commit.before_put`, without a colon.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_name: &'static str) {}

/// Passes the point `name`. Names are `crate.operation.place`, for example
/// `journal.commit.before_put`, without a colon.
///
/// A variable that means nothing ends the process with exit code 2 and says why: a fault test
/// whose fault never happens would prove nothing.
#[cfg(debug_assertions)]
pub fn hit(name: &'static str) {
    debug::hit(name);
}

#[cfg(debug_assertions)]
mod debug;
