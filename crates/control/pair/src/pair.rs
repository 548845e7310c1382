//! What `backstay.toml` says, checked.

mod check;
mod objects;
mod read;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use backstay_resource::MonitorLimits;
pub use objects::{
    EncryptionKey, EnvironmentField, NodeLabel, PoolPlace, Pools, Services, StorageKey,
};

/// Two regions of which one can go on for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its name; what has no name of its own is named after it.
    pub name: String,
    /// The name that clients use, which the traffic manager answers for.
    pub global_host: String,
    /// Where HumioCluster, operators, Kafka and secrets are.
    pub namespace: String,
    /// Where the ingress controller is.
    pub ingress_namespace: String,
    /// The certificate for the global name, in both regions; without one, HTTPS is not served.
    pub tls_secret: Option<String>,
    /// Variables for every node, besides the derived ones.
    pub environment: BTreeMap<String, String>,
    /// The region that is active in peace.
    pub primary: Region,
    /// The region that stands by.
    pub secondary: Region,
    /// Where the global name points, and what wakes a failover.
    pub traffic_manager: TrafficManager,
    /// When a failover is due.
    pub failover: Failover,
}

/// One of the two regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// By Azure's name, as in `centralus`.
    pub region: String,
    /// The context of the kubeconfig.
    pub context: String,
    /// The HumioCluster's name.
    pub cluster: String,
    /// The Kafka resource's name; `strimzi.io/cluster` of its pods and claims.
    pub kafka: String,
    /// The services behind the ingress.
    pub services: Services,
    /// Where pools run, and what they are called.
    pub pools: Pools,
    /// Which list has the nodes' variables.
    pub environment_field: EnvironmentField,
    /// Where the license is, which a HumioCluster must name.
    pub license: SecretKey,
    /// Whether the operator gives its pods certificates, so that they answer HTTPS only.
    pub tls: bool,
    /// The resource group of its cluster and load balancer.
    pub resource_group: String,
    /// Its own name, which never fails over.
    pub fqdn: String,
    /// What the traffic manager's endpoint points at: the name, or an address.
    pub endpoint_target: String,
    /// Where its ingress listens.
    pub ingress: IngressAddress,
    /// The tag of its images.
    pub version: String,
    /// The bucket that the region's cluster writes to.
    pub storage: Storage,
    /// How many pods it has when it is active.
    pub sizes: Sizes,
    /// How many nodes hold each segment when it is active.
    pub replication_factor: u32,
}

/// Where an ingress listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressAddress {
    /// The Ingress resource's name.
    pub name: String,
    /// The address that clients connect to.
    pub address: IpAddr,
    /// The port for HTTP.
    pub http_port: u16,
    /// For HTTPS, where the pair has a certificate.
    pub https_port: u16,
}

/// A region's bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Where it is.
    pub place: BucketLocation,
    /// Put in front of every key, as it is.
    pub object_key_prefix: String,
    /// What the objects are encrypted with.
    pub encryption_key: EncryptionKey,
}

/// What kind of bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketLocation {
    /// A container of Azure Blob Storage, or of Azurite.
    Azure {
        /// The storage account.
        account: String,
        /// The container's name in the account.
        container: String,
        /// The blob service's URL.
        endpoint_base: String,
        /// Where the account's key is.
        account_key: StorageKey,
    },
    /// A folder, for a lab.
    Folder {
        /// The folder's absolute path.
        path: String,
        /// Its name as a bucket.
        container: String,
    },
}

/// A key of a Kubernetes secret, by its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    /// The name of the Kubernetes secret.
    pub secret: String,
    /// The key in it.
    pub key: String,
}

/// How many pods a region has when it is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the cluster's own pool: ingest, search and HTTP.
    pub digest: u32,
    /// Of the pool that serves searches and HTTP only.
    pub ui: u32,
    /// Of the pool that takes events only.
    pub ingest: u32,
    /// Of Kafka; 0 where it is not used.
    pub kafka: u32,
}

/// The traffic manager's profile and the alert on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficManager {
    /// The subscription's id.
    pub subscription: String,
    /// The profile's resource group.
    pub resource_group: String,
    /// The profile's name.
    pub profile: String,
    /// The profile's label in the traffic manager's zone.
    pub relative_name: String,
    /// The primary's endpoint.
    pub primary_endpoint: String,
    /// The secondary's endpoint.
    pub secondary_endpoint: String,
    /// Whose limits the times below keep to.
    pub limits: MonitorLimits,
    /// Seconds between two probes.
    pub interval: u32,
    /// Seconds after which a probe has failed.
    pub timeout: u32,
    /// Failures in a row that do not count yet.
    pub tolerated_failures: u32,
    /// Seconds for which an answer may be kept.
    pub ttl: u32,
    /// How an endpoint is probed.
    pub probe_protocol: Protocol,
    /// At which port.
    pub probe_port: u16,
    /// At which path.
    pub probe_path: String,
    /// The Resource Manager's URL.
    pub arm_endpoint: String,
    /// The alert that wakes the failover.
    pub alert_name: String,
    /// What the alert calls.
    pub action_group: String,
}

/// How an endpoint is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS, whatever the certificate.
    Https,
}

/// When a failover is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The holdoff: seconds of failure in a row before anything is done.
    pub pre_failover_failure_seconds: u32,
    /// Seconds after a failover in which there is no other.
    pub cooldown_seconds: u32,
    /// Seconds between two of our own probes.
    pub probe_interval_seconds: u32,
    /// Seconds after which one has failed.
    pub probe_timeout_seconds: u32,
    /// Seconds for which a primary must answer without a break to count as recovered.
    pub recovered_seconds: u32,
    /// Seconds after which a primary that never recovers is failed over as soon as it is down
    /// again, though each of its answers has restarted the holdoff. Taken as no less than the
    /// holdoff and `recovered_seconds` together.
    pub crash_loop_seconds: u32,
}

#[cfg(test)]
mod tests;
