//! The HumioCluster: what it declares, and how it is.
//!
//! Variables are read into the caller's own type (the pair's, or `EnvVar` of Kubernetes), so that
//! whoever merges them does it in one form, and what that form does not know is his to keep.

use std::fmt;

use backstay_kinds::HUMIO_CLUSTER;
use backstay_report::Cause;
use backstay_retry::Deadline;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::change;
use crate::{ClusterError, Region};

const CLUSTERS: &str = HUMIO_CLUSTER.resource;

/// What of a HumioCluster does not have the form that it has to have. Without values: some are
/// credentials.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    /// A list.
    #[error("{0} is not a list")]
    List(String),
    /// A variable in one.
    #[error("{0} is not an environment variable")]
    Variable(String),
    /// What a change has made.
    #[error("what is to be its spec is not an object")]
    Spec,
    /// Its name.
    #[error("its name makes no address")]
    Address(#[source] http::Error),
}

/// A pool of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name; empty for the cluster's own.
    pub name: String,
    /// How many nodes it is to have.
    pub node_count: i64,
    /// The image of its nodes; empty where it is left to the operator.
    pub image: String,
}

/// How the operator says that a pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// The pool, with the cluster's name in front of it.
    pub name: String,
    /// `Running`, `Restarting`, `Upgrading`, `ConfigError`, `Pending`.
    pub state: String,
}

/// A HumioCluster as a failover sees it.
#[derive(Clone, PartialEq)]
pub struct HumioCluster {
    /// `metadata.name`.
    pub name: String,
    /// The state that was read (`resourceVersion`).
    pub version: String,
    /// The cluster's own pool and those of `spec.nodePools`.
    pub pools: Vec<Pool>,
    /// `status.state`; empty before the operator has looked at it.
    pub state: String,
    /// What the operator says of the state (`status.message`).
    pub message: String,
    /// What the operator says of each pool (`status.nodePoolStatus`).
    pub pool_states: Vec<PoolState>,
    /// Nodes that run (`status.nodeCount`).
    pub nodes: i64,
    environment: Vec<Value>,
    common_environment: Vec<Value>,
}

impl fmt::Debug for HumioCluster {
    /// Without the variables: some hold credentials as their values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HumioCluster")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("pools", &self.pools)
            .field("state", &self.state)
            .field("message", &self.message)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl HumioCluster {
    /// One of which nothing but its operator's words is known.
    pub fn reported(state: &str, message: &str, pool_states: Vec<PoolState>) -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            pools: Vec::new(),
            state: state.to_owned(),
            message: message.to_owned(),
            pool_states,
            nodes: 0,
            environment: Vec::new(),
            common_environment: Vec::new(),
        }
    }

    /// How many nodes the cluster's own pool is to have (`spec.nodeCount`).
    pub fn node_count(&self) -> i64 {
        self.pools.first().map_or(0, |it| it.node_count)
    }

    fn read(object: &DynamicObject) -> Result<Self, Malformed> {
        let at = |pointer: &str| object.data.pointer(pointer).unwrap_or(&Value::Null);
        let list = |pointer: &str| match at(pointer) {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => Ok(list.clone()),
            _ => Err(Malformed::List(pointer.to_owned())),
        };
        let text = |pointer: &str| at(pointer).as_str().unwrap_or_default().to_owned();
        let mut pools = vec![Pool {
            name: String::new(),
            node_count: at("/spec/nodeCount").as_i64().unwrap_or(0),
            image: text("/spec/image"),
        }];
        for pool in at("/spec/nodePools").as_array().into_iter().flatten() {
            let name = pool
                .pointer("/name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let count = pool.pointer("/spec/nodeCount").and_then(Value::as_i64);
            let image = pool.pointer("/spec/image").and_then(Value::as_str);
            pools.push(Pool {
                name: name.to_owned(),
                node_count: count.unwrap_or(0),
                image: image.unwrap_or_default().to_owned(),
            });
        }
        Ok(Self {
            name: object.name_any(),
            version: object.resource_version().unwrap_or_default(),
            environment: list("/spec/environmentVariables")?,
            common_environment: list("/spec/commonEnvironmentVariables")?,
            pools,
            state: text("/status/state"),
            message: text("/status/message"),
            pool_states: pool_states(at("/status/nodePoolStatus")),
            nodes: at("/status/nodeCount").as_i64().unwrap_or(0),
        })
    }
}

fn pool_states(status: &Value) -> Vec<PoolState> {
    let text = |pool: &Value, field: &str| {
        let text = pool.get(field).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let pools = status.as_array().into_iter().flatten();
    pools
        .map(|pool| PoolState {
            name: text(pool, "name"),
            state: text(pool, "state"),
        })
        .collect()
}

/// Variables as the caller has them. What serde says of a wrong one could quote it.
fn variables<V: DeserializeOwned>(pointer: &str, list: &[Value]) -> Result<Vec<V>, Malformed> {
    let each = list.iter().enumerate().map(|(at, variable)| {
        V::deserialize(variable).map_err(|_| Malformed::Variable(format!("{pointer}/{at}")))
    });
    each.collect()
}

impl Region {
    fn humio(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(
            HUMIO_CLUSTER.group,
            HUMIO_CLUSTER.version,
            HUMIO_CLUSTER.kind,
        );
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client(), self.namespace(), &resource)
    }

    /// Reads a HumioCluster.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn humio_cluster(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<HumioCluster, ClusterError> {
        let read = self.declared(name, deadline).await?;
        self.cluster_of(&read)
    }

    fn cluster_of(&self, object: &DynamicObject) -> Result<HumioCluster, ClusterError> {
        let read = HumioCluster::read(object);
        read.map_err(|problem| self.answer(&format!("{CLUSTERS} {}", object.name_any()), problem))
    }

    /// The variables that a cluster declares: those of its own pool
    /// (`spec.environmentVariables`), and those of all pools (`spec.commonEnvironmentVariables`).
    ///
    /// # Errors
    /// When one of them is none.
    pub fn environment<V: DeserializeOwned>(
        &self,
        cluster: &HumioCluster,
    ) -> Result<(Vec<V>, Vec<V>), ClusterError> {
        let own = variables("/spec/environmentVariables", &cluster.environment);
        let common = variables(
            "/spec/commonEnvironmentVariables",
            &cluster.common_environment,
        );
        let both = own.and_then(|own| Ok((own, common?)));
        both.map_err(|problem| self.answer(&format!("{CLUSTERS} {}", cluster.name), problem))
    }

    /// Reads what a cluster declares: its whole `spec`. Not to be shown: variables in it hold
    /// credentials.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn spec(&self, name: &str, deadline: Deadline) -> Result<Value, ClusterError> {
        let mut read = self.declared(name, deadline).await?;
        Ok(spec_of(&mut read))
    }

    async fn declared(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<DynamicObject, ClusterError> {
        let api = self.humio();
        self.call("get", CLUSTERS, name, deadline, || api.get(name))
            .await
    }

    /// Changes what a cluster declares: `change` makes the new whole `spec` of the one that is there,
    /// and is asked again when someone else has changed the cluster in between. What it leaves as it
    /// was is not written, and where that is all, nothing is: a write replaces pods. What is written is
    /// a JSON patch that tests each value before it replaces it.
    ///
    /// # Errors
    /// See [`ClusterError`]; what `change` finds wrong is [`ClusterError::Answer`].
    pub async fn change_spec(
        &self,
        name: &str,
        mut change: impl FnMut(&Value) -> Result<Value, Cause>,
        deadline: Deadline,
    ) -> Result<HumioCluster, ClusterError> {
        let address = format!("{}/{name}", self.humio().resource_url());
        let wrong = |problem: Cause| self.answer(&format!("{CLUSTERS} {name}"), problem);
        let mut attempts: u32 = 0;
        loop {
            let mut read = self.declared(name, deadline).await?;
            let old = self.cluster_of(&read)?;
            let there = spec_of(&mut read);
            let new = change(&there).map_err(wrong)?;
            if !new.is_object() {
                return Err(wrong(Malformed::Spec.into()));
            }
            let operations = change::operations("/spec", &there, &new);
            if operations.is_empty() {
                return Ok(old);
            }
            let patch = json_patch(&address, &old.version, operations)
                .map_err(|problem| wrong(Malformed::Address(problem).into()))?;
            let patched = self
                .call("patch", CLUSTERS, name, deadline, || {
                    let (client, patch) = (self.client(), patch.clone());
                    async move { client.request::<DynamicObject>(patch).await }
                })
                .await;
            let patched = self.tested(name, &old.version, patched, deadline).await?;
            if let Some(patched) = self.written(patched, &mut attempts, deadline).await? {
                return self.cluster_of(&patched);
            }
        }
    }

    /// What has become of a patch that tests what it was made from: where a test has failed because
    /// somebody was quicker, that is as any other conflict.
    async fn tested(
        &self,
        name: &str,
        version: &str,
        patched: Result<DynamicObject, ClusterError>,
        deadline: Deadline,
    ) -> Result<Result<DynamicObject, ClusterError>, ClusterError> {
        let has_failed = matches!(
            &patched,
            Err(ClusterError::Refused {
                status: FAILED_TEST,
                ..
            })
        );
        if !has_failed {
            return Ok(patched);
        }
        let now = self.declared(name, deadline).await?;
        if now.resource_version().as_deref() == Some(version) {
            return Ok(patched);
        }
        Ok(patched.map_err(|refused| match refused {
            ClusterError::Refused {
                region,
                object,
                message,
                ..
            } => ClusterError::Contended {
                region,
                object,
                message,
            },
            other => other,
        }))
    }
}

/// What an API server answers when a test of a JSON patch fails.
const FAILED_TEST: u16 = 422;

/// The request that carries a JSON patch, of this version of the object and of no other.
fn json_patch(
    address: &str,
    version: &str,
    mut operations: Vec<Value>,
) -> Result<http::Request<Vec<u8>>, http::Error> {
    let path = "/metadata/resourceVersion";
    let read = json!({ "op": "test", "path": path, "value": version });
    operations.insert(0, read);
    http::Request::patch(address)
        .header(http::header::CONTENT_TYPE, "application/json-patch+json")
        .header(http::header::ACCEPT, "application/json")
        .body(Value::from(operations).to_string().into_bytes())
}

fn spec_of(object: &mut DynamicObject) -> Value {
    match object.data.get_mut("spec").map(Value::take) {
        Some(Value::Object(spec)) => Value::Object(spec),
        _ => json!({}),
    }
}
