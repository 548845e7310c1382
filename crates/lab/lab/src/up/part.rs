//! A process of the lab that is kept running: ended, however it ended, it is started again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::child::{Child, ChildSpec};

/// Wait before the first new start, doubled at each further one.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait before another start.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// After so long a run the next failure is a first one again.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(10);
/// How long a process gets to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A process that is kept running, until it is taken down or dropped.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    wanted: watch::Sender<bool>,
    now: Arc<Mutex<Now>>,
    task: JoinHandle<()>,
}

/// What is known of it.
#[derive(Debug, Default)]
struct Now {
    child: Option<Child>,
    restarts: u64,
    problem: Option<String>,
}

/// What a part is at, for `lab status`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartStatus {
    /// The part's name, as in its log's file name.
    pub name: String,
    /// Its process id while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// How it ended last, or why it could not be started.
    pub problem: Option<String>,
}

impl Part {
    /// Starts it, and goes on doing so.
    ///
    /// # Errors
    /// When it cannot be started the first time.
    pub fn start(name: &'static str, spec: ChildSpec) -> io::Result<Self> {
        let first = Child::start(&spec)?;
        tracing::info!(part = name, pid = first.pid(), "started");
        let now = Arc::new(Mutex::new(Now {
            child: Some(first),
            ..Now::default()
        }));
        let (wanted, wants) = watch::channel(true);
        let task = tokio::spawn(keep(name, spec, Arc::clone(&now), wants));
        Ok(Self {
            name,
            wanted,
            now,
            task,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is at.
    pub fn status(&self) -> PartStatus {
        let now = self.now.lock();
        PartStatus {
            name: self.name.to_owned(),
            pid: now.child.as_ref().and_then(Child::pid),
            restarts: now.restarts,
            problem: now.problem.clone(),
        }
    }

    /// SIGKILL, and it stays dead until [`Part::up`].
    pub fn down(&self) {
        self.wanted.send_replace(false);
        if let Some(child) = &mut self.now.lock().child {
            // It is dead already; that is what was wanted.
            let _ = child.send_kill();
        }
    }

    /// It runs again.
    pub fn up(&self) {
        self.wanted.send_replace(true);
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.now.lock().child {
            Some(child) => child.signal(signal),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "it does not run")),
        }
    }

    /// SIGTERM; SIGKILL when it takes too long. It is not started again.
    pub async fn end(&self) {
        self.wanted.send_replace(false);
        let _ = self.signal(Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < STOP_GRACE && self.status().pid.is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.task.abort();
        self.now.lock().child = None;
    }
}

async fn keep(
    name: &'static str,
    spec: ChildSpec,
    now: Arc<Mutex<Now>>,
    mut wanted: watch::Receiver<bool>,
) {
    let mut wait = INITIAL_BACKOFF;
    let mut started = Instant::now();
    loop {
        ended(name, &now, &wanted).await;
        if started.elapsed() > BACKOFF_RESET_AFTER {
            wait = INITIAL_BACKOFF;
        }
        if *wanted.borrow_and_update() {
            sleep(wait).await;
            wait = (wait * 2).min(MAX_BACKOFF);
        }
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        started = Instant::now();
        let child = Child::start(&spec);
        let mut now = now.lock();
        now.restarts += 1;
        match child {
            Ok(child) => {
                tracing::info!(part = name, pid = child.pid(), "started again");
                now.child = Some(child);
            }
            Err(error) => now.problem = Some(error.to_string()),
        }
    }
}

/// Waits for the end of the process that runs now.
async fn ended(name: &'static str, now: &Mutex<Now>, wanted: &watch::Receiver<bool>) {
    loop {
        {
            let mut now = now.lock();
            let Some(child) = &mut now.child else { return };
            let end = match child.exited() {
                Ok(None) => None,
                Ok(Some(status)) => Some(status.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(end) = end {
                if *wanted.borrow() {
                    tracing::warn!(part = name, %end, "ended");
                } else {
                    tracing::info!(part = name, %end, "ended, as it was told");
                }
                now.child = None;
                now.problem = Some(end);
                return;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests;
