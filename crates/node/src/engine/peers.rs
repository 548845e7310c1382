//! Who else is there, and who does what this node does not.
//!
//! A load balancer sends any request to any node: events to one that owns no partition, searches to
//! one that does not search, and both to one that is about to end. Whatever a node does not do
//! itself it passes on, and waits where a partition is on its way from one node to another: who has
//! asked sees none of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::api::IngestError;
use super::plan::{assign, takers};
use super::running::{Peer, Running};
use super::view;

/// How often the keeper is asked to look, at the most: its round is a write.
const MIN_KEEPER_INTERVAL: Duration = Duration::from_millis(250);

impl Running {
    /// The other hosts that live, by id. One that has said that it ends is not among them, though
    /// the last round of the keeper may have seen it.
    pub(crate) fn peers(&self, wanted: impl Fn(&Peer) -> bool) -> Vec<(String, Peer)> {
        let alive = self.alive.read().clone();
        self.global.read(|state| {
            alive
                .into_iter()
                .filter(|(host, peer)| *host != self.host && wanted(peer))
                .filter(|(host, _)| state.host(host).is_some())
                .collect()
        })
    }

    /// Ids of the hosts that live, as this node sees it; itself is one of them.
    pub(crate) fn living(&self) -> BTreeSet<String> {
        let mut living: BTreeSet<String> = self.alive.read().keys().cloned().collect();
        living.insert(self.host.clone());
        living
    }

    /// URLs of the other nodes that search, in the order in which to ask them.
    pub(crate) fn searchers(&self) -> Vec<String> {
        let mut urls: Vec<String> = self
            .peers(|peer| peer.searches)
            .into_iter()
            .map(|(_, peer)| peer.url)
            .collect();
        let first = self.next_peer.next(urls.len());
        urls.rotate_left(first);
        urls
    }

    /// URL of `host`, or of its heir: of the nodes that search, the first. `None` for this node.
    pub(crate) fn home(&self, host: &str) -> Option<String> {
        if host == self.host {
            return None;
        }
        let others = self.peers(|peer| peer.searches);
        let searches = self.config.roles.searches();
        let is_before = |heir: &&(String, Peer)| !searches || heir.0 < self.host;
        let known = others.iter().find(|(other, _)| other == host);
        let heir = || others.first().filter(is_before);
        known.or_else(heir).map(|(_, peer)| peer.url.clone())
    }

    /// The live node that should take the batch: the owner of `partition`, whoever is to be that
    /// when there is none, or any that ingests.
    pub(crate) fn elsewhere(&self, partition: Option<u32>) -> IngestError {
        let others = self.peers(|peer| peer.ingests);
        let peer = match partition {
            Some(id) => {
                let owner = self.due_owner(id, &others);
                owner.and_then(|owner| others.iter().find(|(host, _)| *host == owner))
            }
            None => others.get(self.next_peer.next(others.len())),
        };
        match peer {
            Some((_, peer)) => IngestError::Elsewhere {
                url: peer.url.clone(),
            },
            None => IngestError::Unowned {
                detail: match partition {
                    Some(id) => format!("partition {id} is between two owners"),
                    None => "no live node owns a partition".to_owned(),
                },
            },
        }
    }

    /// The owner of a partition, or who takes it next if that one is gone.
    fn due_owner(&self, partition: u32, others: &[(String, Peer)]) -> Option<String> {
        let ownership = self.global.read(view::ownership);
        let mut hosts: Vec<(&str, bool)> = others
            .iter()
            .map(|(host, peer)| (host.as_str(), peer.stays))
            .collect();
        let owner = ownership.iter().find(|(id, ..)| *id == partition);
        let owner = owner.and_then(|(_, owner, _)| owner.as_deref());
        let here = self.host.as_str();
        // Who has said that it ends takes nothing, and what it has goes to others.
        let own = self.global.read(|state| state.host(here).cloned());
        let stays = own.is_some();
        let lives =
            |owner: &&str| hosts.iter().any(|(host, _)| host == owner) || (stays && *owner == here);
        if let Some(owner) = owner.filter(lives) {
            return Some(owner.to_owned());
        }
        if let Some(own) = own.filter(|_| self.config.roles.ingests()) {
            hosts.push((here, !own.is_being_evicted));
        }
        let hosts = takers(hosts.into_iter());
        let owners: Vec<(u32, Option<&str>)> = ownership
            .iter()
            .map(|(id, owner, _)| (*id, owner.as_deref()))
            .collect();
        let due = assign(&owners, &hosts);
        due.get(&partition).map(|host| (*host).to_owned())
    }

    /// Reads `global` to its end, meets who has come since the last round, and has the keeper take
    /// what has no owner any more.
    pub(crate) async fn look_again(&self) {
        if let Err(error) = self.global.refresh().await {
            tracing::debug!(%error, "who owns what cannot be looked up");
        }
        self.meet();
        let is_orphan = self.global.read(|state| {
            state.partitions.iter().any(|partition| {
                let owner = partition.owner.as_deref();
                owner.is_none_or(|owner| state.host(owner).is_none())
            })
        });
        let mut asked = self.asked_to_look.lock();
        if is_orphan && asked.is_none_or(|at| at.elapsed() >= MIN_KEEPER_INTERVAL) {
            *asked = Some(Instant::now());
            self.look.notify_one();
        }
    }

    /// Counts hosts of which no round has judged yet among those that live. A node that ends has no
    /// more rounds, and hands on what it is sent to nodes that have come after its last one too.
    fn meet(&self) {
        let hosts = self.global.read(view::hosts);
        let dead = self.dead.read();
        let mut alive = self.alive.write();
        for host in hosts {
            if !dead.contains(&host.id) {
                let id = host.id.clone();
                alive.entry(id).or_insert_with(|| Peer::from(host));
            }
        }
    }
}
