//! Humio's own Python client, unmodified, against a node.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "query/python.rs"]
mod python;
#[path = "query/server.rs"]
mod server;

use server::Server;

fn run(server: &Server, part: &str, more: &[&str]) {
    python::run(
        "tests/humiolib/client.py",
        server,
        &server.admin,
        part,
        more,
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
