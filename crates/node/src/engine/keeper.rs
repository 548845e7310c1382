//! The round that keeps a node in its cluster: say that it lives, see who else does, give up what
//! is lost, take what is due.

use std::collections::BTreeSet;
use std::time::Instant;

use backstay_failpoint::hit;
use backstay_global::{CommitError, Event, Reject};
use futures::future::join_all;

use super::plan::{Leases, assign};
use super::running::{Peer, Running};
use super::view;

/// What a round found that the node cannot go on with.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The heartbeat is not in the journal: the bucket is away, or the node is fenced.
    #[error(transparent)]
    Global(#[from] CommitError),
    /// Another process has been started with this host id.
    #[error(
        "another process runs as host {host} (start {incarnation}); give every node a data folder (DIRECTORY) of its own"
    )]
    Superseded {
        /// The host id.
        host: String,
        /// The other start.
        incarnation: String,
    },
}

/// What the rounds remember.
pub(crate) struct Keeper {
    leases: Leases,
    counter: u64,
}

impl Keeper {
    pub(crate) fn new(running: &Running) -> Self {
        Self {
            leases: Leases::new(running.config.tuning.lease),
            counter: 0,
        }
    }

    /// One round.
    pub(crate) async fn round(&mut self, running: &Running) -> Result<(), RoundError> {
        self.beat(running).await?;
        running.prove();
        let hosts = running.global.read(view::hosts);
        let own = hosts.iter().find(|host| host.id == running.host);
        if let Some(own) = own
            && own.sign.incarnation != running.incarnation
        {
            return Err(RoundError::Superseded {
                host: running.host.clone(),
                incarnation: own.sign.incarnation.clone(),
            });
        }
        let signs = hosts
            .iter()
            .map(|host| (host.id.clone(), host.sign.clone()));
        let mut dead = self.leases.look(Instant::now(), signs);
        dead.remove(&running.host);
        for host in &hosts {
            if dead.contains(&host.id) {
                let result = running.bury(host).await;
                running.note("bury", &result);
            }
        }
        let peers = hosts.into_iter().filter(|host| !dead.contains(&host.id));
        *running.alive.write() = peers
            .map(|host| {
                let (url, ingests) = (host.url, host.ingests);
                (host.id, Peer { url, ingests })
            })
            .collect();
        let alive = running.alive.read().len();
        running.metrics.hosts_alive.set(alive as i64);
        running.give_up_lost();
        running.take_due().await;
        running.prune();
        Ok(())
    }

    /// Says that this node lives. A node that others have declared dead (it slept) comes up again.
    async fn beat(&mut self, running: &Running) -> Result<(), CommitError> {
        hit("node.heartbeat.before_commit");
        self.counter += 1;
        let counter = self.counter;
        running
            .global
            .commit(|state| {
                let known = view::hosts(state).into_iter().any(|h| h.id == running.host);
                Ok(vec![if known {
                    Event::Heartbeat {
                        host: view::host_id(&running.host),
                        counter,
                    }
                } else {
                    running.host_up()
                }])
            })
            .await?;
        hit("node.heartbeat.after_commit");
        Ok(())
    }
}

impl Running {
    /// Declares a host dead whose sign is still the one that it died with.
    async fn bury(&self, host: &view::HostView) -> Result<(), CommitError> {
        let buried = self
            .global
            .commit(|state| {
                let now = view::hosts(state).into_iter().find(|h| h.id == host.id);
                if now.is_none_or(|now| now.sign != host.sign) {
                    return Err(Reject::new("the host lives or is buried already"));
                }
                Ok(vec![Event::HostDown {
                    host: view::host_id(&host.id),
                }])
            })
            .await;
        match buried {
            Err(CommitError::Rejected(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                tracing::warn!(host = host.id, "silent for a lease: declared dead");
                Ok(())
            }
        }
    }

    /// Drops the partitions that the state or the journal says are another's.
    fn give_up_lost(&self) {
        for owned in self.all_owned() {
            let (owner, term) = self
                .global
                .read(|state| (view::owner(state, owned.id), view::term(state, owned.id)));
            let ours = owner.as_deref() == Some(&self.host) && term == Some(owned.term);
            if !ours || owned.writer().health().fenced.is_some() {
                self.drop_owned(&owned);
            }
        }
    }

    /// Takes the partitions that are this host's by the fair share.
    async fn take_due(&self) {
        if !self.config.roles.ingests() {
            return;
        }
        let partitions = self.global.read(view::ownership);
        let due: Vec<(u32, u64)> = {
            let alive = self.alive.read();
            let hosts: BTreeSet<&str> = alive
                .iter()
                .filter(|(_, peer)| peer.ingests)
                .map(|(host, _)| host.as_str())
                .collect();
            let owners: Vec<(u32, Option<&str>)> = partitions
                .iter()
                .map(|(id, owner, _)| (*id, owner.as_deref()))
                .collect();
            let plan = assign(&owners, &hosts);
            partitions
                .iter()
                .filter(|(id, ..)| plan.get(id).is_some_and(|host| *host == self.host))
                .filter(|(id, ..)| self.owned(*id).is_none())
                .map(|(id, _, term)| (*id, *term))
                .collect()
        };
        let taken = due.iter().map(|(id, term)| self.take(*id, *term));
        for result in join_all(taken).await {
            self.note("takeover", &result);
        }
    }
}
