//! The libraries that shippers are made of, unmodified, against a node.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::curl::{assert_event, found, one};
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
        "there is no {}; tests/run makes it, or set BACKSTAY_PYTHON to a Python that has what \
         tests/run installs",
        python.display()
    );
    python
}

/// Runs a part of the script, which must end well.
fn run(server: &Server, part: &str, token: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ingest/shippers.py");
    let python = python();
    let output = Command::new(&python)
        .arg(script)
        .args([server.url().as_str(), token, part])
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
fn elasticsearch_sends_in_bulk() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    run(&server, "elasticsearch", &token);
    assert_eq!(found(&server, "bulk and n=*").len(), 500);
    let fields = [("@rawstring", "bulk line 499"), ("host.name", "web1")];
    assert_event(&one(&server, "n=499"), 1_795_489_200_499, &fields);
}

#[test]
fn opentelemetry_exports_logs() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    run(&server, "opentelemetry", &token);
    for encoding in ["none", "gzip"] {
        let event = one(&server, &format!("encoding={encoding}"));
        assert_eq!(event["@rawstring"], format!("over {encoding}"));
        assert_eq!(event["resource.service.name"], "shop");
        assert_eq!(event["severity"], "WARN");
    }
}

#[test]
fn splunks_handler_sends_events() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    run(&server, "splunk", &token);
    assert_eq!(found(&server, "\"over hec\"").len(), 20);
    let event = one(&server, "\"over hec 7.\"");
    assert_eq!(event["@host"], "web1");
    assert_eq!(event["@sourcetype"], "text");
}
