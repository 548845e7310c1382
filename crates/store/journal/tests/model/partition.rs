//! A stream with one writer at a time, taken over by sealing.
//!
//! How the network is modelled: a put that was ever sent may take effect at any later time, any
//! number of times (late and repeated requests, retries with the same bytes), or never (a lost
//! request). Whoever has a put on its way may at any time learn of *anything that was ever* in
//! that slot (late and repeated answers, and reads that were answered late). That allows more than
//! a real store does, never less. A crash is a writer that does not move again; a restarted
//! process is another writer.

use stateright::{Model, Property};

const WRITERS: usize = 3;
/// Batches of each writer.
const BATCHES: usize = 2;
const SLOTS: usize = 6;
/// Slots on their way at the same time.
const IN_FLIGHT: i8 = 2;

const IDS: usize = BATCHES + 1;
const NONE: u8 = u8::MAX;

/// What a slot can hold: batch `k` of a writer, or its seal.
fn batch(writer: usize, k: usize) -> u8 {
    (writer * IDS + k) as u8
}
fn seal(writer: usize) -> u8 {
    batch(writer, BATCHES)
}
fn writer_of(content: u8) -> usize {
    usize::from(content) / IDS
}
fn is_seal(content: u8) -> bool {
    usize::from(content) % IDS == BATCHES
}
fn members(set: u16) -> impl Iterator<Item = u8> {
    (0..(WRITERS * IDS) as u8).filter(move |id| set & (1 << id) != 0)
}

/// The protocol, or the protocol without one of its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    Whole,
    /// Rule 1: a seal is put without looking whether the slot is absent.
    SealOverwrites,
    /// Rule 1: a writer takes a seal of a higher term for a dead slot.
    SealIgnored,
    /// Rule 2: a slot is acknowledged as soon as it is made, whatever is below it.
    AckOverGap,
    /// Rule 2: several slots on their way right behind the seal.
    ManyNearSeal,
    /// Rule 3: a sealer steps over a term that is not lower than its own.
    SealerIgnoresRival,
    /// Rule 5: trimming deletes seals.
    TrimDeletesSeals,
    /// Rule 5: trimming deletes dead entries.
    TrimDeletesDead,
    /// Rule 5: trimming deletes what no segment covers.
    TrimUncovered,
    /// Rule 5: the owner publishes a floor above what its own writer has settled.
    FloorAboveOwnFlights,
    /// Rule 6: the taker does not look at `global` once more.
    NoSecondLook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Idle,
    Sealing,
    Sealed,
    Writing,
    /// Fenced, superseded or given up. Lower slots may still be settled.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    slot: u8,
    batch: u8,
    settled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Writer {
    phase: Phase,
    term: u8,
    /// While sealing: the slot that is tried. Afterwards: the slot of the seal.
    sealed: i8,
    next: u8,
    batches_sent: u8,
    /// Ascending; the first that is not settled holds up the acknowledgement of the rest.
    flights: Vec<Flight>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    slots: [u8; SLOTS],
    /// Everything that was ever put on its way to a slot.
    sent: [u16; SLOTS],
    /// Everything that ever was in a slot.
    history: [u16; SLOTS],
    writers: [Writer; WRITERS],
    /// What `global` says: it changes atomically, and terms are handed out only there.
    owner: u8,
    term: u8,
    covered: u8,
    floor: u8,
    /// What the readers of the covered part took for live, and the highest term they saw.
    covered_live: [u8; SLOTS],
    covered_term: u8,
    /// Per slot: what was acknowledged there.
    acknowledged: [u16; SLOTS],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Take(usize),
    Verify(usize),
    Send(usize),
    Effect { slot: usize, content: u8 },
    Learn { writer: usize, slot: u8, found: u8 },
    Cover(usize),
    PublishFloor,
    Trim(usize),
}

/// Where the takers get their terms from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takers {
    /// From `global`, which hands out each term once, and which they ask again after the seal.
    Global,
    /// Two standbys which know nothing of each other and choose the same term. There is nothing
    /// that they could ask again, and they trim nothing.
    Strangers,
}

pub(super) struct Partition {
    pub(super) rules: Rules,
    pub(super) takers: Takers,
}

impl State {
    fn term_of(&self, content: u8) -> u8 {
        self.writers[writer_of(content)].term
    }

    fn send(&mut self, slot: usize, content: u8) {
        self.sent[slot] |= 1 << content;
    }

    /// As a trimmer sees it, from the seals that are left.
    fn is_dead(&self, slot: usize) -> bool {
        let below = self.slots[..slot].iter().copied();
        let term = self.term_of(self.slots[slot]);
        below
            .filter(|c| *c != NONE && is_seal(*c))
            .any(|seal| self.term_of(seal) > term)
    }

    /// What a reader finds: the covered part as it was read, then the contiguous rest without the
    /// dead entries.
    fn log(&self) -> Vec<(usize, u8)> {
        let covered = usize::from(self.covered);
        let mut log: Vec<(usize, u8)> = (0..covered)
            .map(|slot| (slot, self.covered_live[slot]))
            .filter(|(_, content)| *content != NONE)
            .collect();
        let mut term = self.covered_term;
        for slot in covered..SLOTS {
            let content = self.slots[slot];
            if content == NONE {
                break;
            }
            if self.term_of(content) >= term {
                term = self.term_of(content);
                log.push((slot, content));
            }
        }
        log
    }
}

impl Writer {
    fn acknowledge(&mut self, rules: Rules, acknowledged: &mut [u16; SLOTS]) {
        let gap = self.flights.iter().position(|flight| !flight.settled);
        let upto = if rules == Rules::AckOverGap {
            self.flights.len()
        } else {
            gap.unwrap_or(self.flights.len())
        };
        for flight in &self.flights[..upto] {
            if flight.settled {
                acknowledged[usize::from(flight.slot)] |= 1 << flight.batch;
            }
        }
        self.flights.drain(..gap.unwrap_or(self.flights.len()));
    }

    /// Puts a batch on its way to the next slot; a writer that runs out of slots stops, which is
    /// only where the model ends.
    fn send(&mut self, batch: u8) -> Option<usize> {
        let slot = self.next;
        if usize::from(slot) >= SLOTS {
            self.phase = Phase::Stopped;
            return None;
        }
        self.next += 1;
        self.flights.push(Flight {
            slot,
            batch,
            settled: false,
        });
        Some(usize::from(slot))
    }
}

impl Model for Partition {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let idle = Writer {
            phase: Phase::Idle,
            term: 0,
            sealed: 0,
            next: 0,
            batches_sent: 0,
            flights: Vec::new(),
        };
        // Writer 0 holds the stream, and its seal is long past.
        let first = Writer {
            phase: Phase::Writing,
            term: 1,
            sealed: -IN_FLIGHT,
            ..idle.clone()
        };
        vec![State {
            slots: [NONE; SLOTS],
            sent: [0; SLOTS],
            history: [0; SLOTS],
            writers: [first, idle.clone(), idle],
            owner: 0,
            term: 1,
            covered: 0,
            floor: 0,
            covered_live: [NONE; SLOTS],
            covered_term: 0,
            acknowledged: [0; SLOTS],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (w, writer) in state.writers.iter().enumerate() {
            match writer.phase {
                // Writers are alike: the second takes over before the third.
                Phase::Idle if state.writers[w - 1].phase != Phase::Idle => {
                    actions.push(Action::Take(w));
                }
                Phase::Sealing => {
                    let slot = writer.sealed as u8;
                    actions.extend(members(state.history[usize::from(slot)]).map(|found| {
                        Action::Learn {
                            writer: w,
                            slot,
                            found,
                        }
                    }));
                }
                Phase::Sealed => actions.push(Action::Verify(w)),
                Phase::Writing => {
                    let lowest = writer
                        .flights
                        .first()
                        .map_or(writer.next, |flight| flight.slot);
                    let near_seal = lowest as i8 - writer.sealed < IN_FLIGHT;
                    let limit = if near_seal && self.rules != Rules::ManyNearSeal {
                        1
                    } else {
                        IN_FLIGHT as usize
                    };
                    if usize::from(writer.batches_sent) < BATCHES
                        && writer.flights.len() < limit
                        && usize::from(writer.next) < SLOTS
                    {
                        actions.push(Action::Send(w));
                    }
                    if self.takers == Takers::Global
                        && usize::from(state.owner) == w
                        && state.term == writer.term
                        && usize::from(state.covered) < SLOTS
                        && state.slots[usize::from(state.covered)] != NONE
                    {
                        actions.push(Action::Cover(w));
                    }
                }
                Phase::Idle | Phase::Stopped => {}
            }
            if matches!(writer.phase, Phase::Writing | Phase::Stopped) {
                for flight in writer.flights.iter().filter(|flight| !flight.settled) {
                    let slot = flight.slot;
                    actions.extend(members(state.history[usize::from(slot)]).map(|found| {
                        Action::Learn {
                            writer: w,
                            slot,
                            found,
                        }
                    }));
                }
            }
        }
        for slot in 0..SLOTS {
            let may_put = |content: &u8| {
                state.slots[slot] == NONE
                    || (self.rules == Rules::SealOverwrites
                        && is_seal(*content)
                        && state.slots[slot] != *content)
            };
            actions.extend(
                members(state.sent[slot])
                    .filter(may_put)
                    .map(|content| Action::Effect { slot, content }),
            );
            let too_far = u8::from(self.rules == Rules::TrimUncovered);
            let content = state.slots[slot];
            if slot < usize::from(state.floor + too_far)
                && content != NONE
                && (!is_seal(content) || self.rules == Rules::TrimDeletesSeals)
                && (!state.is_dead(slot) || self.rules == Rules::TrimDeletesDead)
            {
                actions.push(Action::Trim(slot));
            }
        }
        let owner = &state.writers[usize::from(state.owner)];
        if owner.phase == Phase::Writing && state.floor < self.floor(state) {
            actions.push(Action::PublishFloor);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Take(w) => {
                state.term = match self.takers {
                    Takers::Global => state.term + 1,
                    Takers::Strangers => 2,
                };
                state.owner = w as u8;
                let from = usize::from(state.covered);
                if from >= SLOTS {
                    return None;
                }
                let writer = &mut state.writers[w];
                writer.term = state.term;
                writer.phase = Phase::Sealing;
                writer.sealed = from as i8;
                state.send(from, seal(w));
            }
            Action::Verify(w) => {
                let writer = &mut state.writers[w];
                let holds = self.takers == Takers::Strangers
                    || usize::from(state.owner) == w
                        && state.term == writer.term
                        && state.floor as i8 <= writer.sealed;
                writer.phase = if holds || self.rules == Rules::NoSecondLook {
                    writer.next = writer.sealed as u8 + 1;
                    Phase::Writing
                } else {
                    Phase::Stopped
                };
            }
            Action::Send(w) => {
                let writer = &mut state.writers[w];
                let content = batch(w, usize::from(writer.batches_sent));
                writer.batches_sent += 1;
                if let Some(slot) = writer.send(content) {
                    state.send(slot, content);
                }
            }
            Action::Effect { slot, content } => {
                state.slots[slot] = content;
                state.history[slot] |= 1 << content;
            }
            Action::Learn {
                writer: w,
                slot,
                found,
            } => self.learn(&mut state, w, slot, found),
            Action::Cover(_) => {
                let slot = usize::from(state.covered);
                let content = state.slots[slot];
                if state.term_of(content) >= state.covered_term {
                    state.covered_term = state.term_of(content);
                    state.covered_live[slot] = content;
                }
                state.covered += 1;
            }
            Action::PublishFloor => state.floor = self.floor(&state),
            Action::Trim(slot) => state.slots[slot] = NONE,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LOST, |_, state: &State| {
                let log = state.log();
                (0..SLOTS).all(|slot| {
                    members(state.acknowledged[slot]).all(|content| log.contains(&(slot, content)))
                })
            }),
            Property::always(ONE, |_, state: &State| {
                let all = state.acknowledged.iter().fold(0, |all, set| all | set);
                members(all).all(|a| {
                    members(all).all(|b| {
                        writer_of(a) == writer_of(b) || state.term_of(a) != state.term_of(b)
                    })
                })
            }),
            Property::always(TWICE, |_, state: &State| {
                let log = state.log();
                let ids = || log.iter().map(|(_, content)| content);
                let twice = |set: &[u16; SLOTS]| {
                    members(u16::MAX)
                        .any(|id| set.iter().filter(|s| *s & (1 << id) != 0).count() > 1)
                };
                ids().all(|id| ids().filter(|other| *other == id).count() == 1)
                    && !twice(&state.acknowledged)
            }),
            Property::always(ORDER, |_, state: &State| {
                let log = state.log();
                let data: Vec<u8> = log
                    .iter()
                    .map(|(_, c)| *c)
                    .filter(|c| !is_seal(*c))
                    .collect();
                (0..WRITERS).all(|w| data.iter().filter(|c| writer_of(**c) == w).is_sorted())
            }),
            // Not rules, but proof that the model gets anywhere.
            Property::sometimes(THIRD, |_, state: &State| {
                let all = state.acknowledged.iter().fold(0, |all, set| all | set);
                members(all).any(|content| writer_of(content) == 2)
            }),
            Property::sometimes(
                "a dead slot is stepped over and the batch acknowledged",
                |_, state: &State| {
                    state.writers.iter().enumerate().skip(1).any(|(w, writer)| {
                        (0..SLOTS).any(|slot| {
                            slot as i8 > writer.sealed + 1
                                && state.acknowledged[slot] & (1 << batch(w, 0)) != 0
                        })
                    })
                },
            ),
            Property::sometimes("a late put lands in trimmed ground", |_, state: &State| {
                (0..usize::from(state.floor)).any(|slot| {
                    let content = state.slots[slot];
                    content != NONE && state.covered_live[slot] != content
                })
            }),
        ]
    }
}

impl Partition {
    fn floor(&self, state: &State) -> u8 {
        let owner = &state.writers[usize::from(state.owner)];
        let unsettled = owner.flights.iter().find(|flight| !flight.settled);
        match unsettled {
            Some(flight) if self.rules != Rules::FloorAboveOwnFlights => {
                state.covered.min(flight.slot)
            }
            _ => state.covered,
        }
    }

    fn learn(&self, state: &mut State, w: usize, slot: u8, found: u8) {
        let found_term = state.term_of(found);
        let mut writer = state.writers[w].clone();
        if writer.phase == Phase::Sealing {
            if found == seal(w) {
                writer.phase = Phase::Sealed;
            } else if found_term >= writer.term && self.rules != Rules::SealerIgnoresRival {
                writer.phase = Phase::Stopped;
            } else if usize::from(slot) + 1 < SLOTS {
                writer.sealed += 1;
                state.send(usize::from(slot) + 1, seal(w));
            } else {
                writer.phase = Phase::Stopped;
            }
            state.writers[w] = writer;
            return;
        }
        let Some(at) = writer.flights.iter().position(|flight| flight.slot == slot) else {
            return;
        };
        let own = writer.flights[at].batch;
        if found == own {
            writer.flights[at].settled = true;
            writer.acknowledge(self.rules, &mut state.acknowledged);
        } else if (found_term < writer.term || self.rules == Rules::SealIgnored)
            && writer.phase == Phase::Writing
        {
            writer.flights.remove(at);
            if let Some(slot) = writer.send(own) {
                state.send(slot, own);
            }
        } else {
            writer.flights.truncate(at);
            writer.phase = Phase::Stopped;
        }
        state.writers[w] = writer;
    }
}

pub(super) const LOST: &str = "acknowledged is durable and below the seal";
pub(super) const TWICE: &str = "nothing is in the log or acknowledged twice";
pub(super) const ONE: &str = "one acknowledging writer a term";
pub(super) const THIRD: &str = "the third writer acknowledges";
pub(super) const ORDER: &str = "batches keep their order";
