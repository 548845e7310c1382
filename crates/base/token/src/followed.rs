//! A file that may be replaced while a server runs: what was read from it is read again when it has
//! changed.

use std::fmt::Display;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often it is looked at, when it is asked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What a file holds, followed. When the file is gone or no longer good, what it held last stays, and
/// the log says so.
pub struct Followed<T, E> {
    path: PathBuf,
    read: fn(&Path) -> Result<T, E>,
    every: Duration,
    state: Mutex<Seen<T>>,
}

struct Seen<T> {
    value: Arc<T>,
    stamp: Option<Stamp>,
    looked: Instant,
}

/// What tells a file from the one that was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(it: Metadata) -> Self {
        Self {
            inode: (it.dev(), it.ino()),
            size: it.size(),
            written: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().map(Stamp::from)
}

impl<T, E: Display> Followed<T, E> {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// What `read` says.
    pub fn new(path: &Path, read: fn(&Path) -> Result<T, E>) -> Result<Self, E> {
        Self::every(path, read, POLL_INTERVAL)
    }

    pub(crate) fn every(
        path: &Path,
        read: fn(&Path) -> Result<T, E>,
        every: Duration,
    ) -> Result<Self, E> {
        // Before it is read: what is written meanwhile is looked at again.
        let stamp = stamp(path);
        Ok(Self {
            path: path.to_owned(),
            read,
            every,
            state: Mutex::new(Seen {
                value: Arc::new(read(path)?),
                stamp,
                looked: Instant::now(),
            }),
        })
    }

    /// What it holds now, or a second ago.
    pub fn get(&self) -> Arc<T> {
        let mut seen = self.state.lock();
        if seen.looked.elapsed() >= self.every {
            seen.looked = Instant::now();
            let now = stamp(&self.path);
            if now != seen.stamp {
                seen.stamp = now;
                let file = self.path.display();
                match (self.read)(&self.path) {
                    Ok(value) => {
                        seen.value = Arc::new(value);
                        tracing::info!(%file, "a secret's file was read again");
                    }
                    Err(error) => {
                        tracing::warn!(%file, "what the file held before is used: {error}");
                    }
                }
            }
        }
        Arc::clone(&seen.value)
    }
}
