//! What may follow what.

use crate::entity::{BucketEntity, Partition, RepositoryId};
use crate::event::Event;
use crate::segment::Segment;
use crate::state::{Reject, State};

/// More partitions than any cluster has use for.
const MAX_PARTITIONS: u32 = 1024;

impl State {
    /// Whether the event may follow this state.
    ///
    /// # Errors
    /// With the reason, when it may not.
    pub fn check(&self, event: &Event) -> Result<(), Reject> {
        match event {
            Event::ClusterCreated {
                cluster_id,
                bucket,
                partitions,
            } => {
                ensure(!self.is_created(), || {
                    format!("cluster {} exists already", self.cluster_id)
                })?;
                ensure(*cluster_id == self.cluster_id, || {
                    format!("this bucket belongs to cluster {}", self.cluster_id)
                })?;
                ensure(!bucket.read_only && bucket.id > 0, || {
                    "the first bucket must be writable, with an id above 0".to_owned()
                })?;
                ensure((1..=MAX_PARTITIONS).contains(partitions), || {
                    format!("{partitions} partitions; there must be 1 to {MAX_PARTITIONS}")
                })
            }
            Event::Recovered { .. } => Err(Reject::new("only a recovery itself says so")),
            _ if !self.is_created() => Err(Reject::new("the cluster does not exist yet")),
            Event::HostUp { host } => {
                ensure(!host.id.is_empty(), || "a host must have an id".to_owned())
            }
            Event::Heartbeat { host, counter, .. } => {
                let known = self
                    .host(host)
                    .ok_or_else(|| Reject::new(format!("host {host} is not up")))?;
                ensure(*counter > known.heartbeat, || {
                    format!(
                        "host {host}: heartbeat {counter} is not above {}",
                        known.heartbeat
                    )
                })
            }
            Event::HostDown { host } | Event::HostEvicted { host, .. } => {
                ensure(self.host(host).is_some(), || {
                    format!("host {host} is not up")
                })
            }
            Event::PartitionTaken {
                partition,
                host,
                term,
            } => {
                let known = self.known_partition(*partition)?;
                ensure(self.host(host).is_some(), || {
                    format!("host {host} is not up, so it takes no partition")
                })?;
                ensure(known.term.checked_add(1) == Some(*term), || {
                    format!(
                        "partition {partition} is in term {}, so {term} cannot be next",
                        known.term
                    )
                })
            }
            Event::SegmentsPublished {
                partition,
                term,
                covered_from,
                covered_to,
                segments,
                ..
            } => {
                let known = self.in_term(*partition, *term)?;
                ensure(known.covered == *covered_from, || {
                    format!(
                        "partition {partition} is covered up to {}, not {covered_from}",
                        known.covered
                    )
                })?;
                ensure(covered_to > covered_from, || {
                    format!("partition {partition}: {covered_from} to {covered_to} is not progress")
                })?;
                self.check_new(segments)
            }
            Event::FloorAdvanced {
                partition,
                term,
                floor,
            } => {
                let known = self.in_term(*partition, *term)?;
                ensure((known.floor..=known.covered).contains(floor), || {
                    format!(
                        "partition {partition}: floor {floor} is not from {} to {}",
                        known.floor, known.covered
                    )
                })?;
                let indexed = known.window.as_ref().map_or(0, |window| window.upto);
                ensure(*floor <= known.floor.max(indexed), || {
                    format!("partition {partition}: the keys below {floor} are in no index yet")
                })
            }
            Event::WindowIndexed {
                partition,
                term,
                number,
                upto,
                adopted,
                ..
            } => {
                let known = self.in_term(*partition, *term)?;
                if let Some(now) = &known.window {
                    ensure((*term, *number) > (now.term, now.number), || {
                        format!(
                            "partition {partition}: index {term}/{number} is not after {}/{}",
                            now.term, now.number
                        )
                    })?;
                    ensure(*upto >= now.upto, || {
                        format!(
                            "partition {partition}: keys are in an index up to {}, beyond {upto}",
                            now.upto
                        )
                    })?;
                }
                ensure(*upto <= known.covered, || {
                    format!(
                        "partition {partition} is covered up to {}, not {upto}",
                        known.covered
                    )
                })?;
                let pending = |id: &String| {
                    let mut pending = self.pending_keys(*partition);
                    pending.any(|(record, _)| record.id == *id)
                };
                match adopted.iter().find(|id| !pending(id)) {
                    None => Ok(()),
                    Some(id) => Err(Reject::new(format!(
                        "partition {partition}: recovery {id} has no keys to take over"
                    ))),
                }
            }
            Event::TailImported {
                recovery,
                partition,
                from,
                to,
                segments,
                ..
            } => {
                let tail = self
                    .recoveries
                    .iter()
                    .filter(|record| record.id == *recovery)
                    .flat_map(|record| &record.tails)
                    .find(|tail| tail.partition == *partition)
                    .ok_or_else(|| {
                        Reject::new(format!(
                            "recovery {recovery} has no tail of partition {partition}"
                        ))
                    })?;
                ensure(tail.imported == *from, || {
                    format!(
                        "the tail of partition {partition} is imported up to {}, not {from}",
                        tail.imported
                    )
                })?;
                ensure(to > from && *to <= tail.to, || {
                    format!(
                        "{from} to {to} is not within the tail, which ends at {}",
                        tail.to
                    )
                })?;
                self.check_new(segments)
            }
            Event::SegmentsDeleted { segments } => {
                match segments
                    .iter()
                    .find(|name| self.segments.get(name).is_none())
                {
                    None => Ok(()),
                    Some(name) => Err(Reject::new(format!("there is no segment {}", name.id))),
                }
            }
            Event::BucketChanged { bucket } => {
                let Some(known) = self.bucket(bucket.id) else {
                    return Err(Reject::new(format!("there is no bucket {}", bucket.id)));
                };
                ensure(known.read_only == bucket.read_only, || {
                    format!(
                        "bucket {}: which bucket can be written to does not change",
                        bucket.id
                    )
                })?;
                // Another cluster's bucket stays the one that it is.
                let place = |it: &BucketEntity| (it.provider.clone(), it.cluster_id.clone());
                ensure(!known.read_only || place(known) == place(bucket), || {
                    format!("bucket {} belongs to another cluster", bucket.id)
                })
            }
            Event::RepositoryCreated { repository } => {
                let id = &repository.id;
                ensure(is_path_safe(id), || {
                    format!("repository id {id:?}: letters, digits, - and _ only")
                })?;
                ensure(self.repository(id).is_none(), || {
                    format!("there is a repository with id {id} already")
                })?;
                self.free_name(&repository.name, None)
            }
            Event::RepositoryUpdated { repository } => {
                self.known_repository(&repository.id)?;
                self.free_name(&repository.name, Some(repository.id.as_str()))
            }
            Event::RepositoryDeleted { id } => self.known_repository(id),
            Event::ViewSet { view } => {
                for connection in &view.connections {
                    self.known_repository(&connection.repository)?;
                }
                self.free_name(&view.name, Some(&view.id))
            }
            Event::ViewDeleted { id } => known("view", id, self.views.iter().map(|view| &view.id)),
            Event::DashboardSet { .. } | Event::AlertSet { .. } | Event::OrganizationSet { .. } => {
                Ok(())
            }
            Event::DashboardDeleted { id } => {
                known("dashboard", id, self.dashboards.iter().map(|it| &it.id))
            }
            Event::ParserSet { parser } => {
                if let Some(repository) = &parser.repository {
                    self.known_repository(repository)?;
                }
                let twin = self.parsers.iter().any(|other| {
                    other.id != parser.id
                        && other.name == parser.name
                        && other.repository == parser.repository
                });
                ensure(!twin, || {
                    format!("there is a parser named {:?} already", parser.name)
                })
            }
            Event::ParserDeleted { id } => {
                known("parser", id, self.parsers.iter().map(|it| &it.id))
            }
            Event::AlertDeleted { id } => known("alert", id, self.alerts.iter().map(|it| &it.id)),
            Event::IngestTokenAdded { token } => {
                self.known_repository(&token.repository)?;
                let twin = self.ingest_tokens.iter().any(|other| {
                    other.id == token.id
                        || other.token_hash == token.token_hash
                        || (other.repository == token.repository && other.name == token.name)
                });
                ensure(!twin, || {
                    format!("there is an ingest token named {:?} already", token.name)
                })
            }
            Event::IngestTokenRevoked { id } => known(
                "ingest token",
                id,
                self.ingest_tokens.iter().map(|it| &it.id),
            ),
            Event::UserSet { user } => {
                let twin = self
                    .users
                    .iter()
                    .any(|other| other.id != user.id && other.username == user.username);
                ensure(!twin, || {
                    format!("there is a user named {:?} already", user.username)
                })
            }
            Event::UserRemoved { id } => known("user", id, self.users.iter().map(|it| &it.id)),
            Event::DynamicConfigSet { name, .. } => ensure(!name.is_empty(), || {
                "a dynamic configuration must have a name".to_owned()
            }),
        }
    }

    fn known_partition(&self, id: u32) -> Result<&Partition, Reject> {
        self.partition(id)
            .ok_or_else(|| Reject::new(format!("there is no partition {id}")))
    }

    fn in_term(&self, id: u32, term: u64) -> Result<&Partition, Reject> {
        let known = self.known_partition(id)?;
        ensure(known.term == term, || {
            format!(
                "partition {id} is in term {}, no longer in {term}",
                known.term
            )
        })?;
        Ok(known)
    }

    fn known_repository(&self, id: &RepositoryId) -> Result<(), Reject> {
        ensure(self.repository(id).is_some(), || {
            format!("there is no repository with id {id}")
        })
    }

    /// Whether a repository or view may be called so; `of` is the one that may be already.
    fn free_name(&self, name: &str, of: Option<&str>) -> Result<(), Reject> {
        ensure(!name.is_empty(), || "the name is empty".to_owned())?;
        let mut ids = self
            .repositories
            .iter()
            .filter(|other| other.name == name)
            .map(|other| other.id.as_str())
            .chain(
                self.views
                    .iter()
                    .filter(|other| other.name == name)
                    .map(|other| other.id.as_str()),
            );
        ensure(ids.all(|id| Some(id) == of), || {
            format!("there is a repository or view named {name:?} already")
        })
    }

    fn check_new(&self, segments: &[Segment]) -> Result<(), Reject> {
        let own = self.writable_bucket().map(|bucket| bucket.id);
        for segment in segments {
            ensure(Some(segment.bucket) == own, || {
                format!("segment {} is not in this cluster's own bucket", segment.id)
            })?;
            ensure(segment.start_ms <= segment.end_ms, || {
                format!("segment {} ends before it starts", segment.id)
            })?;
            ensure(self.segments.get(&segment.reference()).is_none(), || {
                format!("segment {} is published already", segment.id)
            })?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), Reject> {
    if holds {
        Ok(())
    } else {
        Err(Reject::new(reason()))
    }
}

fn known<'a>(
    what: &str,
    id: &str,
    mut all: impl Iterator<Item = &'a String>,
) -> Result<(), Reject> {
    ensure(all.any(|known| known == id), || {
        format!("there is no {what} with id {id}")
    })
}

/// The id becomes part of object names.
fn is_path_safe(id: &RepositoryId) -> bool {
    let text = id.as_str();
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.len() <= 128 && text.bytes().all(safe)
}
