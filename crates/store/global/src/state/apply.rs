//! What an event does. Never fails: what cannot be meant (a name that is not there) does nothing,
//! the same on every node.

use crate::entity::{Partition, RepositoryId, TermBelow, WindowIndex};
use crate::event::Event;
use crate::segment::Segment;
use crate::state::State;

impl State {
    /// Applies the events of the entry in slot `seq` of `global`, written under `term`.
    pub fn apply(&mut self, seq: u64, term: u64, events: Vec<Event>) {
        for event in events {
            self.apply_one(event);
        }
        self.advance(seq, term);
    }

    /// Passes over the slot `seq`, which began or continued `term` and says nothing else.
    pub fn advance(&mut self, seq: u64, term: u64) {
        self.offset = self.offset.max(seq.saturating_add(1));
        self.term = self.term.max(term);
    }

    pub(crate) fn apply_one(&mut self, event: Event) {
        match event {
            Event::ClusterCreated {
                cluster_id,
                bucket,
                partitions,
            } => {
                if self.is_created() {
                    return;
                }
                self.cluster_id = cluster_id;
                self.buckets.push(bucket);
                self.partitions = (0..partitions).map(new_partition).collect();
            }
            Event::Recovered { .. } => {}
            Event::HostUp { host } => set(&mut self.hosts, host, |a, b| a.id == b.id),
            Event::Heartbeat {
                host,
                counter,
                pace_ms,
                settled,
                ran,
            } => {
                if let Some(known) = self.hosts.iter_mut().find(|known| known.id == host) {
                    known.heartbeat = counter;
                    known.pace_ms = pace_ms;
                    known.settled = settled;
                }
                for (partition, ms) in ran {
                    // Only its owner's time counts: two at once would make keys age too fast.
                    if let Some(known) = self.partition_mut(partition)
                        && known.owner.as_ref() == Some(&host)
                    {
                        known.ran_ms = known.ran_ms.saturating_add(ms);
                    }
                }
            }
            Event::HostDown { host } => {
                self.hosts.retain(|known| known.id != host);
                for partition in &mut self.partitions {
                    if partition.owner.as_ref() == Some(&host) {
                        partition.owner = None;
                    }
                }
            }
            Event::HostEvicted { host, evicted } => {
                if let Some(known) = self.hosts.iter_mut().find(|known| known.id == host) {
                    known.is_being_evicted = evicted;
                }
            }
            Event::PartitionTaken {
                partition,
                host,
                term,
            } => {
                if let Some(known) = self.partition_mut(partition) {
                    known.owner = Some(host);
                    known.term = term;
                }
            }
            Event::SegmentsPublished {
                partition,
                covered_to,
                segments,
                term_below,
                ..
            } => {
                if let Some(known) = self.partition_mut(partition)
                    && covered_to > known.covered
                {
                    known.covered = covered_to;
                    known.below = below(covered_to, term_below);
                }
                self.add_segments(segments);
            }
            Event::WindowIndexed {
                partition,
                term,
                number,
                upto,
                adopted,
                term_below,
            } => {
                if let Some(known) = self.partition_mut(partition) {
                    known.window = Some(WindowIndex {
                        term,
                        number,
                        upto,
                        below: term_below,
                        extra: Default::default(),
                    });
                }
                for record in &mut self.recoveries {
                    let tails = record.tails.iter_mut();
                    for tail in tails.filter(|tail| tail.partition == partition) {
                        tail.keys_pending &= !adopted.contains(&record.id);
                    }
                }
            }
            Event::FloorAdvanced {
                partition, floor, ..
            } => {
                if let Some(known) = self.partition_mut(partition) {
                    known.floor = known.floor.max(floor.min(known.covered));
                }
            }
            Event::TailImported {
                recovery,
                partition,
                to,
                segments,
                term_below,
                ..
            } => {
                let tail = self
                    .recoveries
                    .iter_mut()
                    .filter(|record| record.id == recovery)
                    .flat_map(|record| &mut record.tails)
                    .find(|tail| tail.partition == partition);
                if let Some(tail) = tail {
                    if to > tail.imported {
                        tail.imported = to;
                        tail.imported_below = below(to, term_below);
                    }
                    self.add_segments(segments);
                }
            }
            Event::SegmentsDeleted { segments } => {
                for name in &segments {
                    self.segments.remove(name);
                }
            }
            Event::BucketChanged { bucket } => {
                if let Some(known) = self.buckets.iter_mut().find(|b| b.id == bucket.id) {
                    *known = bucket;
                }
            }
            Event::RepositoryCreated { repository } | Event::RepositoryUpdated { repository } => {
                set(&mut self.repositories, repository, |a, b| a.id == b.id);
            }
            Event::RepositoryDeleted { id } => self.delete_repository(&id),
            Event::ViewSet { view } => set(&mut self.views, view, |a, b| a.id == b.id),
            Event::ViewDeleted { id } => self.views.retain(|it| it.id != id),
            Event::DashboardSet { dashboard } => {
                set(&mut self.dashboards, dashboard, |a, b| a.id == b.id);
            }
            Event::DashboardDeleted { id } => self.dashboards.retain(|it| it.id != id),
            Event::ParserSet { parser } => set(&mut self.parsers, parser, |a, b| a.id == b.id),
            Event::ParserDeleted { id } => self.parsers.retain(|it| it.id != id),
            Event::AlertSet { alert } => set(&mut self.alerts, alert, |a, b| a.id == b.id),
            Event::AlertDeleted { id } => self.alerts.retain(|it| it.id != id),
            Event::IngestTokenAdded { token } => {
                set(&mut self.ingest_tokens, token, |a, b| a.id == b.id);
            }
            Event::IngestTokenRevoked { id } => self.ingest_tokens.retain(|it| it.id != id),
            Event::OrganizationSet { organization } => {
                set(&mut self.organizations, organization, |a, b| a.id == b.id);
            }
            Event::UserSet { user } => set(&mut self.users, user, |a, b| a.id == b.id),
            Event::UserRemoved { id } => self.users.retain(|it| it.id != id),
            Event::DynamicConfigSet { name, value } => {
                match value {
                    Some(value) => self.dynamic_config.insert(name, value),
                    None => self.dynamic_config.remove(&name),
                };
            }
        }
    }

    fn partition_mut(&mut self, id: u32) -> Option<&mut Partition> {
        self.partitions.iter_mut().find(|it| it.id == id)
    }

    fn add_segments(&mut self, segments: Vec<Segment>) {
        for mut segment in segments {
            // A repository that was deleted while its last segments were built stays deleted.
            let known = self.repository(&segment.repository).map(|it| it.id.clone());
            if let Some(shared) = known {
                segment.repository = shared;
                self.segments.insert(segment);
            }
        }
    }

    fn delete_repository(&mut self, id: &RepositoryId) {
        self.repositories.retain(|it| it.id != *id);
        self.ingest_tokens.retain(|it| it.repository != *id);
        self.parsers.retain(|it| it.repository.as_ref() != Some(id));
        for view in &mut self.views {
            view.connections.retain(|it| it.repository != *id);
        }
        let gone: Vec<_> = self.segments.of(id).map(Segment::reference).collect();
        for name in &gone {
            self.segments.remove(name);
        }
    }
}

fn new_partition(id: u32) -> Partition {
    Partition {
        id,
        term: 0,
        covered: 0,
        floor: 0,
        owner: None,
        window: None,
        ran_ms: 0,
        below: None,
        extra: Default::default(),
    }
}

/// What is known of a position that was moved to `seq`: of an earlier one it would be wrong.
fn below(seq: u64, term: Option<u64>) -> Option<TermBelow> {
    term.map(|term| TermBelow::at(seq, term))
}

/// Replaces the one that `same` says it is, keeping its place, or adds it.
fn set<T>(all: &mut Vec<T>, item: T, same: impl Fn(&T, &T) -> bool) {
    match all.iter_mut().find(|known| same(known, &item)) {
        Some(known) => *known = item,
        None => all.push(item),
    }
}
