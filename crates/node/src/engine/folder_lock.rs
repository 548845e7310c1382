//! One process a data folder: the folder is locked for as long as the process lives, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::api::EngineError;

/// The file that is locked; it has the process id of who holds it.
const LOCK_FILE: &str = "node.lock";

/// The data folder, held.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder, and takes it.
    ///
    /// # Errors
    /// When it cannot be used, or another process has it.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, EngineError> {
        let failed = |source| EngineError::DataDir {
            path: data_dir.to_owned(),
            source,
        };
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let mut file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(data_dir.join(LOCK_FILE))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whoever has just taken it has not written its id yet.
                let read = file.read_to_string(&mut holder);
                let holder = holder.trim();
                return Err(EngineError::DataDirInUse {
                    path: data_dir.to_owned(),
                    holder: match read {
                        Ok(_) if !holder.is_empty() => holder.to_owned(),
                        _ => "of an unknown id".to_owned(),
                    },
                });
            }
            // Some network file systems have no locks. A second process is noticed by its first
            // heartbeat then.
            Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                tracing::warn!(%error, folder = %data_dir.display(), "the data folder cannot be locked");
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            // A full disk, say: held all the same.
            tracing::warn!(%error, "the process id is not in {LOCK_FILE}");
        }
        Ok(Self { _file: file })
    }
}

fn is_unsupported(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::Unsupported
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_second_process_is_told_who_holds_the_folder_until_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = FolderLock::take(&data).unwrap();
        let refused = FolderLock::take(&data).unwrap_err();
        let pid = std::process::id().to_string();
        assert!(
            matches!(&refused, EngineError::DataDirInUse { holder, .. } if *holder == pid),
            "{refused}"
        );
        let again = FolderLock::take(&data).unwrap_err();
        assert!(
            matches!(again, EngineError::DataDirInUse { .. }),
            "a refusal takes nothing away"
        );
        drop(first);
        FolderLock::take(&data).unwrap();
    }
}
