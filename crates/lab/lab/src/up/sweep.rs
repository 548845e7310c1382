//! Whatever a lab has started, found again when nobody holds it any more.
//!
//! Every process of a lab ends with its parent. One that is stopped (SIGSTOP) when the parent dies
//! cannot see it; nor can a program that is not ours. All of them carry the lab's folder in a
//! variable of their environment, by which they are found.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use backstay_agent::{MARK as POD, proc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable that every process of a lab has: its folder.
pub const MARK: &str = "BACKSTAY_LAB";

/// SIGKILL to every process of the lab in this folder. Returns how many there were. Where there is
/// no `/proc`, none is found.
pub fn sweep(folder: &Path) -> usize {
    let mut killed = 0;
    // A process that is about to die may start another; the second round finds it.
    for _ in 0..2 {
        for pid in processes(folder) {
            if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
                killed += 1;
            }
        }
    }
    killed
}

/// SIGKILL to the process that holds the lab in this folder, if one does. Returns whether one did.
pub fn kill_supervisor(folder: &Path) -> bool {
    let path = folder.join("lock");
    let is_held = File::open(&path).is_ok_and(|lock| lock.try_lock().is_err());
    let pid = std::fs::read_to_string(&path).ok();
    let pid = pid.and_then(|text| text.trim().parse::<i32>().ok());
    match pid {
        // A lock that nobody holds may name a process that has ended, and a later one by its id.
        Some(pid) if is_held && pid > 1 => kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok(),
        _ => false,
    }
}

/// The processes of the lab in this folder, but this one.
pub fn processes(folder: &Path) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).ok();
    let mut found = Vec::new();
    proc::visit(|pid| {
        let ours = || proc::environment(pid).is_some_and(|it| is_of(&it, folder));
        if Some(pid) != own && ours() {
            found.push(pid);
        }
    });
    found
}

/// Whether an environment is that of a process of the lab in this folder, or of a pod in it.
fn is_of(environment: &[u8], folder: &Path) -> bool {
    let path = |value: &[u8]| Path::new(OsStr::from_bytes(value)).to_owned();
    proc::has(environment, MARK, &|value| path(value) == folder)
        || proc::has(environment, POD, &|value| path(value).starts_with(folder))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_of;

    #[test]
    fn a_process_is_told_by_its_mark_alone() {
        let lab = Path::new("/s/lab");
        let table: [(&[u8], bool); 8] = [
            (b"A=1\0BACKSTAY_LAB=/s/lab\0B=2\0", true),
            (b"BACKSTAY_POD=/s/lab/primary/agent/pods/x\0", true),
            (b"BACKSTAY_LAB=/s/lab2\0", false),
            (b"BACKSTAY_POD=/s/lab2/x\0", false),
            (b"PWD=/s/lab\0KUBECONFIG=/s/lab/kubeconfig\0", false),
            (b"BACKSTAY_LAB_DIR=/s/lab\0", false),
            (b"BACKSTAY_LAB\0\xff\xfe=\0=\0", false),
            (b"", false),
        ];
        for (environment, expected) in table {
            assert_eq!(is_of(environment, lab), expected, "{environment:?}");
        }
    }
}
