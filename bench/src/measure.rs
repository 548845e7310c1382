//! Taking times, and what the kernel says about memory.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Failure;

/// Runs something and tells how long it took.
pub(crate) async fn timed<T, E>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<(T, Duration), E> {
    let begun = Instant::now();
    let result = work.await?;
    Ok((result, begun.elapsed()))
}

/// The middle one; of an even number, the slower of the two in the middle.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The longest.
pub(crate) fn worst(times: impl Iterator<Item = Duration>) -> Duration {
    times.max().unwrap_or_default()
}

/// Peak memory of this process in bytes (`VmHWM`), where the kernel tells.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Makes the kernel forget files; `false` where it does not let us.
pub(crate) fn forget_files() -> bool {
    // Only clean pages are forgotten.
    let synced = Command::new("sync").status().is_ok_and(|it| it.success());
    synced && fs::write(Path::new("/proc/sys/vm/drop_caches"), "3").is_ok()
}

/// Bytes of the files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() {
            bytes_below(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(sum)
}
