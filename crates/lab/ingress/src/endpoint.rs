//! A pod's address, and what is going on there. It outlives the table of routes that it is in: a
//! pod that goes is in no new table, and what it is answering ends in its own time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::choose::Candidate;

/// For so long others are preferred to one that did not take a connection.
const AVOID_AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Where requests can be sent.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    in_flight: AtomicUsize,
    refused: Mutex<Option<Instant>>,
}

impl Endpoint {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn candidate(&self, tried: bool) -> Candidate {
        Candidate {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            tried,
            refused: self
                .refused
                .lock()
                .is_some_and(|at| at.elapsed() < AVOID_AFTER_REFUSAL),
        }
    }

    /// It took no connection just now.
    pub(crate) fn refused(&self) {
        *self.refused.lock() = Some(Instant::now());
    }

    /// Counts one request in flight until the answer is dropped.
    pub(crate) fn enter(self: Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }
}

/// A request that an endpoint is answering.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Endpoint>);

impl InFlight {
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All endpoints there are, so that a new table goes on with the counts of the one before.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(HashMap<SocketAddr, Weak<Endpoint>>);

impl Endpoints {
    /// The one at this address.
    pub(crate) fn at(&mut self, address: SocketAddr) -> Arc<Endpoint> {
        if let Some(known) = self.0.get(&address).and_then(Weak::upgrade) {
            return known;
        }
        let endpoint = Arc::new(Endpoint {
            address,
            in_flight: AtomicUsize::new(0),
            refused: Mutex::new(None),
        });
        self.0.insert(address, Arc::downgrade(&endpoint));
        endpoint
    }

    /// Forgets those that nobody has any more.
    pub(crate) fn forget_gone(&mut self) {
        self.0.retain(|_, endpoint| endpoint.strong_count() > 0);
    }
}
