//! The state as a plain file in the data folder: for the operator, who looks with `head -60`, and
//! for the next start on the same disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::snapshot::{SnapshotError, document};
use crate::state::State;

/// Name of the local copy's file in the data folder.
pub const MIRROR_FILE: &str = "global-data-snapshot.json";

/// Writes the state to the data folder; the file is replaced at once or not at all.
///
/// # Errors
/// When the folder cannot be written to.
pub async fn mirror(data_dir: &Path, state: &State) -> Result<(), SnapshotError> {
    let path = data_dir.join(MIRROR_FILE);
    let state = state.clone();
    let of = path.clone();
    let written = tokio::task::spawn_blocking(move || replace(&of, &state)).await;
    match written {
        Ok(result) => result.map_err(|source| SnapshotError::File { path, source }),
        Err(error) => Err(SnapshotError::Worker {
            object: path.display().to_string(),
            detail: error.to_string(),
        }),
    }
}

/// Users and token hashes are nobody else's business: only the owner can read it.
fn replace(path: &Path, state: &State) -> std::io::Result<()> {
    backstay_files::replace(path, |file| {
        let mut out = BufWriter::with_capacity(256 << 10, file);
        document::write(state, &mut out)?;
        out.flush()?;
        backstay_failpoint::hit("snapshot.mirror.before_rename");
        Ok(())
    })?;
    backstay_failpoint::hit("snapshot.mirror.after_rename");
    Ok(())
}

/// Reads the state from the data folder; `None` if there is none.
///
/// # Errors
/// When the file cannot be read or is not a whole snapshot.
pub async fn read_mirror(data_dir: &Path) -> Result<Option<State>, SnapshotError> {
    let path: PathBuf = data_dir.join(MIRROR_FILE);
    let of = path.clone();
    let read = tokio::task::spawn_blocking(move || match File::open(&of) {
        Ok(file) => match document::read(file) {
            Ok(state) => Ok(Some(state)),
            Err(source) => Err(SnapshotError::Document {
                object: of.display().to_string(),
                source,
            }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SnapshotError::File { path: of, source }),
    });
    read.await.unwrap_or_else(|error| {
        Err(SnapshotError::Worker {
            object: path.display().to_string(),
            detail: error.to_string(),
        })
    })
}
