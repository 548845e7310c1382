//! Client libraries from PyPI (`tests/requirements.txt`), driven by scripts next to the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::Server;

/// The Python that has the libraries.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("BACKSTAY_PYTHON") {
        return python.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/tools/venv/bin/python");
    assert!(
        python.exists(),
        "there is no {}; tests/run makes it, or set BACKSTAY_PYTHON to a Python that has what is \
         in tests/requirements.txt",
        python.display()
    );
    python
}

/// Runs a part of a script, which must end well. It gets the node's address, a token, the part,
/// and more.
pub fn run(script: &str, server: &Server, token: &str, part: &str, more: &[&str]) {
    let python = python();
    let output = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
        .args([server.url().as_str(), token, part])
        .args(more)
        .env("NO_PROXY", "*")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(
        output.status.success(),
        "{part}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
