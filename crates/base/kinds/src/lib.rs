//! Kubernetes names that several crates use, each written once: custom resources and the Lease, the
//! [labels](label) by which nodes and runs are found, the [annotations](annotation) that a failover
//! leaves on the standby's operator.

/// A resource type of the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The API group: `core.humio.com`.
    pub group: &'static str,
    /// The version within the group: `v1alpha1`.
    pub version: &'static str,
    /// Group and version as manifests have them: `core.humio.com/v1alpha1`.
    pub api_version: &'static str,
    /// The kind as manifests have it: `HumioCluster`.
    pub kind: &'static str,
    /// The name in URLs and in RBAC rules: `humioclusters`.
    pub plural: &'static str,
    /// Plural and group, as kubectl takes them: `humioclusters.core.humio.com`.
    pub resource: &'static str,
}

/// A resource type, from the four parts that its other names are made of.
macro_rules! kind {
    ($group:literal, $version:literal, $kind:literal, $plural:literal) => {
        Kind {
            group: $group,
            version: $version,
            api_version: concat!($group, "/", $version),
            kind: $kind,
            plural: $plural,
            resource: concat!($plural, ".", $group),
        }
    };
}

/// A LogScale cluster, as humio-operator defines it.
pub const HUMIO_CLUSTER: Kind = kind!(
    "core.humio.com",
    "v1alpha1",
    "HumioCluster",
    "humioclusters"
);
/// A Kafka cluster, as Strimzi defines it, in the older of its [versions](STRIMZI_VERSIONS).
pub const KAFKA: Kind = kind!("kafka.strimzi.io", "v1beta2", "Kafka", "kafkas");
/// A topic, as Strimzi's topic operator keeps it.
pub const KAFKA_TOPIC: Kind = kind!("kafka.strimzi.io", "v1beta2", "KafkaTopic", "kafkatopics");
/// The pods of a Kafka cluster, as Strimzi keeps them in place of a StatefulSet.
pub const STRIMZI_POD_SET: Kind = kind!(
    "core.strimzi.io",
    "v1beta2",
    "StrimziPodSet",
    "strimzipodsets"
);
/// The versions of Strimzi's API: up to 0.51 it has the first one, since 0.49 the second
/// (<https://github.com/strimzi/strimzi-kafka-operator/releases/tag/1.0.0>).
pub const STRIMZI_VERSIONS: [&str; 2] = ["v1beta2", "v1"];
/// A lock that runs out when its holder no longer renews it; the run lock is one.
pub const LEASE: Kind = kind!("coordination.k8s.io", "v1", "Lease", "leases");

/// The Deployment of LogScale's operator, whose replicas decide whether a standby sleeps; also what
/// that operator calls itself in [`label::MANAGED_BY`].
pub const HUMIO_OPERATOR: &str = "humio-operator";
/// The Deployment of Kafka's operator; also its name in [`label::MANAGED_BY`].
pub const STRIMZI_OPERATOR: &str = "strimzi-cluster-operator";

/// Keys of labels, and the values that ours select by.
pub mod label {
    /// Kubernetes' own: which application it is.
    pub const NAME: &str = "app.kubernetes.io/name";
    /// Kubernetes' own: which installation of the application.
    pub const INSTANCE: &str = "app.kubernetes.io/instance";
    /// Kubernetes' own: which program made it.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Kubernetes' own: which part of the application.
    pub const COMPONENT: &str = "app.kubernetes.io/component";
    /// humio-operator's: the pool that a node belongs to; a service selects one pool by it.
    pub const NODE_POOL: &str = "humio.com/node-pool";
    /// Ours, with the value `true`: the ConfigMap is the record of a run of the runbook.
    pub const RUN: &str = "logscale.dr/run";

    /// The label that every LogScale node has, with its value.
    pub const HUMIO: (&str, &str) = (NAME, "humio");
    /// The selector for every LogScale node.
    pub const HUMIO_SELECTOR: &str = "app.kubernetes.io/name=humio";
}

/// Annotations on the standby's operator Deployment, in which instances share what they know of a
/// failover. Epochs are seconds since 1970.
pub mod annotation {
    /// The holdoff's start, an epoch. The vendor's function writes it too.
    pub const DEGRADED_SINCE: &str = "logscale.dr/degraded-since-epoch";
    /// When somebody last looked and saw the primary down while the holdoff runs, an epoch.
    pub const SEEN_DOWN: &str = "logscale.dr/last-seen-down-epoch";
    /// When somebody last contradicted a holdoff, having seen the primary answer; an epoch.
    pub const ANSWERED: &str = "logscale.dr/last-answered-epoch";
    /// Since when the primary has not answered for long without a break, an epoch.
    pub const UNSTABLE_SINCE: &str = "logscale.dr/unstable-since-epoch";
    /// When the last failover began, an epoch. The vendor's sibling solutions write it too.
    pub const LAST_FAILOVER: &str = "logscale.dr/last-failover-epoch";
    /// An operator's order that no failover begin; the value is the reason.
    pub const PAUSED: &str = "logscale.dr/paused";
    /// The run that is under way or was the last one, and how far it is.
    pub const FAILOVER_RUN: &str = "logscale.dr/failover-run";
}
