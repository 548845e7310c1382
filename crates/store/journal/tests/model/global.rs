//! A stream with many writers, trimmed while some of them are far behind.
//!
//! A writer applies what it reads, appends behind that, and is told `Appended` only for a slot that
//! is really in the log. Windows are one slot long here. As in `partition`, every put that was sent
//! may take effect late and repeatedly, and answers may be late.

use stateright::{Checker, Model, Property};

const WRITERS: usize = 3;
/// At most; gives every append a number.
const APPENDS: usize = 2;
const SLOTS: usize = 4;
/// The newest slot stays.
const KEEP: usize = 1;
const NONE: u8 = u8::MAX;

fn members(set: u8) -> impl Iterator<Item = u8> {
    (0..(WRITERS * APPENDS) as u8).filter(move |id| set & (1 << id) != 0)
}

/// How a writer finds out that its slot lies in trimmed ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// By the mark of the slot's window, which is made before the first deletion in it.
    Mark,
    /// By the mark, but it is made after the deletion.
    LateMark,
    /// By the mark, but only when a slot was created, not when one was found occupied.
    MarkOnlyOnCreate,
    /// The slot one window below must exist; windows are deleted strictly in order.
    Predecessor,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Reading,
    /// The put is on its way.
    Putting,
    /// The slot's content is known; what it is worth is not.
    Checking {
        found: u8,
    },
    /// Told that it is behind: it would load a snapshot, which is where this writer's story ends.
    Behind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Writer {
    phase: Phase,
    /// The slot behind the last that was applied.
    position: u8,
    appends: u8,
    /// Whether something was applied that is not in the log.
    diverged: bool,
    /// Whether `Appended` was said of something that is not in the log.
    misled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    slots: [u8; SLOTS],
    sent: [u8; SLOTS],
    history: [u8; SLOTS],
    /// The log: what was in the slot first, before any trimming.
    log: [u8; SLOTS],
    marked: [bool; SLOTS],
    trimmed: u8,
    writers: [Writer; WRITERS],
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Put(usize),
    Effect { slot: usize, content: u8 },
    Learn { writer: usize, found: u8 },
    Check(usize),
    Mark(usize),
    Delete(usize),
    Sweep(usize),
}

struct Global {
    check: Check,
    /// How often each writer appends.
    appends: [u8; WRITERS],
}

impl State {
    fn head(&self) -> usize {
        self.log.iter().filter(|content| **content != NONE).count()
    }
}

impl Model for Global {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let writer = Writer {
            phase: Phase::Reading,
            position: 0,
            appends: 0,
            diverged: false,
            misled: false,
        };
        vec![State {
            slots: [NONE; SLOTS],
            sent: [0; SLOTS],
            history: [0; SLOTS],
            log: [NONE; SLOTS],
            marked: [false; SLOTS],
            trimmed: 0,
            writers: [writer.clone(), writer.clone(), writer],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (w, writer) in state.writers.iter().enumerate() {
            let slot = usize::from(writer.position);
            if slot >= SLOTS {
                continue;
            }
            let learn = |found| Action::Learn { writer: w, found };
            match writer.phase {
                Phase::Reading => {
                    if writer.appends < self.appends[w] {
                        actions.push(Action::Put(w));
                    }
                    if state.slots[slot] != NONE {
                        actions.push(learn(state.slots[slot]));
                    }
                }
                Phase::Putting => actions.extend(members(state.history[slot]).map(learn)),
                Phase::Checking { .. } => actions.push(Action::Check(w)),
                Phase::Behind => {}
            }
        }
        for slot in 0..SLOTS {
            if state.slots[slot] == NONE {
                let effect = |content| Action::Effect { slot, content };
                actions.extend(members(state.sent[slot]).map(effect));
            }
        }
        let next = usize::from(state.trimmed);
        if next + KEEP < state.head() {
            let early_mark = self.check != Check::LateMark;
            if early_mark && !state.marked[next] {
                actions.push(Action::Mark(next));
            } else {
                actions.push(Action::Delete(next));
            }
        }
        for slot in 0..next {
            if !state.marked[slot] {
                actions.push(Action::Mark(slot));
            }
            // What stragglers left in trimmed ground is deleted some time, or never.
            if state.slots[slot] != NONE {
                actions.push(Action::Sweep(slot));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Put(w) => {
                let writer = &mut state.writers[w];
                let content = w * APPENDS + usize::from(writer.appends);
                writer.appends += 1;
                writer.phase = Phase::Putting;
                state.sent[usize::from(writer.position)] |= 1 << content;
            }
            Action::Effect { slot, content } => {
                state.slots[slot] = content;
                state.history[slot] |= 1 << content;
                if state.log[slot] == NONE {
                    state.log[slot] = content;
                }
            }
            Action::Learn { writer, found } => {
                state.writers[writer].phase = Phase::Checking { found };
            }
            Action::Check(w) => self.check(&mut state, w),
            Action::Mark(slot) => state.marked[slot] = true,
            Action::Delete(slot) => {
                state.slots[slot] = NONE;
                state.trimmed += 1;
            }
            Action::Sweep(slot) => state.slots[slot] = NONE,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(APPENDED, |_, state: &State| {
                state.writers.iter().all(|writer| !writer.misled)
            }),
            Property::always(APPLIED, |_, state: &State| {
                state.writers.iter().all(|writer| !writer.diverged)
            }),
            // Proof that the model gets anywhere.
            Property::sometimes("a straggler finds itself behind", |_, state: &State| {
                state
                    .writers
                    .iter()
                    .any(|writer| writer.phase == Phase::Behind)
            }),
            Property::sometimes(
                "a straggler writes into trimmed ground",
                |_, state: &State| {
                    (0..SLOTS).any(|s| state.slots[s] != NONE && state.slots[s] != state.log[s])
                },
            ),
            Property::sometimes("all slots are used", |_, state: &State| {
                state.head() == SLOTS
            }),
        ]
    }
}

impl Global {
    fn check(&self, state: &mut State, w: usize) {
        let mut writer = state.writers[w].clone();
        let Phase::Checking { found } = writer.phase else {
            return;
        };
        let slot = usize::from(writer.position);
        let own = usize::from(found) / APPENDS == w;
        let sound = match self.check {
            Check::Mark | Check::LateMark => !state.marked[slot],
            Check::MarkOnlyOnCreate => !own || !state.marked[slot],
            Check::Predecessor => match slot.checked_sub(1) {
                Some(below) => state.slots[below] != NONE,
                // Nothing is below the first; let it be judged rightly.
                None => !state.marked[0],
            },
            Check::Nothing => true,
        };
        if sound {
            let counts = state.log[slot] == found;
            writer.misled |= own && !counts;
            writer.diverged |= !counts;
            writer.position += 1;
            writer.phase = Phase::Reading;
        } else {
            writer.phase = Phase::Behind;
        }
        state.writers[w] = writer;
    }
}

const APPENDED: &str = "what is said to be appended is in the log";
const APPLIED: &str = "what is applied is in the log";

#[test]
fn the_protocol_holds() {
    let whole = Global {
        check: Check::Mark,
        appends: [2, 2, 1],
    };
    let checker = whole.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 50_000);
}

fn finds(check: Check, property: &'static str) {
    let checker = Global {
        check,
        appends: [2, 2, 2],
    }
    .checker()
    .threads(2)
    .finish_when(stateright::HasDiscoveries::AnyOf([property].into()))
    .spawn_bfs()
    .join();
    checker.assert_any_discovery(property);
}

#[test]
fn without_a_check_a_straggler_is_misled() {
    finds(Check::Nothing, APPENDED);
}

#[test]
fn a_mark_made_after_the_deletion_comes_too_late() {
    finds(Check::LateMark, APPENDED);
}

#[test]
fn whoever_loses_a_race_must_look_for_the_mark_as_well() {
    finds(Check::MarkOnlyOnCreate, APPLIED);
}

/// Why there are marks at all: what one straggler wrote into trimmed ground looks to the next like
/// a living predecessor.
#[test]
fn looking_one_window_below_is_not_enough() {
    finds(Check::Predecessor, APPENDED);
}
