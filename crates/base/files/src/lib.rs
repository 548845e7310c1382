//! Files that only their owner can read and that are whole at any time: when the process is killed or
//! the machine loses its power, the next reader finds the old content, the new, or no file, and never
//! half of one. What a function here has returned from is on the disk, under its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Replaces a file, or makes it where there is none. `write` is given an empty draft next to it, called
/// `<name>.new`; a draft that a killed process has left behind is overwritten. For one writer at a
/// time.
///
/// # Errors
/// Those of `write`, or when the file cannot be replaced: it is then as it was, unless only the folder
/// could not be synced.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let draft = sibling(path, "new");
    write_draft(&draft, write)?;
    fs::rename(&draft, path)?;
    sync_folder(path)
}

/// Makes a file where there is none. Of several processes that do this at once one prevails, and the
/// others leave its file alone.
///
/// # Errors
/// Those of `write`, or when the file cannot be made.
pub fn create(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let draft = sibling(path, &format!("{}.new", std::process::id()));
    let written = write_draft(&draft, write).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&draft);
    written.and(removed)?;
    sync_folder(path)
}

fn write_draft(draft: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // One that was left behind would keep its own permissions.
    match fs::remove_file(draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    write(&mut file)?;
    file.sync_all()
}

/// Makes the name durable: it is kept in the folder, not in the file.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests;
