//! What [`crate::hit`] does in debug builds.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const KILL_AT: &str = "BACKSTAY_KILL_AT";
const LOG: &str = "BACKSTAY_FAILPOINT_LOG";

/// What the environment asked for; read once, at the first hit.
struct Plan {
    kill: Option<Kill>,
    log: Option<File>,
}

struct Kill {
    name: String,
    /// Hits until the kill; the hit that finds 1 dies.
    left: AtomicU64,
}

pub(crate) fn hit(name: &'static str) {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    let plan = PLAN.get_or_init(Plan::from_env);
    if let Some(log) = &plan.log {
        record(log, name);
    }
    if let Some(kill) = &plan.kill
        && kill.name == name
        && kill.left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        die();
    }
}

impl Plan {
    fn from_env() -> Self {
        let kill = std::env::var_os(KILL_AT).map(|value| {
            let parsed = value.to_str().and_then(Kill::parse);
            parsed.unwrap_or_else(|| {
                refuse(&format!(
                    "{KILL_AT}={}: not a point and a count from 1 on; write name:n",
                    value.display()
                ))
            })
        });
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
        Self { kill, log }
    }
}

impl Kill {
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
    // Reached only where there is no SIGKILL.
    std::process::abort()
}

fn refuse(problem: &str) -> ! {
    // The process ends in the next line; there is nobody left to tell that stderr is closed.
    let _ = writeln!(std::io::stderr(), "{problem}");
    std::process::exit(2)
}
