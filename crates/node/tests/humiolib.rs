//! Humio's own Python client, unmodified, against a node.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "query/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;

use server::Server;

/// The Python that has the client.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("BACKSTAY_PYTHON") {
        return python.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/tools/venv/bin/python");
    assert!(
        python.exists(),
        "there is no {}; make it from the workspace's root with `python3 -m venv \
         target/tools/venv && target/tools/venv/bin/pip install humiolib==0.2.6`, or set \
         BACKSTAY_PYTHON to a Python that has humiolib 0.2.6",
        python.display()
    );
    python
}

/// Runs a part of the script, which must end well.
fn run(server: &Server, part: &str, more: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/humiolib/client.py");
    let python = python();
    let output = Command::new(&python)
        .arg(script)
        .args([server.url().as_str(), server.admin.as_str(), part])
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

#[test]
fn it_searches() {
    let server = Server::start();
    let lines = [(1000, "error one"), (2000, "error two"), (3000, "fine")];
    server.ingest("humio", &lines);
    run(&server, "search", &[]);
}

#[test]
fn it_administers_users() {
    run(&Server::start(), "users", &[]);
}

#[test]
fn it_sends_events_and_finds_them() {
    let server = Server::start();
    let made = server.data(
        "mutation { addIngestTokenV3(input: {repositoryName: \"humio\", name: \"test\"}) { token } }",
        &serde_json::Value::Null,
    );
    let token = made["addIngestTokenV3"]["token"].as_str().unwrap();
    run(&server, "ingest", &[token]);
}
