//! Child processes that never outlive their parent.
//!
//! A lab that leaves a process behind has changed the machine it ran on, so a child has three
//! watchdogs. The handle kills it when dropped, which covers errors and Ctrl-C. It has its own
//! process group, so that a Ctrl-C in the terminal reaches the parent first and the parent
//! decides. And its standard input is a pipe from the parent: our own programs end when that pipe
//! closes, which the kernel sees to even when the parent itself was killed with SIGKILL.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use backstay_agent::INHERITED;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{ChildStdin, Command};

/// Longest wait for the end of a child that was killed because its handle was dropped.
const REAP_TIMEOUT: Duration = Duration::from_secs(1);

/// The program to start, with its arguments, environment and log.
#[derive(Clone)]
pub struct ChildSpec {
    /// The path of the program to run.
    pub program: PathBuf,
    /// Its arguments. Every user of the machine can read them: no secrets.
    pub arguments: Vec<OsString>,
    /// The environment beyond the few inherited variables.
    pub environment: BTreeMap<String, String>,
    /// Where its output is appended.
    pub log: PathBuf,
}

impl fmt::Debug for ChildSpec {
    /// Names of variables only: their values are partly keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &self.environment.keys())
            .field("log", &self.log)
            .finish()
    }
}

/// A child that runs, or ran. Dropping it kills it and all that it started.
#[derive(Debug)]
pub struct Child {
    child: tokio::process::Child,
    group: Option<Pid>,
    /// Held open: its end is the child's end.
    _parent_pipe: Option<ChildStdin>,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// When its log cannot be written or the program cannot be run.
    pub fn start(spec: &ChildSpec) -> io::Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&spec.log)?;
        let also = log.try_clone()?;
        // Everything else is withheld, so that the machine's own `AZURE_STORAGE_*` cannot leak into a
        // drill.
        let inherited = INHERITED
            .iter()
            .filter_map(|name| std::env::var_os(name).map(|value| (*name, value)));
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.arguments)
            .env_clear()
            .envs(inherited)
            .envs(&spec.environment)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(also)
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let watchdog = child.stdin.take();
        let group = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Self {
            group: group.map(Pid::from_raw),
            child,
            _parent_pipe: watchdog,
        })
    }

    /// Its process id; `None` once its end was seen.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        let ran = self.pid().is_some();
        let ended = self.child.try_wait()?;
        if let (true, Some(_), Some(group)) = (ran, &ended, self.group) {
            // What it started and left behind; nobody else can have its id so soon.
            let _ = killpg(group, Signal::SIGKILL);
        }
        Ok(ended)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// SIGKILL to it and to whatever it started in its group.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn send_kill(&mut self) -> io::Result<()> {
        if self.pid().is_some() {
            self.signal(Signal::SIGKILL)
        } else {
            // It was dead already; that is what was wanted.
            Ok(())
        }
    }

    /// A signal to it and to whatever it started in its group.
    ///
    /// # Errors
    /// When it has ended or may not be signalled.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // Until its end was seen the id is its own, whatever became of it.
        match self.group.filter(|_| self.pid().is_some()) {
            Some(group) => killpg(group, signal).map_err(io::Error::from),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "it has ended")),
        }
    }
}

impl Drop for Child {
    /// Kills it and waits a moment for its end, so that whoever removes its folders next does not
    /// race with its last writes.
    fn drop(&mut self) {
        // An error means that it is dead already.
        let _ = self.send_kill();
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < REAP_TIMEOUT {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The last lines of a log, at most its last 64 KiB. A log that cannot be read says so in its
/// place: this is called while reporting an error, and must not hide it behind another.
pub fn log_tail(path: &Path, lines: usize) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 << 10)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            let tail = &all[all.len().saturating_sub(lines)..];
            tail.iter()
                .map(|line| format!("  | {line}"))
                .collect::<Vec<_>>()
                .join("\n")
        }
        Err(error) => format!("  | (cannot read {}: {error})", path.display()),
    }
}
