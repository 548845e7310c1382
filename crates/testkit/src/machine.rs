//! The machine that a test runs on: the checkout, and what it lets a test do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap().to_owned()
}

/// Whether a test can have these namespaces (flags of `unshare`), and the programs that it needs. Where
/// not, `what` is [skipped](skip).
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
    skip(&format!(
        "{what} cannot be tried: namespaces (root and `unshare`) {isolates}, missing programs {lacks:?}"
    ));
    false
}

/// Whether a program is installed, by running it with arguments that make it print its version.
pub fn is_installed(program: &str, version: &[&str]) -> bool {
    let ran = Command::new(program)
        .args(version)
        .stdin(Stdio::null())
        .output();
    ran.is_ok_and(|output| output.status.success())
}

/// Whether this is CI, where no test may be left out: `CI` is set, and not to nothing.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// Reports that a test is left out because something is missing, in one line that is the same everywhere.
///
/// # Panics
/// On CI, where a test that is left out would go unnoticed.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(
        !is_ci(),
        "{reason}; this is CI, where no test may be left out"
    );
    skip_even_on_ci(reason);
}

/// Reports that a test is left out as [`skip`] does, but on CI too: for what CI need not have.
pub fn skip_even_on_ci(reason: &str) {
    println!("SKIPPED: {reason}");
}
