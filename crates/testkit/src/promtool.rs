//! `promtool check metrics`, from Debian's package `prometheus`: it parses an exposition as Prometheus
//! does, and finds metrics without help, with odd names or units.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// Fails with what promtool reports of an exposition in the text format. [Skipped](crate::skip) where
/// there is no promtool.
pub fn check(exposition: &str) {
    assert!(exposition.contains("# HELP "), "no metrics: {exposition}");
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            crate::skip("promtool is not installed; it is in Debian's package prometheus");
            return;
        }
        Err(error) => panic!("promtool cannot be started: {error}"),
    };
    // It reads all before it says anything.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(exposition.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}\nin\n{exposition}");
}
