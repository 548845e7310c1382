//! Who is connected, who still may connect, and whose place is given to another.
//!
//! A silent connection costs its owner nothing, so what counts is a request: one that has come can
//! take the place of a connection that waits for one. Of those, the address that has the most of
//! them loses the one that has waited longest: whoever opens a thousand crowds out itself.
//!
//! Behind the ordinary places there are a few that are reserved. A connection for which there was
//! no ordinary place gets one of these, until its request shows whether it is a probe; and when they
//! are taken, it gets the place of another that has not shown its request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Limits;
use crate::refusals::{Refusal, Refusals};
use crate::seat::{Seat, Standing, UnderWay};

/// Connections beyond the bound, for probes.
pub(crate) const RESERVED: usize = 32;
/// Connections that have lost their place and are not closed yet.
pub(crate) const LEAVING: usize = 32;
/// A connection that has waited for less may be about to send its request.
const MIN_IDLE_TO_EVICT: Duration = Duration::from_secs(1);

/// The places of a server.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    of_one: usize,
    refusals: Refusals,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    seats: HashMap<u64, Arc<Seat>>,
    next: u64,
    ordinary: usize,
    reserved: usize,
    /// Ordinary ones, by where they come from.
    by_source: HashMap<IpAddr, usize>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    id: u64,
    pub(crate) seat: Arc<Seat>,
}

impl Places {
    pub(crate) fn new(limits: &Limits, refusals: Refusals) -> Arc<Self> {
        let most = limits.connections.max(1);
        Arc::new(Self {
            most,
            of_one: limits.per_address.clamp(1, most),
            refusals,
            held: Mutex::default(),
        })
    }

    /// Gives a new connection a place, a reserved one if there is no other.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let source = source(address);
        let mut held = self.held.lock();
        let (standing, evicted) = match self.make_room(&mut held, source, MIN_IDLE_TO_EVICT) {
            Some(evicted) => (Standing::Ordinary, evicted),
            None if held.reserved < RESERVED => (Standing::Reserved, None),
            // No request of theirs ever counts as under way, so there is always one.
            None => (
                Standing::Reserved,
                held.evict(Duration::ZERO, |seat| seat.is_in(Standing::Reserved)),
            ),
        };
        let seat = Arc::new(Seat::new(source, standing));
        held.count(source, standing);
        let id = held.next;
        held.next += 1;
        held.seats.insert(id, Arc::clone(&seat));
        self.refusals.set_open(held.seats.len());
        drop(held);
        self.log_eviction(evicted);
        let places = Arc::clone(self);
        Place { places, id, seat }
    }

    /// Makes room for one more ordinary connection. `None` when there is none.
    fn make_room(
        &self,
        held: &mut Held,
        source: IpAddr,
        settled: Duration,
    ) -> Option<Option<IpAddr>> {
        if held.by_source.get(&source).copied().unwrap_or(0) >= self.of_one {
            return held
                .evict(settled, |seat| {
                    seat.source == source && seat.is_in(Standing::Ordinary)
                })
                .map(Some);
        }
        if held.ordinary < self.most {
            return Some(None);
        }
        held.evict(settled, |seat| seat.is_in(Standing::Ordinary))
            .map(Some)
    }

    /// Closes a connection that waits for a request, if there is one.
    pub(crate) fn evict_one(&self) {
        let evicted = self.held.lock().evict(Duration::ZERO, |_| true);
        self.log_eviction(evicted);
    }

    fn log_eviction(&self, evicted: Option<IpAddr>) {
        if evicted.is_some() {
            self.refusals.add(Refusal::Evicted, evicted, None);
        }
    }
}

impl Place {
    /// The head of a request is there. `None` when only a probe may be answered.
    pub(crate) fn begin(&self) -> Option<UnderWay> {
        let seat = &self.seat;
        if let Some(under_way) = seat.begin() {
            return Some(under_way);
        }
        let mut held = self.places.held.lock();
        let evicted = self
            .places
            .make_room(&mut held, seat.source, Duration::ZERO)?;
        held.discount(seat.source, seat.standing());
        held.count(seat.source, Standing::Ordinary);
        let under_way = seat.admit();
        drop(held);
        self.places.log_eviction(evicted);
        Some(under_way)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock();
        held.discount(self.seat.source, self.seat.standing());
        held.seats.remove(&self.id);
        self.places.refusals.set_open(held.seats.len());
    }
}

impl Held {
    fn count(&mut self, source: IpAddr, standing: Standing) {
        match standing {
            Standing::Ordinary => {
                self.ordinary += 1;
                *self.by_source.entry(source).or_default() += 1;
            }
            Standing::Reserved => self.reserved += 1,
            Standing::Leaving => {}
        }
    }

    fn discount(&mut self, source: IpAddr, standing: Standing) {
        match standing {
            Standing::Ordinary => {
                self.ordinary -= 1;
                if let Some(count) = self.by_source.get_mut(&source) {
                    *count -= 1;
                    if *count == 0 {
                        self.by_source.remove(&source);
                    }
                }
            }
            Standing::Reserved => self.reserved -= 1,
            Standing::Leaving => {}
        }
    }

    /// Takes the place of one such connection away that has waited for a request for so long.
    fn evict(&mut self, settled: Duration, such: impl Fn(&Seat) -> bool) -> Option<IpAddr> {
        let now = Instant::now();
        loop {
            let waiting: Vec<(u64, IpAddr, Instant)> = self
                .seats
                .iter()
                .filter(|(_, seat)| such(seat) && !seat.is_in(Standing::Leaving))
                .filter_map(|(id, seat)| Some((*id, seat.source, seat.waiting_since()?)))
                .filter(|(_, _, since)| now.saturating_duration_since(*since) >= settled)
                .collect();
            let seat = Arc::clone(self.seats.get(&victim(&waiting)?)?);
            // Its request may have come in the meantime; then it is not among those that wait.
            if let Some(standing) = seat.evict() {
                self.discount(seat.source, standing);
                return Some(seat.source);
            }
        }
    }
}

/// Whose place is given to another, of connections that wait for a request: of the source that has
/// the most, the one that has waited longest.
fn victim(waiting: &[(u64, IpAddr, Instant)]) -> Option<u64> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for (_, source, _) in waiting {
        *counts.entry(*source).or_default() += 1;
    }
    let most = counts.values().max()?;
    let heaviest = waiting
        .iter()
        .filter(|(_, source, _)| counts.get(source) == Some(most));
    // The number decides between two that came at the same moment.
    let longest = heaviest.min_by_key(|(id, _, since)| (*since, *id));
    longest.map(|(id, _, _)| *id)
}

/// What counts as one source: an address of IPv4, a network of IPv6, in which a host can choose
/// its addresses.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

impl Seat {
    fn is_in(&self, standing: Standing) -> bool {
        self.standing() == standing
    }
}

#[cfg(test)]
mod tests;
