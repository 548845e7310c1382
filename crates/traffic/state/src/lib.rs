//! What must survive a restart: one file for each part of it, always whole.
//!
//! A change is written to a file next to it, synced, and renamed over it, and the folder is synced:
//! whenever the process is killed, the file is the old or the new one. A lock next to it keeps a
//! second process away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::sync::OwnedMutexGuard;

/// The form of the files; another one is refused instead of being misread.
const VERSION: u32 = 1;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file or its folder cannot be used.
    #[error(
        "{path}: the state cannot be kept here: {source}; make the folder writable or give another with --state"
    )]
    File {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
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
        "{path}: this is not a valid state of a traffic manager: {problem}; restore it from a backup, or move it away to start with nothing"
    )]
    Content {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What is wrong, in words for the message.
        problem: String,
    },
}

/// Why a change could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// The change was refused by whoever makes it, and nothing was written.
    #[error("{0}")]
    Refused(E),
    /// It could not be made durable.
    #[error("the state cannot be written: {0}")]
    Write(#[source] io::Error),
    /// It ended in the middle.
    #[error("the change was broken off")]
    BrokenOff,
}

/// What is kept in a file.
pub trait Content: Default + Send + 'static {
    /// As it is written.
    ///
    /// # Errors
    /// When it cannot be.
    fn written(&self, version: u32) -> serde_json::Result<Vec<u8>>;

    /// From what was written.
    ///
    /// # Errors
    /// When it is of another form.
    fn read(bytes: &[u8]) -> serde_json::Result<Self>;
}

#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// A file, for this process alone.
#[derive(Debug)]
pub struct StateFile<C> {
    path: PathBuf,
    content: PhantomData<fn() -> C>,
    /// Held as long as this lives; the system frees it when the process ends, however it ends.
    _lock: File,
}

impl<C: Content> StateFile<C> {
    /// Takes the file, and reads it if it is there.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read.
    pub fn open(path: &Path) -> Result<(Self, C), StateError> {
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
            Err(error) if error.kind() == ErrorKind::NotFound => C::default(),
            Err(source) => return Err(at(path)(source)),
        };
        let file = Self {
            path: path.to_owned(),
            content: PhantomData,
            _lock: lock,
        };
        Ok((file, saved))
    }

    /// Makes this durable. When it returns, it survives anything that the disk survives.
    ///
    /// # Errors
    /// When it cannot be written; it is then as it was.
    pub fn save(&self, content: &C) -> io::Result<()> {
        let bytes = content.written(VERSION)?;
        backstay_files::replace(&self.path, |file| file.write_all(&bytes))
    }
}

/// Writes on a thread that may wait for the disk.
///
/// # Errors
/// As [`StateFile::save`].
pub async fn save<C: Content>(
    file: OwnedMutexGuard<StateFile<C>>,
    content: C,
) -> io::Result<OwnedMutexGuard<StateFile<C>>> {
    let written = tokio::task::spawn_blocking(move || file.save(&content).map(|()| file));
    written.await.map_err(io::Error::other)?
}

/// Custom headers and webhooks may hold credentials, so the file is its owner's alone.
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

fn parse<C: Content>(bytes: &[u8]) -> Result<C, String> {
    let form: Form = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if form.version != VERSION {
        return Err(format!(
            "its form is {}, and this program knows {VERSION}",
            form.version
        ));
    }
    C::read(bytes).map_err(|error| error.to_string())
}
