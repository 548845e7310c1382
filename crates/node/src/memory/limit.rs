//! How much memory this process may have: what its control group allows, or the machine has.

use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// When nothing can be found out: 1 GiB.
const FALLBACK_BYTES: u64 = 1 << 30;

/// Three quarters of the limit of the control group (version 1 or 2) or, where that sets none, of
/// the machine's memory. The rest is for the page cache and for neighbours.
pub fn default_budget() -> u64 {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    (limit(&read) / 4 * 3).max(super::MIN_BUDGET_BYTES)
}

/// The lowest of all limits, through `read`, which answers with the content of a file.
fn limit(read: &dyn Fn(&Path) -> Option<String>) -> u64 {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| machine_bytes(&text));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups)
        .into_iter()
        .filter_map(|file| group_bytes(&read(&file)?));
    limits.chain(machine).min().unwrap_or(FALLBACK_BYTES)
}

/// The files that may hold a limit: of the process's own group and of all groups above it, under
/// both versions. In a container its own group is mounted as if it were the topmost.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (root, file) = if controllers.is_empty() {
            (PathBuf::from(CGROUPS), "memory.max")
        } else if controllers.split(',').any(|it| it == "memory") {
            (Path::new(CGROUPS).join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        let own = Path::new(path.trim_start_matches('/'));
        files.extend(own.ancestors().map(|group| root.join(group).join(file)));
    }
    files
}

/// A group's limit; `None` when it has none, which version 1 says with a number beyond all memory.
fn group_bytes(text: &str) -> Option<u64> {
    let bytes: u64 = text.trim().parse().ok()?;
    (bytes > 0 && bytes < 1 << 62).then_some(bytes)
}

/// `MemTotal` of `/proc/meminfo`.
fn machine_bytes(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16303428 kB\nMemFree:  1 kB\n";
    const MACHINE_BYTES: u64 = 16_303_428 * 1024;

    #[test]
    fn the_lowest_limit_counts() {
        let v2 = "0::/system.slice/node.service\n";
        let v1 = "9:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n";
        const OWN: &str = "/sys/fs/cgroup/system.slice/node.service/memory.max";
        const ABOVE: &str = "/sys/fs/cgroup/system.slice/memory.max";
        const TOP: &str = "/sys/fs/cgroup/memory.max";
        const OLD: &str = "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes";
        const OLD_TOP: &str = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        const NONE: &str = "9223372036854771712\n";
        type Case = (&'static str, &'static [(&'static str, &'static str)], u64);
        #[rustfmt::skip]
        let cases: &[Case] = &[
            (v2, &[], MACHINE_BYTES),
            (v2, &[(OWN, "max\n"), (ABOVE, "max\n")], MACHINE_BYTES),
            (v2, &[(OWN, "1073741824\n")], 1 << 30),
            (v2, &[(OWN, "max\n"), (ABOVE, "2147483648\n")], 2 << 30),
            (v2, &[(OWN, "99999999999999\n")], MACHINE_BYTES),
            (v2, &[(TOP, "536870912\n")], 512 << 20),
            (v1, &[(OLD, NONE), (OLD_TOP, NONE)], MACHINE_BYTES),
            (v1, &[(OLD, "1073741824\n"), (OLD_TOP, NONE)], 1 << 30),
            (v1, &[(OLD_TOP, "1073741824\n")], 1 << 30),
            (v1, &[(OLD, "rubbish"), (TOP, "0")], MACHINE_BYTES),
            ("", &[(OWN, "1073741824")], MACHINE_BYTES),
            ("no colons\n::\n", &[], MACHINE_BYTES),
        ];
        for (groups, files, expected) in cases {
            let found = limit(&|path| match path.to_str()? {
                "/proc/meminfo" => Some(MEMINFO.to_owned()),
                "/proc/self/cgroup" => Some((*groups).to_owned()),
                other => {
                    let file = files.iter().find(|(name, _)| *name == other)?;
                    Some(file.1.to_owned())
                }
            });
            assert_eq!(found, *expected, "{groups:?} {files:?}");
        }
        assert_eq!(limit(&|_| None), FALLBACK_BYTES);
    }
}
