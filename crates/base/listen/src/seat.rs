//! What is known of one connection: whether a request is under way on it, and since when not.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Limits;
use crate::refusals::Refusal;

/// A connection, as its server knows it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) source: IpAddr,
    state: Mutex<State>,
    /// It is to make room for another.
    pub(crate) evicted: Notify,
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anything.
    Ordinary,
    /// Probe: there was no place for it when it came.
    Reserved,
    /// End: its place was given to another.
    Leaving,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    /// Requests under way: at most one, and what is still read of one that has been answered.
    under_way: usize,
    waiting: Waiting,
    since: Instant,
    /// It speaks another protocol now, about which nothing is known here.
    handed_over: bool,
}

/// What a connection without a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Its first request, of which nothing has come.
    First,
    /// The rest of a head.
    Head,
    /// Another request.
    Next,
}

impl Seat {
    pub(crate) fn new(source: IpAddr, standing: Standing) -> Self {
        Self {
            source,
            state: Mutex::new(State {
                standing,
                under_way: 0,
                waiting: Waiting::First,
                since: Instant::now(),
                handed_over: false,
            }),
            evicted: Notify::new(),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.state.lock().standing
    }

    /// Since when it waits for a request. `None` while one is under way.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (state.under_way == 0 && !state.handed_over).then_some(state.since)
    }

    /// Takes its place away if no request is under way, and tells which it was. The connection ends
    /// soon.
    pub(crate) fn evict(&self) -> Option<Standing> {
        let mut state = self.state.lock();
        if state.under_way > 0 || state.handed_over {
            return None;
        }
        let before = std::mem::replace(&mut state.standing, Standing::Leaving);
        self.evicted.notify_one();
        Some(before)
    }

    /// A request is under way until what this returns, and its copies, are dropped. `None` when the
    /// connection has no ordinary place.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<UnderWay> {
        let mut state = self.state.lock();
        if state.standing != Standing::Ordinary {
            return None;
        }
        state.under_way += 1;
        Some(UnderWay(Arc::clone(self)))
    }

    /// Gives it an ordinary place, on which a request is under way.
    pub(crate) fn admit(self: &Arc<Self>) -> UnderWay {
        let mut state = self.state.lock();
        state.standing = Standing::Ordinary;
        state.under_way += 1;
        UnderWay(Arc::clone(self))
    }

    /// Something of a head has come, unless it is of a body.
    pub(crate) fn heard(&self) {
        let mut state = self.state.lock();
        if state.under_way > 0 {
            return;
        }
        match state.waiting {
            // The deadline is that of the connection.
            Waiting::First => state.waiting = Waiting::Head,
            Waiting::Head => {}
            Waiting::Next => {
                state.waiting = Waiting::Head;
                state.since = Instant::now();
            }
        }
    }

    pub(crate) fn hand_over(&self) {
        self.state.lock().handed_over = true;
    }

    /// How long it may still wait, and what it is refused for if nothing comes. Nothing while a
    /// request is under way.
    pub(crate) fn patience(&self, limits: &Limits) -> Option<(Duration, Option<Refusal>)> {
        let state = self.state.lock();
        if state.under_way > 0 || state.handed_over {
            return None;
        }
        let (most, refusal) = match state.waiting {
            Waiting::First => (limits.head, Some(Refusal::Silent)),
            Waiting::Head => (limits.head, Some(Refusal::SlowHead)),
            // Nobody who rests between two requests has done wrong.
            Waiting::Next => (limits.idle, None),
        };
        Some((most.saturating_sub(state.since.elapsed()), refusal))
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Seat>);

impl Clone for UnderWay {
    fn clone(&self) -> Self {
        self.0.state.lock().under_way += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.under_way -= 1;
        if state.under_way == 0 {
            state.waiting = Waiting::Next;
            state.since = Instant::now();
        }
    }
}
