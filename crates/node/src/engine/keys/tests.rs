//! A partition through takeovers, recoveries and crashes at every step, with the real state, window
//! and index, and a journal and a bucket in memory. Nothing here has a wall clock, because nothing
//! that is tested asks for one: a standby that comes a week late is one before which nothing
//! happens.
//!
//! Entries and index objects are damaged and restored on the way: what may be known of a key then is
//! decided in one place, [`World::learn`], and a batch is never judged by a part of the keys.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use backstay_global::recovery::{PatchInput, Place, patch};
use backstay_global::{EpochOffset, Extra, Host, State};
use bytes::Bytes;
use proptest::prelude::*;

use super::super::dedupe::Claim;
use super::*;

const WINDOW: u64 = 100;
const SITES: usize = 3;
const HOST: &str = "host";

#[derive(Clone, Debug)]
enum Op {
    /// A client sends a batch; what becomes of it.
    Send(u32, Fate),
    /// All entries go into a segment; whether the owner learns that they did.
    Publish {
        learned: bool,
    },
    /// Time in which the owner lives; whether its heartbeat arrives.
    Run {
        ms: u64,
        arrives: bool,
    },
    /// Ageing, writing the index, trimming, as far as this step.
    Keep(u8),
    Crash,
    /// The owner stalls, and another takes the partition, as far as this step.
    Take(u8),
    /// Another cluster recovers this one.
    Recover(usize),
    /// What it found goes into its segments.
    Import,
    /// Those that stalled go on.
    Thaw,
    /// An entry, or the named index object, of the current or of an earlier cluster is damaged.
    Damage(usize, u64),
    /// All are restored.
    Restore,
    /// The owner tries again to read its keys, as far as this step.
    Learn(u8),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    NotStored,
    Stored,
    /// It is in the journal, and the window does not know yet.
    Unanswered,
}

fn op() -> impl Strategy<Value = Op> {
    let fate = prop_oneof![
        Just(Fate::NotStored),
        Just(Fate::Stored),
        Just(Fate::Stored),
        Just(Fate::Unanswered)
    ];
    prop_oneof![
        8 => (0..8u32, fate).prop_map(|(key, fate)| Op::Send(key, fate)),
        3 => any::<bool>().prop_map(|learned| Op::Publish { learned }),
        4 => (1..60u64, any::<bool>()).prop_map(|(ms, arrives)| Op::Run { ms, arrives }),
        4 => (0..8u8).prop_map(Op::Keep),
        1 => Just(Op::Crash),
        4 => (0..8u8).prop_map(Op::Take),
        2 => (0..SITES).prop_map(Op::Recover),
        1 => Just(Op::Import),
        1 => Just(Op::Thaw),
        2 => (0..SITES, 0..16_u64).prop_map(|(site, at)| Op::Damage(site, at)),
        1 => Just(Op::Restore),
        2 => (2..8u8).prop_map(Op::Learn),
    ]
}

/// A cluster's bucket.
#[derive(Default)]
struct Site {
    /// Slots: the key of a batch, or a seal.
    entries: BTreeMap<u64, Option<u32>>,
    end: u64,
    term: u64,
    objects: BTreeMap<String, Bytes>,
    /// Slots that cannot be read.
    damaged: BTreeSet<u64>,
    /// No index object can be read.
    index_damaged: bool,
}

/// Something that was needed is damaged.
#[derive(Debug)]
struct Damaged;

impl Site {
    fn push(&mut self, entry: Option<u32>) -> u64 {
        self.entries.insert(self.end, entry);
        self.end += 1;
        self.end - 1
    }

    fn keys(&self, from: u64, to: u64) -> Result<Vec<(u64, KeyHash)>, Damaged> {
        if self.damaged.range(from..to.max(from)).next().is_some() {
            return Err(Damaged);
        }
        let slots = (from..to).map(|seq| {
            let entry = self.entries.get(&seq);
            (
                seq,
                *entry.unwrap_or_else(|| panic!("{seq} of {from}..{to} is not there")),
            )
        });
        let keys = slots.filter_map(|(seq, entry)| Some((seq, hash(entry?))));
        Ok(keys.collect())
    }

    fn index(&self, named: Option<&WindowIndex>) -> Result<Index, Damaged> {
        let Some(named) = named else {
            return Ok(Index::default());
        };
        let name = index::object(0, named.term, named.number);
        let bytes = self.objects.get(&name);
        let bytes = bytes.expect("what the state names is there");
        if self.index_damaged {
            Err(Damaged)
        } else {
            Ok(Index::decode(bytes, named.upto).unwrap())
        }
    }
}

fn hash(key: u32) -> KeyHash {
    KeyHash::new("r", &key.to_string())
}

struct Owner {
    term: u64,
    seal: u64,
    number: u64,
    /// None while the keys are not known.
    window: Option<Window>,
    /// Reported in heartbeats that may not have arrived.
    behind: u64,
}

/// Where a batch is, and when, by the true time in which owners lived, it went into a segment.
struct Batch {
    site: usize,
    seq: u64,
    covered: Option<u64>,
}

struct World {
    sites: [Site; SITES],
    at: usize,
    state: State,
    owner: Option<Owner>,
    stalled: Vec<(usize, Owner)>,
    /// Deletions that were stopped right before: the site, and what all must be older than.
    deletions: Vec<(usize, String)>,
    ran: u64,
    batches: BTreeMap<u32, Batch>,
}

fn place(site: usize) -> Place {
    Place {
        provider: "local".to_owned(),
        region: String::new(),
        container: site.to_string(),
        endpoint: "/".to_owned(),
        account: String::new(),
        key_prefix: String::new(),
        credentials: String::new(),
        encryption_key_ref: String::new(),
    }
}

fn cluster(site: usize) -> String {
    format!("cluster-{site}")
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            sites: Default::default(),
            at: 0,
            state: State::before_creation(cluster(0)),
            owner: None,
            stalled: Vec::new(),
            deletions: Vec::new(),
            ran: 0,
            batches: BTreeMap::new(),
        };
        assert!(world.commit(Event::ClusterCreated {
            cluster_id: cluster(0),
            bucket: place(0).entity(1, &cluster(0), false),
            partitions: 1,
        }));
        world
    }

    fn commit(&mut self, event: Event) -> bool {
        let fits = self.state.check(&event).is_ok();
        if fits {
            let (offset, term) = (self.state.offset, self.state.term);
            self.state.apply(offset, term, vec![event]);
        }
        fits
    }

    fn here(&mut self) -> &mut Site {
        &mut self.sites[self.at]
    }

    fn standing(&self) -> tails::Standing {
        view::standing(&self.state, 0)
    }

    fn play(&mut self, op: Op) {
        match op {
            Op::Send(key, fate) => self.send(key, fate),
            Op::Publish { learned } => self.publish(learned),
            Op::Run { ms, arrives } => self.run(ms, arrives),
            Op::Keep(step) => {
                if let Some(mut owner) = self.owner.take() {
                    self.keep(&mut owner, step);
                    self.owner = (step > 5).then_some(owner);
                }
            }
            Op::Crash => self.owner = None,
            Op::Take(step) => self.take(step),
            Op::Recover(to) => self.recover(to),
            Op::Import => self.import(),
            Op::Thaw => self.thaw(),
            Op::Damage(site, at) => self.damage(site, at),
            Op::Restore => self.restore(),
            Op::Learn(step) => {
                if let Some(owner) = self.owner.take() {
                    self.owner = self.learn(owner, step);
                }
            }
        }
    }

    fn damage(&mut self, site: usize, at: u64) {
        let site = &mut self.sites[site];
        match at {
            0 => site.index_damaged = true,
            // Mostly near the end, where entries are needed.
            _ => site.damaged.extend(site.end.checked_sub(at)),
        }
    }

    fn restore(&mut self) {
        for site in &mut self.sites {
            site.damaged.clear();
            site.index_damaged = false;
        }
    }

    fn send(&mut self, key: u32, fate: Fate) {
        let Some(mut owner) = self.owner.take() else {
            return;
        };
        let Some(window) = &mut owner.window else {
            // Refused, whatever is known of the key: one without a key is taken.
            self.here().push(None);
            self.owner = Some(owner);
            return;
        };
        match window.claim(hash(key)) {
            Claim::Stored => assert!(self.batches.contains_key(&key), "{key} was never stored"),
            Claim::Pending(_) => {}
            Claim::Full => panic!("eight keys are not many"),
            Claim::New => {
                if let Some(batch) = self.batches.get(&key) {
                    let age = batch.covered.map(|covered| self.ran - covered);
                    assert!(
                        age.is_some_and(|age| age >= WINDOW),
                        "{key} again at {age:?}"
                    );
                }
                if let Fate::NotStored = fate {
                    window.not_stored(hash(key));
                } else {
                    let (site, seq) = (self.at, self.sites[self.at].push(Some(key)));
                    self.batches.insert(
                        key,
                        Batch {
                            site,
                            seq,
                            covered: None,
                        },
                    );
                    if let Fate::Stored = fate {
                        window.stored(hash(key));
                    }
                }
            }
        }
        self.owner = Some(owner);
    }

    fn cover(&mut self, site: usize, from: u64, to: u64) {
        let ran = self.ran;
        for batch in self.batches.values_mut() {
            if batch.site == site && (from..to).contains(&batch.seq) {
                batch.covered.get_or_insert(ran);
            }
        }
    }

    fn publish(&mut self, learned: bool) {
        let Some(mut owner) = self.owner.take() else {
            return;
        };
        let (from, to) = (self.standing().covered, self.here().end);
        // What is damaged and in no segment is not read over.
        if from < to
            && let Ok(keys) = self.here().keys(from, to)
        {
            assert!(self.commit(Event::SegmentsPublished {
                partition: 0,
                term: owner.term,
                covered_from: from,
                covered_to: to,
                segments: Vec::new(),
                term_below: None,
            }));
            self.cover(self.at, from, to);
            if learned
                && let Some(window) = &mut owner.window
                && window.upto() == from
            {
                let since = Since::Ran(view::ran_ms(&self.state, 0) + owner.behind);
                let keys = keys.into_iter().map(|(_, key)| key).collect();
                window.add(Generation {
                    from,
                    to,
                    since,
                    keys,
                });
            }
        }
        self.owner = Some(owner);
    }

    fn run(&mut self, ms: u64, arrives: bool) {
        let Some(owner) = &mut self.owner else { return };
        // While keys are not known, those who have one are refused, and their time stands still.
        if owner.window.is_none() {
            return;
        }
        self.ran += ms;
        owner.behind += ms;
        if arrives {
            owner.behind = 0;
            let counter = self.state.host(HOST).unwrap().heartbeat + 1;
            assert!(self.commit(Event::Heartbeat {
                host: HOST.to_owned(),
                counter,
                pace_ms: 0,
                settled: Vec::new(),
                ran: vec![(0, ms)],
            }));
        }
    }

    fn put(&mut self, site: usize, owner: &mut Owner) -> Option<(String, Event)> {
        let index = owner.window.as_ref()?.index();
        let adopted = view::key_sources(&self.state, 0).pending;
        let adopted: Vec<String> = adopted.into_iter().map(|(id, ..)| id).collect();
        let number = owner.number;
        owner.number += 1;
        let name = index::object(0, owner.term, number);
        let before = self.sites[site]
            .objects
            .insert(name.clone(), index.encode().unwrap());
        assert!(before.is_none(), "{name} is written twice");
        let event = Event::WindowIndexed {
            partition: 0,
            term: owner.term,
            number,
            upto: index.upto,
            adopted,
            term_below: None,
        };
        Some((name, event))
    }

    fn delete_older(&mut self, site: usize, newest: &str) {
        self.sites[site].objects.retain(|name, _| **name >= *newest);
    }

    fn keep(&mut self, owner: &mut Owner, step: u8) {
        let Some(window) = &mut owner.window else {
            return;
        };
        let sources = view::key_sources(&self.state, 0);
        let (from, covered) = (window.upto(), sources.standing.covered);
        if from < covered {
            let Ok(keys) = self.sites[self.at].keys(from, covered) else {
                return;
            };
            let since = Since::Ran(sources.ran_ms + owner.behind);
            window.add(Generation {
                from,
                to: covered,
                since,
                keys: keys.into_iter().map(|(_, key)| key).collect(),
            });
        }
        let state = &self.state;
        window.expire(sources.ran_ms, WINDOW, |id| view::is_imported(state, id, 0));
        let floor = window.floor();
        if step == 0 {
            return;
        }
        let Some((name, event)) = self.put(self.at, owner) else {
            return;
        };
        if step == 1 {
            return;
        }
        assert!(self.commit(event));
        if step == 2 {
            self.deletions.push((self.at, name));
            return;
        }
        self.delete_older(self.at, &name);
        let own = self.state.writable_bucket().unwrap().id;
        let floor = floor.min(self.standing().covered);
        let floor = floor
            .min(view::indexed(&self.state, 0))
            .max(self.standing().floor);
        if step == 3 || view::is_needed(&self.state, 0, own) {
            return;
        }
        assert!(self.commit(Event::FloorAdvanced {
            partition: 0,
            term: owner.term,
            floor
        }));
        if step > 4 {
            self.here()
                .entries
                .retain(|seq, entry| *seq >= floor || entry.is_none());
        }
    }

    fn site_of(&self, bucket: u32) -> usize {
        self.state
            .bucket(bucket)
            .unwrap()
            .container
            .parse()
            .unwrap()
    }

    fn take(&mut self, step: u8) {
        if let Some(owner) = self.owner.take() {
            self.stalled.push((self.at, owner));
        }
        let host = Host {
            id: HOST.to_owned(),
            incarnation: String::new(),
            url: String::new(),
            roles: Vec::new(),
            heartbeat: 0,
            pace_ms: 0,
            settled: Vec::new(),
            started_ms: 0,
            vhost: 1,
            zone: None,
            is_being_evicted: false,
            extra: Extra::default(),
        };
        assert!(self.commit(Event::HostUp { host }));
        let term = self.state.partition(0).unwrap().term + 1;
        let taken = Event::PartitionTaken {
            partition: 0,
            host: HOST.to_owned(),
            term,
        };
        assert!(self.commit(taken));
        if step == 0 {
            return;
        }
        // The seal goes behind what was found, from `covered` on; what is damaged there is not
        // passed over.
        let covered = self.standing().covered;
        let end = self.here().end;
        if self.here().keys(covered, end).is_err() {
            return;
        }
        let seal = self.here().push(None);
        self.here().term = term;
        if step == 1 {
            return;
        }
        let owner = Owner {
            term,
            seal,
            number: 0,
            window: None,
            behind: 0,
        };
        self.owner = self.learn(owner, step);
    }

    /// What an owner may know after it was restored or tried again; `None` when it crashed.
    fn learn(&mut self, mut owner: Owner, step: u8) -> Option<Owner> {
        if owner.window.is_some() {
            return Some(owner);
        }
        let sources = view::key_sources(&self.state, 0);
        let adopts = !sources.pending.is_empty();
        let Ok(window) = self.read(&owner, &sources) else {
            return Some(owner);
        };
        let unwritten = view::indexed(&self.state, 0) < window.upto();
        owner.window = Some(window);
        if unwritten || adopts {
            let (_, event) = self.put(self.at, &mut owner)?;
            if step == 2 {
                return None;
            }
            assert!(self.commit(event));
            if step == 3 {
                return None;
            }
        }
        Some(owner)
    }

    fn read(&self, owner: &Owner, sources: &KeySources) -> Result<Window, Damaged> {
        let mut foreign = Vec::new();
        for (id, bucket, tail) in &sources.pending {
            let source = &self.sites[self.site_of(*bucket)];
            let index = source.index(tail.window.as_ref())?;
            let found = source.keys(tail.floor.max(index.upto), tail.to)?;
            foreign.extend(of_source(id, tail, sources.ran_ms, index, found));
        }
        let here = &self.sites[self.at];
        let index = here.index(sources.own.as_ref())?;
        let to = owner.seal.max(sources.standing.covered);
        let found = here.keys(sources.from, to)?;
        Ok(window_of(sources, foreign, index, found))
    }

    fn recover(&mut self, to: usize) {
        if to == self.at {
            return;
        }
        if let Some(owner) = self.owner.take() {
            self.stalled.push((self.at, owner));
        }
        let partition = self.state.partition(0).unwrap().clone();
        let source = &mut self.sites[self.at];
        let end = source.push(None);
        source.term += 1;
        let id = format!("recovery-{}", self.state.epoch);
        let own = &mut self.sites[to];
        own.term = own.term.max(partition.term) + 1;
        let start = own.push(None);
        let input = PatchInput {
            cluster_id: cluster(to),
            position: EpochOffset {
                epoch: self.state.epoch + 1,
                offset: 0,
            },
            term: 1,
            own: place(to),
            source: place(self.at),
            replace_region: None,
            replace_bucket: None,
            partitions: BTreeMap::from([(
                0,
                backstay_global::recovery::patch::PartitionStart {
                    term: own.term,
                    start,
                },
            )]),
            recovery: id,
            from_cluster: cluster(self.at),
            from: self.state.position(),
            at_ms: 0,
            tails: vec![RecoveredTail {
                partition: 0,
                floor: partition.floor,
                from: partition.covered,
                to: end,
                imported: partition.covered,
                begins: 0,
                window: partition.window,
                keys_pending: true,
                from_below: None,
                imported_below: None,
                extra: Extra::default(),
            }],
        };
        self.state = patch(std::mem::take(&mut self.state), &input).state;
        self.at = to;
    }

    fn import(&mut self) {
        let pending = self.state.pending_tails();
        let pending =
            pending.map(|(record, tail)| (record.id.clone(), record.bucket, tail.clone()));
        for (recovery, bucket, tail) in pending.collect::<Vec<_>>() {
            let site = self.site_of(bucket);
            // All of it must be there, and nothing of it is passed over.
            if self.sites[site].keys(tail.imported, tail.to).is_err() {
                continue;
            }
            assert!(self.commit(Event::TailImported {
                recovery,
                partition: 0,
                from: tail.imported,
                to: tail.to,
                segments: Vec::new(),
                term_below: None,
            }));
            self.cover(site, tail.from, tail.to);
        }
    }

    fn thaw(&mut self) {
        for (site, newest) in std::mem::take(&mut self.deletions) {
            self.delete_older(site, &newest);
        }
        for (site, mut owner) in std::mem::take(&mut self.stalled) {
            let Some((_, event)) = self.put(site, &mut owner) else {
                continue;
            };
            // In another cluster its `global` is sealed.
            assert!(
                site != self.at || self.state.check(&event).is_err(),
                "{event:?}"
            );
        }
    }

    /// At rest, after the window, nothing is left of it.
    fn end(&mut self) {
        self.restore();
        self.take(7);
        self.import();
        self.publish(true);
        for _ in 0..2 {
            let mut owner = self.owner.take().unwrap();
            self.keep(&mut owner, 7);
            self.owner = Some(owner);
            // A crash may have taken along what a heartbeat said: stamps are ahead by so much.
            self.run(60 * 80 + WINDOW, true);
        }
        let mut owner = self.owner.take().unwrap();
        self.keep(&mut owner, 7);
        let window = owner.window.as_ref().expect("what is restored is read");
        assert_eq!(window.len(), 0, "keys are forgotten in the end");
        assert_eq!(self.standing().floor, self.standing().covered);
        let objects = self.here().objects.len();
        assert!(objects <= 1, "{objects} index objects are left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 1500 } else { 20_000 }))]
    #[test]
    fn no_key_within_the_window_is_stored_twice_and_none_is_known_that_is_not_stored(
        ops in proptest::collection::vec(op(), 0..80),
    ) {
        let mut world = World::new();
        for op in ops {
            world.play(op);
        }
        world.end();
    }
}
