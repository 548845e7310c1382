//! The machine that a test runs on: the checkout, and what it lets a test do.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap().to_owned()
}

/// Whether a test can have these namespaces (flags of `unshare`), and the programs that it needs. Where
/// not, it says that `what` is left out; with CI set that is a failure.
pub fn can_isolate(what: &str, namespaces: &[&str], programs: &[&str]) -> bool {
    let mut probe = Command::new("unshare");
    probe.args(namespaces);
    probe.args(["ip", "link", "set", "lo", "up"]);
    let isolates = probe.output().is_ok_and(|output| output.status.success());
    let lacks: Vec<_> = programs
        .iter()
        .filter(|program| Command::new(program).arg("--version").output().is_err())
        .collect();
    if isolates && lacks.is_empty() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{what} cannot be tried: namespaces {isolates}, absent: {lacks:?}"
    );
    eprintln!("SKIPPED: no namespaces for a test (root and `unshare`), or no {lacks:?}");
    false
}
