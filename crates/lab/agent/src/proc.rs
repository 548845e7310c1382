//! The processes of this machine, as `/proc` shows them (`proc(5)`).

use std::collections::HashSet;

/// A process, and what tells it from a later one of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// When it was started, in ticks since the machine was.
    pub start: u64,
}

/// The process with this id, also when it has ended and nobody has taken note of it.
pub(crate) fn process(pid: i32) -> Option<Process> {
    parse(
        pid,
        &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
    )
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The name, in parentheses, may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // The start is the 22nd field, and the state, which comes after the name, is the 3rd.
    let start = fields.nth(19)?.parse().ok()?;
    Some(Process { pid, start })
}

/// All processes.
pub fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// Looks at every process, those that come meanwhile too.
///
/// A list is not enough: one that is on it may have ended by the time that it is looked at, and left a
/// child that came too late for the list. That child is on the next one; so nobody was missed when a
/// list has nobody who was not looked at.
pub fn visit(mut look: impl FnMut(i32)) {
    let mut seen = HashSet::new();
    loop {
        let mut new = processes();
        new.retain(|process| seen.insert(*process));
        if new.is_empty() {
            return;
        }
        for process in new {
            look(process.pid);
        }
    }
}

/// Whether a process is in the middle of `execve`: it has memory, and no environment in it yet. Until
/// then `/proc` shows an empty one (Linux, `fs/proc/base.c`, `environ_read`: "Ensure the process
/// spawned far enough to have an environment"). What was started without any has a place for it.
pub(crate) fn begins(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| no_place_yet(&stat))
}

fn no_place_yet(stat: &str) -> bool {
    let Some((_, behind)) = stat.rsplit_once(')') else {
        return false;
    };
    let fields: Vec<&str> = behind.split_whitespace().collect();
    // `vsize` is the 23rd and `env_end` the 51st; what comes after the name is the 3rd.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    field(23).is_some_and(|vsize| vsize > 0) && field(51) == Some(0)
}

/// What a process was started with: `name=value`, each ended by a zero byte. `None` for a process
/// that has gone, or that is somebody else's.
pub fn environment(pid: i32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

/// Whether an environment has a variable whose value fits.
pub fn has(environment: &[u8], name: &str, fits: &dyn Fn(&[u8]) -> bool) -> bool {
    environment.split(|byte| *byte == 0).any(|variable| {
        variable
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            .is_some_and(fits)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest() {
        let stat = "77 (a) S 1 (b) S 1 55 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        assert_eq!(
            parse(77, stat),
            Some(Process {
                pid: 77,
                start: 987_654
            })
        );
    }

    #[test]
    fn a_process_without_an_environment_has_begun_and_one_in_execve_has_not() {
        let fields = |vsize: &str, env_end: &str| {
            let mut fields = vec!["0"; 50];
            fields[0] = "R";
            fields[20] = vsize;
            fields[48] = env_end;
            format!("77 (a b) {}", fields.join(" "))
        };
        assert!(no_place_yet(&fields("4096", "0")));
        assert!(!no_place_yet(&fields("4096", "140736")));
        // A zombie, or the kernel's own.
        assert!(!no_place_yet(&fields("0", "0")));
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .env_clear()
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while begins(pid) {}
        assert_eq!(environment(pid), Some(Vec::new()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!begins(i32::try_from(std::process::id()).unwrap()));
    }

    #[test]
    fn this_process_is_there() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let this = process(pid).unwrap();
        assert!(this.start > 0);
        assert!(processes().contains(&this));
        let path = std::env::var("PATH").unwrap();
        let environment = environment(pid).unwrap();
        assert!(has(&environment, "PATH", &|value| value == path.as_bytes()));
        assert!(!has(&environment, "PAT", &|_| true));
    }

    proptest! {
        #[test]
        fn any_text_is_read(stat in any::<String>()) {
            let _ = parse(1, &stat);
            let _ = no_place_yet(&stat);
        }
    }
}
