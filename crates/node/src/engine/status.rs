//! Whether a node should get traffic, and what is not as it should be: a decision over what the
//! parts say of themselves.
//!
//! A failover must never be worse than the fault. So only that is 503 which keeps this region from
//! taking events: it does not hold the term, its own bucket fails, or nobody writes any partition.
//! All else is `degraded`: history that cannot be read, an object that is damaged, a partition
//! without an owner while others have one. A search that needs any of it is an error.

use std::time::{Duration, Instant};

use super::api::{Degraded, NotImported, Phase, Status, StatusPart};
use super::running::Running;
use super::taking::KEYS;
use super::view;

/// What is decided upon.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) phase: Phase,
    /// Of a node that has loaded its state.
    pub(crate) loaded: Option<Loaded>,
}

/// What a loaded node knows.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// For so long something may be wrong without being reported.
    pub(crate) grace: Duration,
    /// Since something was last shown to be durable.
    pub(crate) silent: Duration,
    /// Whether it takes events by its role.
    pub(crate) ingests: bool,
    /// Partitions of the cluster.
    pub(crate) partitions: usize,
    /// Partitions that this node writes.
    pub(crate) owned: usize,
    /// Those of them that have not acknowledged for longer than the grace although something waits.
    pub(crate) stuck: usize,
    /// The partitions without a live owner, and for how long.
    pub(crate) unowned: Vec<(u32, Duration)>,
    /// Steps that do not succeed, and for how long.
    pub(crate) failing: Vec<Failing>,
    /// Steps of partitions that are under way, and for how long they have not got on.
    pub(crate) under_way: Vec<(&'static str, u32, Duration)>,
    /// What searches failed with of late, and when last.
    pub(crate) searches: Vec<(String, Duration)>,
    /// What lies only in the buckets of recovered clusters.
    pub(crate) not_imported: Vec<NotImported>,
    /// How the partitions that this node writes are, in words.
    pub(crate) detail: String,
}

/// A step that does not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(crate) step: &'static str,
    pub(crate) of: Option<u32>,
    pub(crate) lasts: Duration,
    pub(crate) text: String,
}

/// A bucket that holds history and cannot be read: searches need it, whatever the step's next try.
pub(crate) const BUCKET: &str = "bucket";
/// Nobody writes a partition.
const PARTITION: &str = "partition";
/// A step in the background does not succeed.
const BACKGROUND: &str = "background";
/// A search has failed.
const SEARCH: &str = "search";

/// All that can be degraded, as the metric's label has it.
pub(crate) const REASONS: [&str; 4] = [BUCKET, PARTITION, SEARCH, BACKGROUND];

/// The status of a node in `phase`.
pub(crate) fn status(phase: &Phase, running: Option<&Running>) -> Status {
    decide(&Facts {
        phase: phase.clone(),
        loaded: running.map(|running| look(running, Instant::now())),
    })
}

/// Decides whether a node should get traffic, and what is degraded.
pub(crate) fn decide(facts: &Facts) -> Status {
    let ready = facts.phase == Phase::Ready;
    let mut parts = vec![StatusPart {
        name: "phase",
        ok: ready,
        detail: facts.phase.to_string(),
    }];
    let mut reason = (!ready).then(|| facts.phase.to_string());
    let mut degraded = Vec::new();
    let mut not_imported = Vec::new();
    if let Some(loaded) = &facts.loaded {
        let journal = journal(loaded);
        let partitions = partitions(loaded);
        for part in [&journal, &partitions] {
            if !part.ok && reason.is_none() {
                reason = Some(part.detail.clone());
            }
        }
        degraded = all_degraded(loaded);
        not_imported.clone_from(&loaded.not_imported);
        parts.extend([journal, partitions, import(loaded), background(loaded)]);
    }
    Status {
        ok: reason.is_none(),
        reason,
        degraded,
        not_imported,
        parts,
    }
}

/// What is still only in a recovered cluster's bucket is searched there: nothing is wrong.
fn import(loaded: &Loaded) -> StatusPart {
    let text = |it: &NotImported| {
        format!(
            "{} journal entries of {} partitions are only in container {} of cluster {}; keep it until they are imported",
            it.entries, it.partitions, it.container, it.from_cluster
        )
    };
    let texts: Vec<String> = loaded.not_imported.iter().map(text).collect();
    StatusPart {
        name: "import",
        ok: true,
        detail: if texts.is_empty() {
            "nothing is left to import".to_owned()
        } else {
            texts.join("; ")
        },
    }
}

/// A node that could not have acknowledged anything for the grace time counts as down: heartbeats
/// and batches both prove that it could.
fn journal(loaded: &Loaded) -> StatusPart {
    let (ok, detail) = if loaded.silent > loaded.grace {
        (
            false,
            format!(
                "nothing could be acknowledged for {} s; check that the bucket can be reached and written",
                loaded.silent.as_secs()
            ),
        )
    } else if loaded.stuck > 0 && loaded.stuck == loaded.owned {
        (
            false,
            format!(
                "no partition has acknowledged anything for {} s; check that the bucket can be written",
                loaded.grace.as_secs()
            ),
        )
    } else {
        (
            true,
            format!("last durable {} s ago", loaded.silent.as_secs()),
        )
    };
    StatusPart {
        name: "journal",
        ok,
        detail,
    }
}

/// Where nobody writes any partition, no event can be taken.
fn partitions(loaded: &Loaded) -> StatusPart {
    let beyond = beyond_grace(loaded);
    let none = loaded.partitions > 0 && beyond.len() == loaded.partitions;
    let ok = !(none && loaded.ingests);
    StatusPart {
        name: "partitions",
        ok,
        detail: if ok {
            loaded.detail.clone()
        } else {
            let why = beyond.first().map(|(id, _)| why_unowned(loaded, *id));
            format!(
                "no event can be taken: no partition has had an owner for {} s{}",
                loaded.grace.as_secs(),
                why.unwrap_or_default()
            )
        },
    }
}

fn beyond_grace(loaded: &Loaded) -> Vec<(u32, Duration)> {
    let unowned = loaded.unowned.iter().copied();
    unowned.filter(|(_, lasts)| *lasts > loaded.grace).collect()
}

fn why_unowned(loaded: &Loaded, partition: u32) -> String {
    let mut failing = loaded.failing.iter();
    let takeover = failing.find(|it| it.step == "takeover" && it.of == Some(partition));
    takeover.map_or_else(String::new, |it| format!(": {}", it.text))
}

fn all_degraded(loaded: &Loaded) -> Vec<Degraded> {
    let mut all = Vec::new();
    for (id, lasts) in beyond_grace(loaded) {
        all.push(Degraded {
            reason: PARTITION,
            what: format!("partition {id}"),
            detail: format!(
                "has had no owner for {} s; batches whose key is of this partition are refused{}",
                lasts.as_secs(),
                why_unowned(loaded, id)
            ),
        });
    }
    for failing in &loaded.failing {
        let name = match failing.of {
            Some(of) => format!("{} {of}", failing.step),
            None => failing.step.to_owned(),
        };
        if failing.step == BUCKET {
            all.push(Degraded {
                reason: BUCKET,
                what: name,
                detail: format!("searches of what is in there fail: {}", failing.text),
            });
        } else if failing.step == KEYS && failing.lasts > loaded.grace {
            all.push(Degraded {
                reason: PARTITION,
                what: name,
                detail: format!(
                    "for {} s it has not been known which batches this partition has: those without an idempotency key are taken, those with one are refused: {}",
                    failing.lasts.as_secs(),
                    failing.text
                ),
            });
        } else if failing.step != "takeover" && failing.lasts > loaded.grace {
            all.push(Degraded {
                reason: BACKGROUND,
                what: name,
                detail: format!(
                    "has not succeeded for {} s: {}",
                    failing.lasts.as_secs(),
                    failing.text
                ),
            });
        }
    }
    for (step, of, lasts) in &loaded.under_way {
        let what = format!("{step} {of}");
        if *lasts > loaded.grace && all.iter().all(|it| it.what != what) {
            all.push(Degraded {
                reason: if *step == KEYS { PARTITION } else { BACKGROUND },
                what,
                detail: format!(
                    "has been under way for {} s without getting on: the bucket does not answer",
                    lasts.as_secs()
                ),
            });
        }
    }
    for (text, ago) in &loaded.searches {
        all.push(Degraded {
            reason: SEARCH,
            what: "search".to_owned(),
            detail: format!("failed, {} s ago: {text}", ago.as_secs()),
        });
    }
    all
}

fn background(loaded: &Loaded) -> StatusPart {
    let texts: Vec<String> = loaded
        .failing
        .iter()
        .map(|it| match it.of {
            Some(of) => format!("{} {of}: {}", it.step, it.text),
            None => format!("{}: {}", it.step, it.text),
        })
        .collect();
    StatusPart {
        name: "background",
        ok: texts.is_empty(),
        detail: if texts.is_empty() {
            "nothing failed".to_owned()
        } else {
            texts.join("; ")
        },
    }
}

/// Collects the facts from the parts of the node.
fn look(running: &Running, now: Instant) -> Loaded {
    let grace = running.config.tuning.status_grace;
    let owned = running.all_owned();
    let mut stuck = 0;
    let mut texts = Vec::new();
    for owned in &owned {
        let health = owned.writer().health();
        let waits = health.waiting_since;
        if waits.is_some_and(|since| now.saturating_duration_since(since) > grace) {
            stuck += 1;
        }
        let mut text = format!(
            "{}: term {}, {} bytes wait",
            owned.id, owned.term, health.backlog_bytes
        );
        if let Some(fence) = health.fenced {
            text.push_str(&format!(", fenced: {fence}"));
        }
        if let Some(error) = health.last_error {
            text.push_str(&format!(", {error}"));
        }
        texts.push(text);
    }
    let failing = running.troubles.steps(now).into_iter();
    Loaded {
        grace,
        silent: now.saturating_duration_since(running.last_proof()),
        ingests: running.config.roles.ingests(),
        partitions: running.global.read(|state| state.partitions.len()),
        owned: owned.len(),
        stuck,
        unowned: running.troubles.unowned(now),
        failing: failing
            .map(|it| Failing {
                step: it.step,
                of: it.of,
                lasts: now.saturating_duration_since(it.since),
                text: it.text,
            })
            .collect(),
        under_way: running.troubles.under_way(now),
        searches: running.troubles.searches(now),
        not_imported: running.global.read(view::not_imported),
        detail: if texts.is_empty() {
            "none".to_owned()
        } else {
            texts.join("; ")
        },
    }
}

#[cfg(test)]
mod tests;
