//! Whatever a lab has started, found again when nobody holds it any more.
//!
//! Every process of a lab ends with its parent. One that is stopped (SIGSTOP) when the parent dies
//! cannot see it; nor can a program that is not ours. All of them carry the lab's folder in a
//! variable of their environment, by which they are found.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable that every process of a lab has: its folder.
pub const MARK: &str = "BACKSTAY_LAB";

/// The variable that the agent gives to whatever runs in a pod: a folder in the lab's.
const POD: &str = "BACKSTAY_POD";

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

/// The processes of the lab in this folder, but this one.
pub fn processes(folder: &Path) -> Vec<i32> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| *name != own)
        .filter_map(|name| name.parse().ok())
        .filter(|pid: &i32| {
            // Those of others cannot be read, and are not ours.
            let environment = std::fs::read(PathBuf::from(format!("/proc/{pid}/environ")));
            environment.is_ok_and(|environment| is_of(&environment, folder))
        })
        .collect()
}

/// Whether an environment, as `/proc` has it, is that of a process of the lab in this folder.
fn is_of(environment: &[u8], folder: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    environment.split(|byte| *byte == 0).any(|variable| {
        let Some(at) = variable.iter().position(|byte| *byte == b'=') else {
            return false;
        };
        let (name, value) = variable.split_at(at);
        let value = Path::new(std::ffi::OsStr::from_bytes(
            value.get(1..).unwrap_or_default(),
        ));
        match name {
            name if name == MARK.as_bytes() => value == folder,
            name if name == POD.as_bytes() => value.starts_with(folder),
            _ => false,
        }
    })
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
