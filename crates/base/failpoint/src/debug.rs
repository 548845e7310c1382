//! What [`crate::hit`] does in debug builds.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const KILL_AT: &str = "BACKSTAY_KILL_AT";
const STOP_AT: &str = "BACKSTAY_STOP_AT";
const LOG: &str = "BACKSTAY_FAILPOINT_LOG";

/// What the environment asked for; read once, at the first hit.
struct Plan {
    kill: Option<Armed>,
    stop: Option<Armed>,
    log: Option<File>,
}

/// A point at which something is to happen.
struct Armed {
    name: String,
    /// Hits until then; at the hit that finds 1 it happens.
    left: AtomicU64,
}

pub(crate) fn hit(name: &'static str) {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    let plan = PLAN.get_or_init(Plan::from_env);
    if let Some(log) = &plan.log {
        record(log, name);
    }
    if is_due(plan.kill.as_ref(), name) {
        die();
    }
    if is_due(plan.stop.as_ref(), name) {
        freeze();
    }
}

fn is_due(armed: Option<&Armed>, name: &str) -> bool {
    armed.is_some_and(|it| it.name == name && it.left.fetch_sub(1, Ordering::SeqCst) == 1)
}

impl Plan {
    fn from_env() -> Self {
        let log = std::env::var_os(LOG).map(|path| {
            // Appending: the processes of one test share the file, and a write of one short line
            // is not torn.
            match OpenOptions::new().create(true).append(true).open(&path) {
                Ok(file) => file,
                Err(error) => refuse(&format!(
                    "{LOG}={}: {error}; name a file that can be written",
                    path.display()
                )),
            }
        });
        Self {
            kill: Armed::from_env(KILL_AT),
            stop: Armed::from_env(STOP_AT),
            log,
        }
    }
}

impl Armed {
    fn from_env(variable: &str) -> Option<Self> {
        let value = std::env::var_os(variable)?;
        let parsed = value.to_str().and_then(Self::parse);
        Some(parsed.unwrap_or_else(|| {
            refuse(&format!(
                "{variable}={}: not a point and a count from 1 on; write name:n",
                value.display()
            ))
        }))
    }

    fn parse(value: &str) -> Option<Self> {
        let (name, count) = match value.rsplit_once(':') {
            Some((name, count)) => (name, count.parse().ok()?),
            None => (value, 1),
        };
        (!name.is_empty() && count > 0).then(|| Self {
            name: name.to_owned(),
            left: AtomicU64::new(count),
        })
    }
}

fn record(mut log: &File, name: &'static str) {
    if let Err(error) = log.write_all(format!("{name}\n").as_bytes()) {
        refuse(&format!("{LOG}: {error}; make room or name another file"));
    }
}

/// Ends the process without any clean-up, as a power cut would.
fn die() -> ! {
    #[cfg(unix)]
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    // Reached only where SIGKILL does not exist.
    std::process::abort()
}

/// Stops the process until somebody continues it.
fn freeze() {
    #[cfg(unix)]
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
}

fn refuse(problem: &str) -> ! {
    // The process ends in the next line; there is nobody left to tell that stderr is closed.
    let _ = writeln!(std::io::stderr(), "{problem}");
    std::process::exit(2)
}
