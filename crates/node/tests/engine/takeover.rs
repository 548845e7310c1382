//! What keeps a partition from being taken over, and what does not: each kind of object that a
//! takeover may have to read, damaged in each way.
//!
//! What lies below the index of keys is not needed at all. What has keys that no index has decides
//! whether a batch with a key is new, and nothing else. What is in no segment may be acknowledged
//! events: over that nobody reads. Other partitions see none of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use backstay_global::State;
use backstay_node::{Engine, IngestError};

use crate::damage::{ALL, Damage, KEY, copied, damage, objects, root};
use crate::host::{Batch, Host, Region, Vars, assert_exactly, send_until_acknowledged};

/// Two partitions; segments are made by size only.
fn vars(region: &Region, node: &str, segment: u64) -> Vars {
    region
        .node(node)
        .with("LOCAL_STORAGE_ENCRYPTION_KEY", KEY)
        .with("BACKSTAY_INGEST_PARTITIONS", "2")
        .with("BACKSTAY_SEGMENT_BYTES", &segment.to_string())
        .with("BACKSTAY_SEGMENT_SECONDS", "3600")
        .with("BACKSTAY_SNAPSHOT_SECONDS", "3600")
        .with("BACKSTAY_STATUS_GRACE_SECONDS", "1")
}

/// Where partition 0 stands.
#[derive(Clone, Debug)]
struct Stand {
    term: u64,
    upto: u64,
    covered: u64,
    end: u64,
    index: String,
}

pub fn read<T>(engine: &Engine, read: impl FnOnce(&State) -> T) -> T {
    engine.global().unwrap().read(read)
}

/// Behind the last entry of a partition.
pub fn end(region: &Region, partition: u32) -> u64 {
    let folder = root(region).join(format!("journal/{partition:04}"));
    let slots = std::fs::read_dir(folder).into_iter().flatten();
    let slots = slots.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u64>().ok());
    slots.max().map_or(0, |last| last + 1)
}

fn stand(region: &Region, engine: &Engine) -> Stand {
    let end = end(region, 0);
    read(engine, |state| {
        let partition = state.partition(0).unwrap();
        let window = partition.window.as_ref();
        Stand {
            term: partition.term,
            upto: window.map_or(0, |it| it.upto),
            covered: partition.covered,
            end,
            index: window.map_or_else(String::new, |window| {
                format!("windows/0000/{:020}-{:020}", window.term, window.number)
            }),
        }
    })
}

/// Whether no segment comes that would change where the partition stands. On a machine that is
/// busy one may be a while on its way.
fn stays(region: &Region, host: &Host, stand_now: &Stand) -> bool {
    (0..20).all(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        stand(region, &host.engine).covered == stand_now.covered
    })
}

struct Fixture {
    region: Region,
    stand: Stand,
    /// The names of all batches; each has a key.
    batches: Vec<String>,
    acknowledged: BTreeSet<String>,
}

impl Fixture {
    fn send(&mut self, host: &Host, name: String) {
        let batch = Batch::keyed(&name);
        assert!(!send_until_acknowledged(&[host], &batch), "{name} is new");
        self.acknowledged.extend(batch.ids());
        self.batches.push(name);
    }
}

/// A bucket whose partition 0 has, in this order: batches of which an index has the keys; a seal and
/// batches that are in segments, but not in the index; batches that are in no segment. Nobody runs
/// on it.
fn fixture() -> Fixture {
    let mut fixture = Fixture {
        region: Region::new(),
        stand: Stand {
            term: 0,
            upto: 0,
            covered: 0,
            end: 0,
            index: String::new(),
        },
        batches: Vec::new(),
        acknowledged: BTreeSet::new(),
    };
    let first = Host::start(&vars(&fixture.region, "a", 1));
    for n in 0..16 {
        fixture.send(&first, format!("first-{n}"));
    }
    first.until("all is in segments", |engine| {
        (0..2).all(|id| {
            let end = end(&fixture.region, id);
            read(engine, |state| state.partition(id).unwrap().covered) == end
        })
    });
    first.kill();
    // Its takeover writes the index; of what comes then, there is none for half a minute.
    let second = Host::start(&vars(&fixture.region, "b", 400));
    let mut n = 0;
    loop {
        fixture.send(&second, format!("second-{n:03}"));
        n += 1;
        let now = stand(&fixture.region, &second.engine);
        // So few entries make no segment, unless one is on its way.
        let few = (2..=4).contains(&(now.end - now.covered));
        if now.upto > 2
            && now.covered > now.upto + 3
            && few
            && stays(&fixture.region, &second, &now)
        {
            fixture.stand = now;
            break;
        }
        assert!(n < 500, "{now:?}");
    }
    second.kill();
    fixture
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    /// Batches with a key of this partition are refused.
    Keys,
    /// Nobody takes the partition.
    NotTaken,
}

struct Case<'a> {
    fixture: &'a Fixture,
    objects: &'a [String],
    object: String,
    how: Damage,
    effect: Effect,
}

impl Case<'_> {
    /// Sends all batches once more: none is ever taken for new. How many are known, and how many
    /// are refused because of the object.
    fn send_again(&self, host: &Host) -> (usize, usize) {
        let (mut known, mut refused) = (0, 0);
        for name in &self.fixture.batches {
            let batch = Batch::keyed(name);
            // Until the first look at what is damaged, the partition is on its way.
            let begun = std::time::Instant::now();
            loop {
                match host.send(&batch) {
                    Ok(true) => break known += 1,
                    Ok(false) => panic!("{self:?}: {name} is taken for new"),
                    Err(IngestError::KeysUnknown {
                        partition, detail, ..
                    }) => {
                        assert_eq!(partition, 0, "{self:?}");
                        assert!(detail.contains(&self.object), "{self:?}: {detail}");
                        break refused += 1;
                    }
                    Err(other) => {
                        assert!(begun.elapsed().as_secs() < 120, "{self:?}: {other}");
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        (known, refused)
    }

    /// The operator gives up what no backup has: then every batch is taken, some a second time, and
    /// what was given up is settled for the next owner too.
    fn run_forgetting(&self) {
        let region = copied(&root(&self.fixture.region), self.objects);
        damage(&root(&region), self.objects, &self.object, self.how);
        let vars = |node: &str| vars(&region, node, 100_000_000);
        let host = Host::start(&vars("c").with("BACKSTAY_FORGET_LOST_KEYS", "true"));
        let send = |host: &Host| {
            let batches = self.fixture.batches.iter().map(|name| Batch::keyed(name));
            batches
                .filter(|it| send_until_acknowledged(&[host], it))
                .count()
        };
        let (all, known) = (self.fixture.batches.len(), send(&host));
        assert!((1..all).contains(&known), "{self:?}: {known} of {all}");
        assert_eq!(send(&host), all, "{self:?}");
        assert!(host.engine.metrics().keys_forgotten.get() > 0);
        host.kill();
        let next = Host::start(&vars("d"));
        assert_eq!(send(&next), all, "{self:?}");
        next.until("nothing is degraded", |engine| {
            engine.status().degraded.is_empty()
        });
        next.kill();
    }

    fn run(&self) {
        let region = copied(&root(&self.fixture.region), self.objects);
        let path: PathBuf = root(&region).join(&self.object);
        let whole = std::fs::read(&path).unwrap();
        damage(&root(&region), self.objects, &self.object, self.how);
        let host = Host::start(&vars(&region, "c", 100_000_000));
        let mut acknowledged = self.fixture.acknowledged.clone();
        let all = self.fixture.batches.len();
        let (known, refused) = self.send_again(&host);
        match self.effect {
            Effect::None => assert_eq!((known, refused), (all, 0), "{self:?}"),
            _ => assert!(known > 0 && refused > 0, "{self:?}: {known}, {refused}"),
        }
        // What has no key is taken all the while, in this partition too if it can be.
        let before = end(&region, 0);
        for n in 0..8 {
            let batch = Batch::plain(&format!("plain-{n}"));
            send_until_acknowledged(&[&host], &batch);
            acknowledged.extend(batch.ids());
        }
        let taken = self.effect != Effect::NotTaken;
        assert_eq!(end(&region, 0) > before, taken, "{self:?}");
        if self.effect != Effect::None {
            host.until("it is told", |engine| {
                let mut told = engine.status().degraded.into_iter();
                told.any(|it| it.reason == "partition" && it.detail.contains(&self.object))
            });
        }
        assert!(
            host.engine.status().ok,
            "{self:?}: {:?}",
            host.engine.status()
        );
        if taken {
            assert_exactly(&host, &acknowledged);
        } else {
            let error = host.find().unwrap_err().to_string();
            assert!(error.contains(&self.object), "{self:?}: {error}");
        }
        std::fs::write(&path, whole).unwrap();
        for name in &self.fixture.batches {
            let duplicate = send_until_acknowledged(&[&host], &Batch::keyed(name));
            assert!(duplicate, "{self:?}: {name} is taken for new");
        }
        assert_exactly(&host, &acknowledged);
        // What fails is tried again with the term that was announced for it.
        let term = stand(&region, &host.engine).term;
        assert_eq!(term, self.fixture.stand.term + 1, "{self:?}");
        host.kill();
    }
}

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} ({:?})", self.object, self.how, self.effect)
    }
}

#[test]
fn what_is_damaged_keeps_a_partition_from_what_needs_it_and_from_nothing_else() {
    let fixture = fixture();
    let stand = &fixture.stand;
    let objects = objects(Path::new(&root(&fixture.region)));
    let entry = |seq: u64| format!("journal/0000/{seq:020}");
    let seal: &[Damage] = &[Damage::Flipped];
    let places: [(&str, String, Effect, &[Damage]); 6] = [
        ("a seal below the index", entry(0), Effect::None, seal),
        ("a batch below", entry(stand.upto - 1), Effect::None, &ALL),
        ("a covered seal", entry(stand.upto), Effect::Keys, seal),
        ("a batch", entry(stand.upto + 1), Effect::Keys, &ALL),
        (
            "one in no segment",
            entry(stand.covered),
            Effect::NotTaken,
            &ALL,
        ),
        ("the index", stand.index.clone(), Effect::Keys, &ALL),
    ];
    let mut cases = Vec::new();
    for (place, object, effect, damages) in places {
        assert!(objects.contains(&object), "{place}: {object}, {stand:?}");
        cases.extend(damages.iter().map(|how| Case {
            fixture: &fixture,
            objects: &objects,
            object: object.clone(),
            how: *how,
            effect,
        }));
    }
    // Some at a time: most of it is waiting.
    std::thread::scope(|scope| {
        for half in 0..2 {
            let cases = &cases;
            scope.spawn(move || cases.iter().skip(half).step_by(2).for_each(Case::run));
            let lost = cases.iter().filter(|it| it.effect == Effect::Keys);
            scope.spawn(move || lost.skip(half).step_by(2).for_each(Case::run_forgetting));
        }
    });
}
