//! The configuration on disk: one file, always whole.
//!
//! A change is written to a file beside it, synced, and renamed over it, and the folder is synced:
//! whenever the process is killed, the file is the old or the new one. A lock beside it keeps a
//! second process away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::profile::Profile;

/// The form of the file; another one is refused instead of being misread.
const VERSION: u32 = 1;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file or its folder cannot be used.
    #[error(
        "{path}: the state cannot be kept here: {source}; make the folder writable or give another with --state"
    )]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "{path}: another traffic manager uses this state; stop it, or give another with --state"
    )]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// It is not ours.
    #[error(
        "{path}: this is no state of a traffic manager: {problem}; restore it from a backup, or move it away to start with nothing"
    )]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// What is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    /// By resource id in lower case.
    pub(crate) profiles: BTreeMap<String, Arc<Profile>>,
    /// Endpoints that were degraded (resource ids in lower case): a restart does not send traffic
    /// to what was known to be dead.
    pub(crate) degraded: BTreeSet<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    profiles: Vec<&'a Profile>,
    degraded: &'a BTreeSet<String>,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    profiles: Vec<Profile>,
    degraded: BTreeSet<String>,
}

/// The file, for this process alone.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// Held as long as this lives; the system frees it when the process ends, however it ends.
    _lock: File,
}

impl StateFile {
    /// Takes the file, and reads it if it is there.
    pub(crate) fn open(path: &Path) -> Result<(Self, Saved), StateError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StateError::File { path, source }
        };
        let folder = folder(path);
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        let lock_path = beside(path, "lock");
        let lock = private()
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::Locked { path: lock_path }),
            Err(TryLockError::Error(source)) => return Err(at(&lock_path)(source)),
        }
        let saved = match std::fs::read(path) {
            Ok(bytes) => parse(&bytes).map_err(|problem| StateError::Content {
                path: path.to_owned(),
                problem,
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Saved::default(),
            Err(source) => return Err(at(path)(source)),
        };
        let file = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((file, saved))
    }

    /// Makes this durable. When it returns, it survives anything that the disk survives.
    pub(crate) fn save(&self, saved: &Saved) -> io::Result<()> {
        let bytes = serde_json::to_vec(&Written {
            version: VERSION,
            profiles: saved.profiles.values().map(Arc::as_ref).collect(),
            degraded: &saved.degraded,
        })?;
        let new = beside(&self.path, "new");
        let mut file = private().create(true).truncate(true).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&new, &self.path)?;
        File::open(folder(&self.path))?.sync_all()
    }
}

/// Custom headers may hold credentials, so the file is its owner's alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn parse(bytes: &[u8]) -> Result<Saved, String> {
    let read: Read = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if read.version != VERSION {
        return Err(format!(
            "its form is {}, and this program knows {VERSION}",
            read.version
        ));
    }
    let profiles = read.profiles.into_iter();
    Ok(Saved {
        profiles: profiles
            .map(|it| (it.id().to_ascii_lowercase(), Arc::new(it)))
            .collect(),
        degraded: read.degraded,
    })
}

#[cfg(test)]
mod tests;
