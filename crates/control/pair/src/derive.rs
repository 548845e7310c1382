//! From a pair, a side and a role to what the region is told: a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use backstay_kinds::label;
use serde::Serialize;

use crate::environment::EnvVar;
use crate::error::PairError;
use crate::manifests::NODE_ROLES;
use crate::pair::{
    BucketLocation, EncryptionKey, EnvironmentField, NodeLabel, Pair, PoolPlace, Region, SecretKey,
    Storage, StorageKey,
};
use crate::role::{Dr, Side};

/// Everything that a region is told in its role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Derived {
    /// The region that this is for.
    pub side: Side,
    /// The role that it is derived for.
    pub dr: Dr,
    /// Whether services select dedicated pools: the source's `dr_use_dedicated_routing`.
    pub dedicated_routing: bool,
    /// The environment of every node, without what it recovers from.
    pub environment: Vec<EnvVar>,
    /// What a standby recovers from: the other region's bucket. Empty in any other role, unless
    /// [kept](Self::keep_recovery).
    pub recovery: Vec<EnvVar>,
    /// What a failback gives the primary: see [`reverse_recovery`]. Empty for any other role.
    pub reverse_recovery: Vec<EnvVar>,
    /// Nodes of the cluster's own (digest) pool.
    pub node_count: u32,
    /// How many nodes hold each segment.
    pub target_replication_factor: u32,
    /// Whether the cluster moves segments between nodes by itself.
    pub auto_rebalance_partitions: bool,
    /// Which list of the HumioCluster has the environment.
    pub environment_field: EnvironmentField,
    /// The label of the nodes for the cluster's own pool.
    pub node_label: NodeLabel,
    /// The further pools; a standby keeps them, with no nodes.
    pub node_pools: Vec<NodePool>,
    /// Which pods the services select.
    pub selectors: Selectors,
    /// Replicas of the operator: 0 while it stands by, which is what keeps the standby asleep.
    pub operator_replicas: u32,
    /// Pods of Kafka; it runs in a standby too, and its operator with it.
    pub kafka_replicas: u32,
    /// Whether this region has the failover function and its alert: only while it stands by.
    pub failover_function: bool,
    /// The alert's name.
    pub alert_name: String,
    /// The region's own resource group.
    pub resource_group: String,
    /// The prefix of the region's own objects.
    pub object_key_prefix: String,
    /// The traffic manager's endpoint for this region; none for a cluster that has no other.
    pub endpoint: Option<Endpoint>,
    /// The times by which a failover goes.
    pub timing: Timing,
    /// The secrets that must be there beforehand; no snapshot carries one.
    pub secrets: Vec<NeededSecret>,
}

impl Derived {
    /// The same with what an active region once recovered from: the other region's bucket.
    ///
    /// A region that has taken over serves the history out of the other one's bucket. Its nodes keep
    /// the credentials for it themselves (`global::credentials`), so the variables may go; where
    /// they stay, in every pool, a key that was rotated is renewed by them, and nothing restarts.
    /// Whether a region has recovered is not in the
    /// file, so whoever knows it says so. Nothing changes for a standby, which has them, or for a
    /// cluster that has no other.
    #[must_use]
    pub fn keep_recovery(mut self, pair: &Pair) -> Self {
        if self.dr == Dr::Active {
            self.recovery = recover_from_other(pair, self.side);
        }
        self
    }

    /// The environment with what it recovers from: what `environment_field` has.
    pub fn cluster_environment(&self) -> Vec<EnvVar> {
        self.environment
            .iter()
            .chain(&self.recovery)
            .cloned()
            .collect()
    }
}

/// A pool beside the cluster's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodePool {
    /// Its name in the pair's file; the operator puts the cluster's name in front of it.
    pub name: String,
    /// Nodes of the pool; 0 in a standby.
    pub node_count: u32,
    /// `NODE_ROLES` of its nodes.
    pub node_roles: &'static str,
    /// `INITIAL_DISABLED_NODE_TASK` of its nodes: what they do not do before somebody says so.
    pub disabled_tasks: &'static str,
    /// The label of the nodes that it runs on.
    pub node_label: NodeLabel,
}

impl NodePool {
    /// The variables that only this pool's nodes have.
    pub fn environment(&self) -> Vec<EnvVar> {
        vec![
            EnvVar::value(NODE_ROLES, self.node_roles),
            EnvVar::value("INITIAL_DISABLED_NODE_TASK", self.disabled_tasks),
        ]
    }
}

/// Which pods the services behind the ingress select.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selectors {
    /// Those for searches and HTTP.
    pub ui: BTreeMap<String, String>,
    /// Those for events.
    pub ingest: BTreeMap<String, String>,
}

/// An external endpoint of the traffic manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The endpoint's name in the profile, as the pair's file has it.
    pub name: String,
    /// What it points at.
    pub target: String,
    /// 1 for the primary, 2 for the secondary, whichever is active: the way back is not by
    /// priority but by a person who enables the endpoint again.
    pub priority: u32,
}

/// The times by which a failover goes, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// Between two probes.
    pub health_check_interval: u32,
    /// Failures in a row that do not count yet.
    pub tolerated_failures: u32,
    /// Until the traffic manager holds a dead endpoint for unhealthy: one probe more than it
    /// tolerates, at each interval.
    pub unhealthy_after: u32,
    /// For which a resolver keeps the old answer.
    pub dns_ttl: u32,
    /// Of failure in a row before the function acts.
    pub pre_failover_failure_seconds: u32,
    /// After a failover in which there is no other.
    pub cooldown_seconds: u32,
}

/// A secret by its name and the keys that it must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeededSecret {
    /// `metadata.name`, in the namespace of the cluster.
    pub name: String,
    /// Its keys, none of which may be empty.
    pub keys: Vec<String>,
}

impl Region {
    /// What the operator calls a pool, in its pods' label `humio.com/node-pool` and in its own
    /// service: the cluster's name, with the pool's behind it unless that is empty.
    pub fn pool_label(&self, pool: &str) -> String {
        match pool {
            "" => self.cluster.clone(),
            pool => format!("{}-{pool}", self.cluster),
        }
    }
}

impl Pair {
    /// One of the two regions.
    pub fn region(&self, side: Side) -> &Region {
        match side {
            Side::Primary => &self.primary,
            Side::Secondary => &self.secondary,
        }
    }
}

/// Derives what the region on `side` is told in the role `dr`.
///
/// A promoted region has no recovery variables here, as in the source. Ours needs them to read its
/// history: see [`Derived::keep_recovery`].
pub fn derive(pair: &Pair, side: Side, dr: Dr, dedicated_routing: bool) -> Derived {
    let region = pair.region(side);
    let standby = dr == Dr::Standby;
    let node_pools = pools(region, standby);
    let endpoint_name = match side {
        Side::Primary => &pair.traffic_manager.primary_endpoint,
        Side::Secondary => &pair.traffic_manager.secondary_endpoint,
    };
    Derived {
        side,
        dr,
        dedicated_routing,
        environment: environment(pair, side, dr),
        recovery: if standby {
            recover_from_other(pair, side)
        } else {
            Vec::new()
        },
        reverse_recovery: if side == Side::Primary && dr == Dr::Active {
            reverse_recovery(pair)
        } else {
            Vec::new()
        },
        node_count: if standby { 1 } else { region.sizes.digest },
        target_replication_factor: if standby {
            1
        } else {
            region.replication_factor
        },
        auto_rebalance_partitions: !standby,
        environment_field: region.environment_field,
        node_label: region.pools.digest.clone(),
        // A single cluster has always routed by pool; only a pair may share.
        selectors: selectors(region, &node_pools, dedicated_routing || dr == Dr::None),
        node_pools,
        operator_replicas: u32::from(!standby),
        kafka_replicas: region.sizes.kafka,
        failover_function: standby,
        alert_name: pair.traffic_manager.alert_name.clone(),
        resource_group: region.resource_group.clone(),
        object_key_prefix: region.storage.object_key_prefix.clone(),
        endpoint: (dr != Dr::None).then(|| Endpoint {
            name: endpoint_name.clone(),
            target: region.endpoint_target.clone(),
            priority: match side {
                Side::Primary => 1,
                Side::Secondary => 2,
            },
        }),
        timing: timing(pair),
        secrets: secrets(pair, side, dr),
    }
}

/// Reads the pair's file and derives, in one call.
///
/// # Errors
/// As [`Pair::read`].
pub fn derive_file(
    path: &Path,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    side: Side,
    dr: Dr,
    dedicated_routing: bool,
) -> Result<Derived, PairError> {
    let pair = Pair::read(path, variables)?;
    Ok(derive(&pair, side, dr, dedicated_routing))
}

/// What a failback gives the primary, so that its cold start takes what the secondary has. Without
/// `BUCKET_STORAGE_MULTIPLE_ENDPOINTS`: the primary has it already, and the operator refuses a name
/// that is there twice.
pub fn reverse_recovery(pair: &Pair) -> Vec<EnvVar> {
    recover_from_other(pair, Side::Primary)
}

fn environment(pair: &Pair, side: Side, dr: Dr) -> Vec<EnvVar> {
    let mut environment = bucket(&pair.region(side).storage, "STORAGE", |key| &key.own);
    if dr != Dr::None {
        environment.push(EnvVar::value("BUCKET_STORAGE_MULTIPLE_ENDPOINTS", "true"));
        let alerts = if dr == Dr::Active { "true" } else { "false" };
        environment.push(EnvVar::value("ENABLE_ALERTS", alerts));
    }
    let further = pair.environment.iter();
    environment.extend(further.map(|(name, value)| EnvVar::value(name, value)));
    environment
}

/// Never `REPLACE_BUCKET`: it would swap the container's name but keep this region's endpoint, and
/// the source would answer 403. The account's name leads to the source's own endpoint instead.
fn recover_from_other(pair: &Pair, side: Side) -> Vec<EnvVar> {
    let (own, source) = (pair.region(side), pair.region(side.other()));
    let mut recovery = bucket(&source.storage, "RECOVER_FROM", |key| &key.copy);
    recovery.push(EnvVar::value(
        format!("{}_RECOVER_FROM_REPLACE_REGION", family(&source.storage)),
        format!("{}/{}", source.region, own.region),
    ));
    recovery
}

/// What the variables of a bucket begin with.
fn family(storage: &Storage) -> &'static str {
    match storage.place {
        BucketLocation::Azure { .. } => "AZURE",
        BucketLocation::Folder { .. } => "LOCAL",
    }
}

/// The variables of a bucket, in the order of the source's table; `held` is where whoever reads them
/// has a key.
fn bucket(storage: &Storage, role: &str, held: impl Fn(&StorageKey) -> &SecretKey) -> Vec<EnvVar> {
    let family = family(storage);
    let name = |name: &str| format!("{family}_{role}_{name}");
    let mut variables = match &storage.place {
        BucketLocation::Azure {
            account,
            container,
            endpoint_base,
            account_key,
        } => vec![
            EnvVar::value(name("BUCKET"), container),
            EnvVar::value(name("ACCOUNTNAME"), account),
            EnvVar::secret(name("ACCOUNTKEY"), held(account_key)),
            EnvVar::value(name("ENDPOINT_BASE"), endpoint_base),
        ],
        BucketLocation::Folder { path, container } => vec![
            EnvVar::value(name("BUCKET"), container),
            EnvVar::value(name("PATH"), path),
        ],
    };
    variables.push(EnvVar::value(
        name("OBJECT_KEY_PREFIX"),
        &storage.object_key_prefix,
    ));
    let key = name("ENCRYPTION_KEY");
    variables.push(match &storage.encryption_key {
        EncryptionKey::Secret(secret) => EnvVar::secret(key, held(secret)),
        EncryptionKey::Off => EnvVar::value(key, "off"),
    });
    variables
}

fn pools(region: &Region, standby: bool) -> Vec<NodePool> {
    let (places, sizes) = (&region.pools, &region.sizes);
    let pool = |place: &PoolPlace, size: u32, node_roles, disabled_tasks| {
        (size > 0).then(|| NodePool {
            name: place.name.clone(),
            node_count: if standby { 0 } else { size },
            node_roles,
            disabled_tasks,
            node_label: place.node_label.clone(),
        })
    };
    let all = [
        pool(&places.ui, sizes.ui, "httponly", "digest,storage"),
        pool(
            &places.ingest,
            sizes.ingest,
            "ingestonly",
            "digest,query,storage",
        ),
    ];
    all.into_iter().flatten().collect()
}

fn selectors(region: &Region, pools: &[NodePool], dedicated: bool) -> Selectors {
    let selector = |place: &PoolPlace| {
        let has_nodes = |pool: &NodePool| pool.name == place.name && pool.node_count > 0;
        let (label, value) = if !dedicated {
            (label::HUMIO.0, label::HUMIO.1.to_owned())
        } else if pools.iter().any(has_nodes) {
            (label::NODE_POOL, region.pool_label(&place.name))
        } else {
            // A selector for a pool that has no nodes would answer 503 for ever.
            (label::NODE_POOL, region.cluster.clone())
        };
        BTreeMap::from([(label.to_owned(), value)])
    };
    Selectors {
        ui: selector(&region.pools.ui),
        ingest: selector(&region.pools.ingest),
    }
}

fn timing(pair: &Pair) -> Timing {
    let (manager, failover) = (&pair.traffic_manager, &pair.failover);
    Timing {
        health_check_interval: manager.interval,
        tolerated_failures: manager.tolerated_failures,
        unhealthy_after: manager.interval * (manager.tolerated_failures + 1),
        dns_ttl: manager.ttl,
        pre_failover_failure_seconds: failover.pre_failover_failure_seconds,
        cooldown_seconds: failover.cooldown_seconds,
    }
}

/// Both regions' keys in each, since either may have to recover from the other.
fn secrets(pair: &Pair, side: Side, dr: Dr) -> Vec<NeededSecret> {
    let mut needed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut sides = vec![side];
    if dr != Dr::None {
        sides.push(side.other());
    }
    for of in sides {
        let storage = &pair.region(of).storage;
        let mut keys = Vec::from_iter(storage.encryption_key.secret());
        if let BucketLocation::Azure { account_key, .. } = &storage.place {
            keys.push(account_key);
        }
        for key in keys {
            let key = key.seen_from(side, of);
            needed.entry(&key.secret).or_default().insert(&key.key);
        }
    }
    if let Some(secret) = &pair.tls_secret {
        needed
            .entry(secret)
            .or_default()
            .extend(["tls.crt", "tls.key"]);
    }
    needed
        .into_iter()
        .map(|(name, keys)| NeededSecret {
            name: name.to_owned(),
            keys: keys.into_iter().map(str::to_owned).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
