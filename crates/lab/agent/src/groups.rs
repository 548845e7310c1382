//! The process groups of pods: recorded, so that an agent that comes after one that was killed
//! ends what is left of them; and frozen and thawed together.
//!
//! A record is a file whose name is the id of the group's leader and when that was started, in a
//! folder for each start of the machine. So an id that means another process by now is not hit.
//! What has left its group, or was started in the moment before its record, is known by a variable
//! ([`MARK`]) that all processes of a pod inherit.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::proc::{self, Process};

/// The variable by which a process of a pod is known: the folder of its container.
pub const MARK: &str = "BACKSTAY_POD";

/// Between two looks at whether what was killed is gone.
const KILL_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How often something is killed that does not end, or keeps starting more processes.
const MAX_KILL_ATTEMPTS: u32 = 400;

/// All groups of one agent.
#[derive(Debug)]
pub(crate) struct Groups {
    records: PathBuf,
    /// By the leader's id, when it was started. The lock is held while signals are sent to all, so
    /// that none is missed.
    alive: Mutex<BTreeMap<i32, u64>>,
    frozen: watch::Sender<bool>,
    /// The folders of containers that have ended, whose processes nobody has looked for yet.
    ended: Mutex<HashSet<String>>,
    /// Held by who looks for processes.
    looking: tokio::sync::Mutex<()>,
}

impl Groups {
    /// Ends what an agent before this one has left in `folder`.
    pub fn open(folder: &Path) -> io::Result<Arc<Self>> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let all = folder.join("groups");
        let records = all.join(format!("boot-{}", boot.trim()));
        fs::create_dir_all(&records)?;
        let mut left = Vec::new();
        for entry in fs::read_dir(&records)? {
            left.extend(entry?.file_name().to_str().and_then(parse));
        }
        for (pid, start) in still_there(&left, &proc::processes()) {
            send(pid, start, Signal::SIGKILL);
        }
        let folder = folder.display().to_string();
        sweep(&|mark: &[u8]| {
            let below = mark.strip_prefix(folder.as_bytes());
            below.is_some_and(|below| below.starts_with(b"/"))
        });
        fs::remove_dir_all(&all)?;
        fs::create_dir_all(&records)?;
        Ok(Arc::new(Self {
            records,
            alive: Mutex::default(),
            frozen: watch::Sender::new(false),
            ended: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }))
    }

    /// Kills what is left of a container, by the folder that its processes are marked with. When
    /// many end at a time, all processes of the machine are not looked at for each.
    pub async fn sweep(&self, folder: String) {
        self.ended.lock().insert(folder.clone());
        let _turn = self.looking.lock().await;
        let all = {
            let mut ended = self.ended.lock();
            if !ended.contains(&folder) {
                // Whoever had the turn before has looked for it, too.
                return;
            }
            std::mem::take(&mut *ended)
        };
        let marked = move |mark: &[u8]| std::str::from_utf8(mark).is_ok_and(|m| all.contains(m));
        let _ = tokio::task::spawn_blocking(move || sweep(&marked)).await;
    }

    /// Records the group that this process leads, or is about to.
    pub fn adopt(self: &Arc<Self>, pid: u32) -> io::Result<Group> {
        let leader = i32::try_from(pid)
            .ok()
            .and_then(proc::process)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not in /proc"))?;
        fs::write(self.records.join(name(leader.pid, leader.start)), "")?;
        let group = Group {
            pid: leader.pid,
            start: leader.start,
            left: false,
            groups: self.clone(),
        };
        let mut alive = self.alive.lock();
        alive.insert(group.pid, group.start);
        if *self.frozen.borrow() {
            group.signal(Signal::SIGSTOP);
        }
        Ok(group)
    }

    /// The ids of all groups.
    pub fn ids(&self) -> Vec<i32> {
        self.alive.lock().keys().copied().collect()
    }

    /// Stops all groups, and those that come, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let alive = self.alive.lock();
        self.frozen.send_replace(frozen);
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        for (pid, start) in alive.iter() {
            send(*pid, *start, signal);
        }
    }

    /// Whether all groups are frozen.
    pub fn frozen(&self) -> watch::Receiver<bool> {
        self.frozen.subscribe()
    }
}

/// One recorded group. When dropped, what is left of it is killed.
#[derive(Debug)]
pub(crate) struct Group {
    pid: i32,
    start: u64,
    left: bool,
    groups: Arc<Groups>,
}

impl Group {
    /// To all of it.
    pub fn signal(&self, signal: Signal) {
        send(self.pid, self.start, signal);
    }

    /// To its leader only, which is what ends a container.
    pub fn signal_leader(&self, signal: Signal) {
        if is_or_was(self.pid, self.start) {
            // Where that fails, it has ended.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Lets go of the group, whose leader has ended: what is left of it is known by its mark.
    pub fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.left {
            self.signal(Signal::SIGKILL);
        }
        let mut alive = self.groups.alive.lock();
        if alive.get(&self.pid) == Some(&self.start) {
            alive.remove(&self.pid);
        }
        drop(alive);
        let record = self.groups.records.join(name(self.pid, self.start));
        if let Err(error) = fs::remove_file(&record) {
            tracing::warn!(%error, record = %record.display(), "a record of a process group stays");
        }
    }
}

/// Whether an id still is the process that was started then, or nobody's.
fn is_or_was(pid: i32, start: u64) -> bool {
    proc::process(pid).is_none_or(|process| process.start == start)
}

fn send(pid: i32, start: u64, signal: Signal) {
    if is_or_was(pid, start) && killpg(Pid::from_raw(pid), signal) == Err(Errno::ESRCH) {
        // It is about to lead a group.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn name(pid: i32, start: u64) -> String {
    format!("{pid}-{start}")
}

fn parse(name: &str) -> Option<(i32, u64)> {
    let (pid, start) = name.split_once('-')?;
    let pid = pid.parse().ok()?;
    // 0 and below mean other things to kill(2); 1 is the machine.
    (pid > 1).then_some((pid, start.parse().ok()?))
}

/// The recorded leaders that still are the processes that were recorded. A group whose leader has
/// gone may be another's by now, and only what is marked in it is known to be a pod's.
fn still_there(recorded: &[(i32, u64)], processes: &[Process]) -> Vec<(i32, u64)> {
    let there = |(pid, start): &&(i32, u64)| {
        let recorded = Process {
            pid: *pid,
            start: *start,
        };
        processes.contains(&recorded)
    };
    recorded.iter().filter(there).copied().collect()
}

/// Kills every process whose mark is one of these, until there is none.
fn sweep(marked: &dyn Fn(&[u8]) -> bool) {
    for _ in 0..MAX_KILL_ATTEMPTS {
        if !kill_marked(marked) {
            return;
        }
        std::thread::sleep(KILL_POLL_INTERVAL);
    }
    tracing::error!("processes of pods do not end");
}

/// Kills what is marked, and answers whether there was any.
fn kill_marked(marked: &dyn Fn(&[u8]) -> bool) -> bool {
    let mut found = false;
    proc::visit(|pid| match proc::environment(pid) {
        // During `execve` it shows none, and may be one of them all the same.
        Some(it) if it.is_empty() => found |= proc::begins(pid),
        Some(it) if proc::has(&it, MARK, marked) => {
            found = true;
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        Some(_) | None => {}
    });
    found
}

#[cfg(test)]
mod tests;
