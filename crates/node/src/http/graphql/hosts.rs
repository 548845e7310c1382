//! The cluster's hosts, and how one leaves.
//!
//! humio-operator takes a node out by marking it as being evicted, waiting until nothing is left that only it
//! has, ending its pod, and unregistering it. Nothing is ever on one host alone here: what is acknowledged is in the
//! bucket. So an eviction is that the others take its partitions.

use std::collections::BTreeSet;

use async_graphql::{Context, ErrorExtensions, Object, Result, SimpleObject};
use backstay_global as state;
use backstay_global::{Event, GlobalLog, Reject, State};

use super::change::{ChangeError, change, global};
use crate::Engine;

/// Why a host must not be unregistered yet.
#[derive(Clone, SimpleObject)]
pub(super) struct ReasonsNodeCannotBeSafelyUnregistered {
    /// It lives.
    is_alive: bool,
    /// Never: the bucket has everything.
    has_under_replicated_data: bool,
    /// Never, likewise.
    has_data_that_exists_only_on_this_node: bool,
    /// It owns partitions.
    leads_digest: bool,
}

/// A host that is up, or was when last heard of.
#[derive(SimpleObject)]
pub(super) struct ClusterNode {
    /// Its number, unique among those that are up.
    id: u32,
    /// Its lasting name.
    uuid: String,
    /// The same, for people.
    name: String,
    /// Where it is, as `ZONE` says.
    zone: Option<String>,
    /// Where it is reached.
    uri: String,
    /// What it does, as in `NODE_ROLES`.
    roles: Vec<String>,
    /// Whether it lives.
    is_available: bool,
    /// Whether it is to go.
    is_being_evicted: bool,
    /// Why it must not be unregistered yet.
    reasons_node_cannot_be_safely_unregistered: ReasonsNodeCannotBeSafelyUnregistered,
    /// Whether none of these holds.
    can_be_safely_unregistered: bool,
}

/// An ingest partition.
#[derive(SimpleObject)]
pub(super) struct IngestPartition {
    /// Its number, from 0.
    id: u32,
    /// Who writes it: one host or, for a moment, none.
    node_ids: Vec<u32>,
}

/// The cluster.
#[derive(SimpleObject)]
pub(super) struct Cluster {
    /// Its id.
    id: String,
    /// Its hosts.
    nodes: Vec<ClusterNode>,
    /// Its partitions, and who writes them.
    ingest_partitions: Vec<IngestPartition>,
}

/// A host's numbers were looked at again.
#[derive(SimpleObject)]
pub(super) struct RefreshClusterManagementStatsMutation {
    /// What was found.
    reasons_node_cannot_be_safely_unregistered: ReasonsNodeCannotBeSafelyUnregistered,
}

/// A host is gone.
#[derive(SimpleObject)]
pub(super) struct UnregisterNodeMutation {
    /// What is left.
    cluster: Cluster,
}

impl Cluster {
    fn of(state: &State, living: &BTreeSet<String>) -> Self {
        let nodes = state.hosts.iter();
        let partitions = state.partitions.iter().map(|partition| {
            let owner = partition.owner.as_deref().and_then(|id| state.host(id));
            IngestPartition {
                id: partition.id,
                node_ids: owner.map(|host| host.vhost).into_iter().collect(),
            }
        });
        Self {
            id: state.cluster_id.clone(),
            nodes: nodes.map(|host| node(state, host, living)).collect(),
            ingest_partitions: partitions.collect(),
        }
    }
}

fn node(state: &State, host: &state::Host, living: &BTreeSet<String>) -> ClusterNode {
    let reasons = reasons(state, host, living);
    ClusterNode {
        id: host.vhost,
        uuid: host.id.clone(),
        name: host.id.clone(),
        zone: host.zone.clone(),
        uri: host.url.clone(),
        roles: host.roles.clone(),
        is_available: reasons.is_alive,
        is_being_evicted: host.is_being_evicted,
        can_be_safely_unregistered: !reasons.is_alive && !reasons.leads_digest,
        reasons_node_cannot_be_safely_unregistered: reasons,
    }
}

fn reasons(
    state: &State,
    host: &state::Host,
    living: &BTreeSet<String>,
) -> ReasonsNodeCannotBeSafelyUnregistered {
    let mut partitions = state.partitions.iter();
    ReasonsNodeCannotBeSafelyUnregistered {
        is_alive: living.contains(&host.id),
        has_under_replicated_data: false,
        has_data_that_exists_only_on_this_node: false,
        leads_digest: partitions.any(|it| it.owner.as_ref() == Some(&host.id)),
    }
}

fn living(context: &Context<'_>) -> Result<BTreeSet<String>> {
    Ok(context.data::<Engine>()?.living_hosts())
}

pub(super) struct Queries;

#[Object(name = "HostQueries")]
impl Queries {
    /// The cluster that this node is part of.
    async fn cluster(&self, context: &Context<'_>) -> Result<Cluster> {
        let living = living(context)?;
        Ok(global(context)?.read(|state| Cluster::of(state, &living)))
    }
}

pub(super) struct Mutations;

#[Object(name = "HostMutations")]
impl Mutations {
    /// Has the others take a host's partitions, or ends that.
    async fn set_is_being_evicted(
        &self,
        context: &Context<'_>,
        vhost: i32,
        is_being_evicted: bool,
    ) -> Result<bool> {
        evict(global(context)?, vhost, is_being_evicted)
            .await
            .map_err(|error| error.extend())?;
        context.data::<Engine>()?.look_soon();
        Ok(true)
    }

    /// Looks at the newest state of a host.
    async fn refresh_cluster_management_stats(
        &self,
        context: &Context<'_>,
        node_id: i32,
    ) -> Result<RefreshClusterManagementStatsMutation> {
        let living = living(context)?;
        let global = global(context)?;
        // What another node has done a moment ago counts.
        change(global, |_| Ok(Vec::new()))
            .await
            .map_err(|error| error.extend())?;
        let found = global.read(|state| {
            let host = numbered(state, node_id)?;
            Ok(reasons(state, host, &living))
        });
        let found = found.map_err(|error: ChangeError| error.extend())?;
        Ok(RefreshClusterManagementStatsMutation {
            reasons_node_cannot_be_safely_unregistered: found,
        })
    }

    /// Takes a host that lives no more out of the cluster. One that lives would be back at once, `force` or not:
    /// its process has to end first.
    async fn cluster_unregister_node(
        &self,
        context: &Context<'_>,
        #[graphql(name = "nodeID")] node_id: i32,
        force: bool,
    ) -> Result<UnregisterNodeMutation> {
        // Nothing is lost with a host, so there is nothing to force.
        let _ = force;
        let living = living(context)?;
        let global = global(context)?;
        unregister(global, node_id, &living)
            .await
            .map_err(|error| error.extend())?;
        Ok(UnregisterNodeMutation {
            cluster: global.read(|state| Cluster::of(state, &living)),
        })
    }
}

fn numbered(state: &State, vhost: i32) -> Result<&state::Host, ChangeError> {
    let wanted = u32::try_from(vhost).ok().filter(|number| *number > 0);
    let found = state.hosts.iter().find(|host| Some(host.vhost) == wanted);
    found.ok_or_else(|| {
        ChangeError::NotFound(format!(
            "there is no node {vhost}; the query `cluster {{ nodes {{ id uri }} }}` lists them"
        ))
    })
}

async fn evict(global: &GlobalLog, vhost: i32, evicted: bool) -> Result<(), ChangeError> {
    change(global, |state| {
        let host = numbered(state, vhost).map_err(|error| Reject::new(error.to_string()))?;
        if host.is_being_evicted == evicted {
            return Ok(Vec::new());
        }
        Ok(vec![Event::HostEvicted {
            host: host.id.clone(),
            evicted,
        }])
    })
    .await
}

async fn unregister(
    global: &GlobalLog,
    vhost: i32,
    living: &BTreeSet<String>,
) -> Result<(), ChangeError> {
    change(global, |state| {
        let host = numbered(state, vhost).map_err(|error| Reject::new(error.to_string()))?;
        if living.contains(&host.id) {
            return Err(Reject::new(format!(
                "node {vhost} ({}) lives; end its process first",
                host.url
            )));
        }
        Ok(vec![Event::HostDown {
            host: host.id.clone(),
        }])
    })
    .await
}
