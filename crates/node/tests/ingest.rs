//! Events in over real sockets, in each format that shippers speak: sent by `curl`, and by the
//! libraries that shippers are made of.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "ingest/backlog.rs"]
mod backlog;
#[path = "ingest/curl.rs"]
mod curl;
#[path = "ingest/damage.rs"]
mod damage;
#[path = "ingest/formats.rs"]
mod formats;
#[path = "ingest/idempotency.rs"]
mod idempotency;
#[path = "ingest/parsers.rs"]
mod parsers;
#[path = "ingest/probes.rs"]
mod probes;
#[path = "query/python.rs"]
mod python;
#[path = "ingest/refusals.rs"]
mod refusals;
#[path = "query/server.rs"]
mod server;
#[path = "ingest/shippers.rs"]
mod shippers;
