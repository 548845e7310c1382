//! The libraries that shippers are made of, unmodified, against a node.

use crate::curl::{assert_event, found, one};
use crate::python;
use crate::server::Server;

fn run(server: &Server, part: &str, token: &str) {
    python::run("tests/ingest/shippers.py", server, token, part, &[]);
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
