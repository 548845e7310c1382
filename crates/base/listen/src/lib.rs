//! Listens for HTTP/1.1, with TLS or without, and lets nobody hold up the others.
//!
//! `axum::serve` accepts without end, has no deadline for a request's head, and knows no TLS. Every
//! server needs the same few things around it, so they are here once:
//! - so many connections at a time, and so many of one address. Beyond that, one with a request
//!   takes the place of one without, or is answered 503; probes are answered in any case (see
//!   `places`);
//! - TLS handshakes beside each other, each with a deadline; the certificate can be exchanged while
//!   connections are open, and is when its files change ([`Tls`]);
//! - a deadline and a limit for the head of a request, a least rate for its body, and a deadline
//!   for a client that takes nothing of what it is sent;
//! - a client that is refused during its request is read on for a while, so that it gets to see the
//!   refusal;
//! - probes are answered on a thread of their own where the handlers of others may keep all threads
//!   busy ([`Server::serve_on_own_thread`]);
//! - an end: nothing new is accepted, requests under way are answered, what is still open at the
//!   deadline is cut;
//! - what is refused is counted, and the log is told ([`Refusals`]).
//!
//! [`Server`] is all of that; [`share_of_files`] makes room for so many connections.

mod certificate;
mod connection;
mod exchange;
mod exposition;
mod files;
mod limits;
mod places;
mod rate;
mod refusals;
mod relay;
mod rest;
mod seat;
mod server;
mod tls;

pub use certificate::CertificateError;
pub use exchange::Peer;
pub use exposition::exposition;
pub use files::{allow_files, share_of_files};
pub use limits::{LeastRate, Limits};
pub use refusals::{Refusal, Refusals};
pub use server::Server;
pub use tls::{Tls, server_config, server_config_by};
