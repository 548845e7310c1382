//! The name server: answers for the zone, from an immutable picture of it.
//!
//! [`query`] reads a query, [`zone`] holds every answer ready as bytes, [`respond()`] puts the two
//! together; none of them does I/O or takes a lock. [`udp`] and [`tcp`] carry the bytes, [`rate`]
//! keeps one source from taking what is everyone's.
//!
//! Names are read and written by `hickory-proto`; so is every message in the tests, in which it
//! judges what we send and what we accept. Queries themselves are read by the small parser here:
//! it makes no allocation, and answers a query in a fraction of the time that a general one needs
//! to build its tree. DNSSEC is not offered.

mod metrics;
#[cfg(any(test, feature = "oracle"))]
pub mod oracle;
pub mod query;
pub mod rate;
pub mod respond;
pub mod tcp;
pub mod udp;
pub mod zone;

pub use metrics::Metrics;
pub use respond::{Transport, respond};
pub use zone::{Pointer, Zone, ZoneBuilder};

/// The size of UDP messages that pass everywhere without fragments
/// (<https://www.dnsflagday.net/2020/>): what we offer to take, and the most we send.
pub const UDP_SIZE: usize = 1232;
/// What a client takes that says nothing (RFC 1035, 2.3.4).
pub const UDP_SIZE_WITHOUT_EDNS: usize = 512;

#[cfg(test)]
mod tests;
