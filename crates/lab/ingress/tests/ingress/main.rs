//! The proxy as the world sees it: a Kubernetes API on a socket, servers as pods on loopback
//! addresses of their own, and `curl`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod drain;
mod failures;
mod load;
mod malformed;
mod pod;
mod proxy;
mod region;
mod routing;
mod streams;
mod tls;
