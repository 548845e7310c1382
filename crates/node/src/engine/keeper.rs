//! The round that keeps a node in its cluster: say that it lives, see who else does, give up what
//! is lost, take what is due.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_failpoint::hit;
use backstay_global::{Event, Host, Reject, State};
use backstay_journal::WriterId;
use futures::future::{Either, select};

use super::plan::{Leases, Pace, Seen, assign, rest, takers};
use super::running::{GlobalError, Peer, Running, signature};
use super::taking::Taking;
use super::view;

/// What a round found that the node cannot go on with.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The heartbeat is not in the journal: the bucket is away, or the node is fenced.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// Another process has been started with this host id.
    #[error(
        "another process runs as host {host} (start {incarnation}); give every node a data folder (DIRECTORY) of its own"
    )]
    Superseded {
        /// Id of the host.
        host: String,
        /// Which start of the host the other process is.
        incarnation: String,
    },
}

/// What the rounds remember.
pub(crate) struct Keeper {
    leases: Leases,
    pace: Pace,
    counter: u64,
    /// The last entry of `global` that the state had at an earlier heartbeat. It is looked for at
    /// the next one, whatever was written since: a bucket that was put back to an older copy between
    /// the two lacks it.
    anchor: Option<u64>,
    taking: Taking,
    /// Whether a round has waited for takeovers: the first does, for a lease at the most.
    has_waited: bool,
}

impl Keeper {
    pub(crate) fn new(running: &Running) -> Self {
        Self {
            leases: Leases::new(running.config.tuning.lease),
            pace: Pace::default(),
            counter: 0,
            anchor: None,
            taking: Taking::default(),
            has_waited: false,
        }
    }

    /// How long to wait until the next round.
    pub(crate) fn rest(&self, running: &Running) -> Duration {
        let tuning = &running.config.tuning;
        let quiet = self.leases.quietest(Instant::now());
        rest(tuning.heartbeat, tuning.lease, self.pace.slowest(), quiet)
    }

    /// Does one round: a heartbeat, a look at the others, and what follows from it.
    pub(crate) async fn round(&mut self, running: &Arc<Running>) -> Result<(), RoundError> {
        self.beat(running).await?;
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
        let seen = hosts
            .iter()
            .map(|host| (host.id.clone(), running.seen(host)));
        let seen: Vec<(String, Seen)> = seen.collect();
        let own = self.pace.slowest();
        let mut dead = self.leases.look(Instant::now(), own, seen.clone());
        dead.remove(&running.host);
        for (host, (_, seen)) in hosts.iter().zip(&seen) {
            if dead.contains(&host.id) {
                let result = running.declare_down(host, seen).await;
                running.note("declare_down", &result);
            }
        }
        // First, so that nobody who is asked meanwhile meets one of them again.
        running.dead.write().clone_from(&dead);
        let peers = hosts.into_iter().filter(|host| !dead.contains(&host.id));
        *running.alive.write() = peers
            .map(|host| (host.id.clone(), Peer::from(host)))
            .collect();
        let alive = running.alive.read().len();
        running.metrics.hosts_alive.set(alive as i64);
        running.give_up_lost();
        self.take_due(running).await?;
        running.note_owners(Instant::now());
        running.prune();
        Ok(())
    }

    /// Takes what is due, and says all the while that this node lives: a takeover reads a stream
    /// as far back as keys are known, which may be longer than a lease. Were it silent meanwhile,
    /// the others would take its partitions away before it had them, and so would it theirs.
    ///
    /// Each partition is taken on its own. One whose takeover is slow holds up neither the others nor
    /// the rounds, and a node that starts waits for it for a lease, then serves what it has.
    async fn take_due(&mut self, running: &Arc<Running>) -> Result<(), GlobalError> {
        for (partition, term) in running.due() {
            self.taking.begin(running, partition, term);
        }
        for owned in running.all_owned() {
            if !owned.knows_keys() {
                self.taking.begin(running, owned.id, owned.term);
            }
        }
        let patience = Instant::now() + running.config.tuning.lease;
        while !self.has_waited && !self.taking.is_idle() && Instant::now() < patience {
            let rest = self.rest(running);
            if !self.taking.one(running, rest).await {
                self.beat(running).await?;
            }
        }
        self.has_waited = true;
        self.taking.ended(running);
        Ok(())
    }

    /// Says that this node lives. A node that others have declared dead (it slept) comes up again.
    async fn beat(&mut self, running: &Running) -> Result<(), GlobalError> {
        hit("node.heartbeat.before_commit");
        self.counter += 1;
        let counter = self.counter;
        let pace_ms = u64::try_from(self.pace.slowest().as_millis()).unwrap_or(u64::MAX);
        let begun = Instant::now();
        let owned = running.all_owned();
        let ran: Vec<(u32, u64)> = owned.iter().filter_map(|it| it.report_ran()).collect();
        let beaten = running.commit(|state| {
            let known = match state.host(&running.host) {
                Some(known) => known,
                None => return Ok(vec![running.host_up(state, counter)]),
            };
            if known.incarnation != running.incarnation {
                return Err(Reject::new("another process is this host"));
            }
            Ok(vec![Event::Heartbeat {
                host: running.host.clone(),
                counter,
                pace_ms,
                settled: running.settled(),
                ran: ran.clone(),
            }])
        });
        let last = running.global.read(|state| state.offset.checked_sub(1));
        let anchor = self.anchor.or(last);
        // At the same time, and only for as long as the heartbeat takes, which it must not delay.
        let anchored = async {
            match anchor {
                Some(anchor) => running.global.expect_entry(anchor).await,
                None => Ok(()),
            }
        };
        let beaten = match select(pin!(anchored), pin!(beaten)).await {
            Either::Left((Err(error @ GlobalError::Contradicted { .. }), _)) => return Err(error),
            Either::Left((anchored, beaten)) => {
                if anchored.is_ok() {
                    self.anchor = last;
                }
                beaten.await
            }
            Either::Right((beaten, _)) => beaten,
        };
        beaten?;
        for owned in owned {
            owned.ran_counted();
        }
        self.pace.note(begun.elapsed());
        hit("node.heartbeat.after_commit");
        Ok(())
    }
}

impl Running {
    /// What this node knows of a host.
    fn seen(&self, host: &view::HostView) -> Seen {
        let writer = signature(&host.id, &host.sign.incarnation);
        Seen {
            sign: host.sign.clone(),
            last_entry: self.global.last_entry_of(&WriterId(writer)),
            pace: host.pace,
        }
    }

    /// Declares a host dead whose sign is still the one that it died with.
    async fn declare_down(&self, host: &view::HostView, seen: &Seen) -> Result<(), GlobalError> {
        let buried = self
            .commit(|state| {
                let now = state.host(&host.id).map(view::HostView::from);
                if now.is_none_or(|now| self.seen(&now) != *seen) {
                    return Err(Reject::new("the host lives or is buried already"));
                }
                Ok(vec![Event::HostDown {
                    host: host.id.clone(),
                }])
            })
            .await?;
        if buried {
            tracing::warn!(host = host.id, "silent for a lease: declared dead");
        }
        Ok(())
    }

    /// Says that this node is up.
    pub(crate) fn host_up(&self, state: &State, heartbeat: u64) -> Event {
        let known = state.host(&self.host);
        Event::HostUp {
            host: Host {
                id: self.host.clone(),
                incarnation: self.incarnation.clone(),
                url: self.config.external_url.to_string(),
                roles: vec![self.config.roles.to_string()],
                heartbeat,
                pace_ms: 0,
                settled: Vec::new(),
                started_ms: self.started_ms,
                vhost: view::vhost(state, &self.host),
                zone: self.config.zone.clone(),
                is_being_evicted: known.is_some_and(|host| host.is_being_evicted),
                extra: Default::default(),
            },
        }
    }

    /// Says that this node ends, so that nobody has to wait for its lease.
    pub(crate) async fn host_down(&self) -> Result<(), GlobalError> {
        self.commit(|state| {
            let own = state.host(&self.host);
            if own.is_none_or(|own| own.incarnation != self.incarnation) {
                return Err(Reject::new("this host is down already"));
            }
            Ok(vec![Event::HostDown {
                host: self.host.clone(),
            }])
        })
        .await?;
        Ok(())
    }

    /// Drops the partitions that the state or the journal says are another's.
    pub(crate) fn give_up_lost(&self) {
        for owned in self.all_owned() {
            let ours = self
                .global
                .read(|state| view::holds(state, owned.id, &self.host, owned.term));
            if !ours || owned.writer().health().fenced.is_some() {
                self.drop_owned(&owned);
            }
        }
    }

    /// The partitions that are this host's by the fair share and that it has not, with their terms.
    fn due(&self) -> Vec<(u32, u64)> {
        if !self.config.roles.ingests() {
            return Vec::new();
        }
        let partitions = self.global.read(view::ownership);
        {
            let alive = self.alive.read();
            let ingesting = alive.iter().filter(|(_, peer)| peer.ingests);
            let hosts = takers(ingesting.map(|(host, peer)| (host.as_str(), peer.stays)));
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
        }
    }
}
