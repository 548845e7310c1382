//! Programs, nodes as child processes, and what the kernel says of processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Failure;

/// The `backstay` binary: the given one, or the one next to this program.
pub(crate) fn program(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let program = match given {
        Some(given) => given.to_owned(),
        None => std::env::current_exe()?.with_file_name("backstay"),
    };
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::Missing(format!(
        "there is no {}; build it with `cargo build --release -p backstay-cli`, or give --program",
        program.display()
    )))
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    // Servers are not on everyone's path.
    let all = folders.chain(["/usr/sbin".into(), "/sbin".into()]);
    all.map(|it: PathBuf| it.join(program))
        .find(|it| it.is_file())
}

/// A program that runs another one on one core only.
pub(crate) fn pinned(program: &Path, core: u32, folder: &Path) -> Result<PathBuf, Failure> {
    let script = folder.join("pinned");
    let program = program.canonicalize()?;
    let text = format!(
        "#!/bin/sh\nexec taskset -c {core} '{}' \"$@\"\n",
        program.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// Keeps this program with all its threads on one core.
pub(crate) fn pin_self(core: u32) -> Result<(), Failure> {
    let id = std::process::id().to_string();
    let set = Command::new("taskset")
        .args(["-a", "-c", "-p", &core.to_string(), &id])
        .stdout(Stdio::null())
        .status();
    match set {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Failed(format!("taskset: {status}"))),
        Err(error) => Err(Failure::Missing(format!(
            "taskset is not to be run ({error}); get it with `apt-get install util-linux`"
        ))),
    }
}

/// User and system time of a process, all its threads together.
pub(crate) fn cpu_of(id: u32) -> Result<Duration, Failure> {
    times(&format!("/proc/{id}/stat"), 11)
}

/// The same of all children of this process that have ended and were waited for.
pub(crate) fn cpu_of_children() -> Result<Duration, Failure> {
    times("/proc/self/stat", 13)
}

/// Two neighbouring times of a `stat` file, added; `field` counts from behind the name.
fn times(path: &str, field: usize) -> Result<Duration, Failure> {
    let wrong = || Failure::Failed(format!("{path} is not as proc(5) has it"));
    let text = fs::read_to_string(path)?;
    let (_, fields) = text.rsplit_once(") ").ok_or_else(wrong)?;
    let mut fields = fields.split(' ').skip(field);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let ticks = next().zip(next()).map(|(user, system)| user + system);
    Ok(Duration::from_secs_f64(
        ticks.ok_or_else(wrong)? as f64 / ticks_per_second()?,
    ))
}

fn ticks_per_second() -> Result<f64, Failure> {
    let output = Command::new("getconf").arg("CLK_TCK").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.trim().parse::<f64>()?)
}
