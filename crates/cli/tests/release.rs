//! What a release consists of: the archive that `scripts/package` makes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;

use backstay_testkit::root;

/// Runs a script of the project in a folder, and gives what it prints.
fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A stand-in for the binary, since the debug binary takes ten seconds to pack: it answers with the real
/// one, and is a kilobyte.
fn small_binary(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("backstay");
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_backstay")
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn an_archive_has_the_binary_its_manual_and_completions_and_is_the_same_again() {
    let scratch = tempfile::tempdir().unwrap();
    let binary = small_binary(scratch.path());
    let (first, second) = (scratch.path().join("first"), scratch.path().join("second"));
    let pack = |dist: &Path| {
        let paths = [&binary, dist].map(|path| path.to_str().unwrap());
        let arguments = ["scripts/package", paths[0], "some-target", paths[1]];
        run("bash", &arguments, &root()).trim().to_owned()
    };
    let archive = pack(&first);
    let name = format!("backstay-{}-some-target", env!("CARGO_PKG_VERSION"));
    assert!(archive.ends_with(&format!("/{name}.tar.gz")), "{archive}");
    let sums = format!("{name}.tar.gz.sha256");
    run("sha256sum", &["--check", "--strict", &sums], &first);
    let listed = run("tar", &["--list", "--file", &archive], scratch.path());
    for file in [
        "bin/backstay",
        "share/man/man1/backstay-node.1",
        "completions/backstay.bash",
        "completions/backstay.zsh",
        "completions/backstay.fish",
        "LICENSE",
    ] {
        let path = format!("{name}/{file}");
        assert!(listed.lines().any(|line| line == path), "{path}: {listed}");
    }
    pack(&second);
    let sum = |dist: &Path| std::fs::read_to_string(dist.join(&sums)).unwrap();
    assert_eq!(sum(&first), sum(&second));
}

#[test]
fn a_tag_of_another_version_is_refused() {
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    run("bash", &["scripts/release-version", &version], &root());
    let mut command = Command::new("bash");
    let output = command
        .args(["scripts/release-version", "v99.0.0"])
        .current_dir(root())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("v99.0.0"));
}
