//! What a crash leaves in a folder: `object_store` writes an object next to its place, as
//! `<object>#<number>`, and moves it there when it is whole. Such a file is in no listing, and nobody
//! else removes it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{Bucket, Provider, Result, fault};

impl Bucket {
    /// Removes what was left by writers that ended in the middle of it, where the bucket is a folder:
    /// files that are not objects yet and to which nothing was written for `idle`. Only `places` are
    /// looked at, objects or folders of them, relative to the prefix: whatever else is in the folder
    /// is somebody else's. Says how many it were.
    ///
    /// A writer that comes back after so long finds its file gone, and fails.
    ///
    /// # Errors
    /// [`Error::ReadOnly`](crate::Error::ReadOnly); [`Error::Refused`](crate::Error::Refused) when the
    /// folder cannot be read or a file not be removed.
    pub async fn clean_staging(&self, places: &[&str], idle: Duration) -> Result<u64> {
        let Provider::Local { path } = &self.config().provider else {
            return Ok(0);
        };
        self.inner.to_write("staging")?;
        let prefix = &self.config().prefix;
        let places: Vec<PathBuf> = places
            .iter()
            .map(|place| path.join(format!("{prefix}{place}")))
            .collect();
        let cleaned = tokio::task::spawn_blocking(move || {
            let mut removed = 0;
            for place in places {
                removed += clean(&place, idle)?;
            }
            Ok::<u64, io::Error>(removed)
        });
        let cleaned = cleaned
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        cleaned.map_err(|error| fault::refused(self.config(), &path.display().to_string(), error))
    }
}

/// The files of one object, or of all in a folder.
fn clean(place: &Path, idle: Duration) -> io::Result<u64> {
    let mut removed = 0;
    let mut folders = vec![place.to_owned()];
    if let (Some(parent), Some(name)) = (place.parent(), place.file_name()) {
        let of_it = |entry: &fs::DirEntry| {
            let found = entry.file_name();
            let staged = found.to_str().and_then(object_of);
            staged.is_some_and(|object| Some(object) == name.to_str())
        };
        for entry in entries(parent)? {
            let entry = entry?;
            if of_it(&entry) {
                removed += remove_if_idle(&entry, idle)?;
            }
        }
    }
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder)? {
            let entry = entry?;
            // Links are followed by nobody.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_str().and_then(object_of).is_some() {
                removed += remove_if_idle(&entry, idle)?;
            }
        }
    }
    Ok(removed)
}

/// The entries of a folder; none where there is no such folder.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None.into_iter().flatten())
        }
        Err(error) => Err(error),
    }
}

/// The object that a file of this name is to become.
fn object_of(name: &str) -> Option<&str> {
    let (object, number) = name.rsplit_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
    (is_number && !object.is_empty()).then_some(object)
}

fn remove_if_idle(entry: &fs::DirEntry, idle: Duration) -> io::Result<u64> {
    let gone = |error: io::Error| match error.kind() {
        // Its writer has put it into its place, or another node was faster.
        ErrorKind::NotFound => Ok(0),
        _ => Err(error),
    };
    let about = match entry.metadata() {
        Ok(about) => about,
        Err(error) => return gone(error),
    };
    // A file from the future is of a clock that was set back, and stays.
    let age = SystemTime::now().duration_since(about.modified()?);
    if !about.is_file() || !age.is_ok_and(|age| age >= idle) {
        return Ok(0);
    }
    match fs::remove_file(entry.path()) {
        Ok(()) => Ok(1),
        Err(error) => gone(error),
    }
}

#[cfg(test)]
mod tests;
