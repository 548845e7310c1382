//! The table of kinds.

use std::time::Duration;

use backstay_kinds as kinds;

use super::Cell::{At, AtOr, Condition, Of};
use super::{Column, Kind, columns};

/// What a row says unless it says otherwise.
pub(crate) const NO_KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    custom: false,
    generation: false,
    graceful: false,
    defaults: "{}",
    required: &[],
    immutable: &[],
    selectable: &[],
    columns: &[],
    time_to_live: None,
    defined: None,
};
const ROW: Kind = NO_KIND;

/// A controller that runs pods.
const WORKLOAD: Kind = Kind {
    group: "apps",
    categories: &["all"],
    status: true,
    scale: true,
    generation: true,
    required: &["/spec/selector", "/spec/template"],
    immutable: &["/spec/selector"],
    selectable: &["status.replicas"],
    ..ROW
};

const CUSTOM: Kind = Kind {
    status: true,
    custom: true,
    generation: true,
    ..ROW
};

const fn text(name: &'static str, cell: super::Cell) -> Column {
    Column {
        name,
        kind: "string",
        wide: false,
        cell,
    }
}

const fn number(name: &'static str, cell: super::Cell) -> Column {
    Column {
        name,
        kind: "integer",
        wide: false,
        cell,
    }
}

const fn wide(name: &'static str, cell: super::Cell) -> Column {
    Column {
        name,
        kind: "string",
        wide: true,
        cell,
    }
}

/// Every kind that is served. The order is that of discovery.
pub(crate) static KINDS: [Kind; 21] = [
    Kind {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        namespaced: false,
        status: true,
        defaults: r#"{"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}"#,
        selectable: &["status.phase"],
        columns: &[text("Status", At("/status/phase"))],
        ..ROW
    },
    Kind {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        status: true,
        generation: true,
        graceful: true,
        defaults: r#"{
            "spec": {
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"
            },
            "status": {"phase": "Pending"}
        }"#,
        required: &["/spec/containers"],
        selectable: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        columns: &[
            text("Ready", Of(columns::pod_ready)),
            text("Status", Of(columns::pod_status)),
            text("Restarts", Of(columns::pod_restarts)),
            wide("IP", AtOr("/status/podIP", "<none>")),
            wide("Node", AtOr("/spec/nodeName", "<none>")),
            wide(
                "Nominated Node",
                AtOr("/status/nominatedNodeName", "<none>"),
            ),
            wide("Readiness Gates", Of(columns::none)),
        ],
        ..ROW
    },
    Kind {
        kind: "Service",
        plural: "services",
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        status: true,
        defaults: r#"{"spec":{"type":"ClusterIP","sessionAffinity":"None"},"status":{"loadBalancer":{}}}"#,
        selectable: &["spec.clusterIP", "spec.type"],
        columns: &[
            text("Type", At("/spec/type")),
            text("Cluster-IP", AtOr("/spec/clusterIP", "<none>")),
            text("External-IP", Of(columns::service_external)),
            text("Port(s)", Of(columns::service_ports)),
            wide("Selector", Of(columns::service_selector)),
        ],
        ..ROW
    },
    Kind {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short_names: &["ep"],
        columns: &[text("Endpoints", Of(columns::endpoints))],
        ..ROW
    },
    Kind {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        defaults: r#"{"type":"Opaque"}"#,
        immutable: &["/type"],
        selectable: &["type"],
        columns: &[
            text("Type", At("/type")),
            number("Data", Of(columns::data_count)),
        ],
        ..ROW
    },
    Kind {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        columns: &[number("Data", Of(columns::data_count))],
        ..ROW
    },
    Kind {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short_names: &["pvc"],
        status: true,
        defaults: r#"{"spec":{"volumeMode":"Filesystem"},"status":{"phase":"Pending"}}"#,
        required: &["/spec/accessModes"],
        columns: &[
            text("Status", Of(columns::claim_status)),
            text("Volume", AtOr("/spec/volumeName", "")),
            text("Capacity", AtOr("/status/capacity/storage", "")),
            text("Access Modes", Of(columns::access_modes)),
            text("StorageClass", AtOr("/spec/storageClassName", "")),
            wide("VolumeMode", At("/spec/volumeMode")),
        ],
        ..ROW
    },
    Kind {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        namespaced: false,
        status: true,
        selectable: &["spec.unschedulable"],
        columns: &[
            text("Status", Of(columns::node_status)),
            text("Roles", Of(columns::node_roles)),
            text(
                "Version",
                AtOr("/status/nodeInfo/kubeletVersion", "<unknown>"),
            ),
            wide("Internal-IP", Of(columns::node_internal)),
            wide("External-IP", Of(columns::none)),
            wide("OS-Image", AtOr("/status/nodeInfo/osImage", "<unknown>")),
            wide(
                "Kernel-Version",
                AtOr("/status/nodeInfo/kernelVersion", "<unknown>"),
            ),
            wide(
                "Container-Runtime",
                AtOr("/status/nodeInfo/containerRuntimeVersion", "<unknown>"),
            ),
        ],
        ..ROW
    },
    Kind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        required: &["/involvedObject"],
        selectable: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        columns: &[
            text("Last Seen", Of(columns::event_last_seen)),
            text("Type", At("/type")),
            text("Reason", At("/reason")),
            text("Object", Of(columns::event_object)),
            text("Message", At("/message")),
            wide("Count", AtOr("/count", "1")),
            wide("Name", At("/metadata/name")),
        ],
        // As kube-apiserver's --event-ttl.
        time_to_live: Some(Duration::from_secs(3600)),
        ..ROW
    },
    Kind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        columns: &[number("Secrets", Of(columns::secret_count))],
        ..ROW
    },
    Kind {
        kind: "Deployment",
        plural: "deployments",
        singular: "deployment",
        short_names: &["deploy"],
        defaults: r#"{"spec":{
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate"}
        }}"#,
        columns: &[
            text("Ready", Of(columns::ready_of_replicas)),
            number("Up-to-date", AtOr("/status/updatedReplicas", "0")),
            number("Available", AtOr("/status/availableReplicas", "0")),
            wide("Containers", Of(columns::template_containers)),
            wide("Images", Of(columns::template_images)),
            wide("Selector", Of(columns::label_selector)),
        ],
        ..WORKLOAD
    },
    Kind {
        kind: "ReplicaSet",
        plural: "replicasets",
        singular: "replicaset",
        short_names: &["rs"],
        defaults: r#"{"spec":{"replicas":1},"status":{"replicas":0}}"#,
        required: &["/spec/selector"],
        columns: &[
            number("Desired", At("/spec/replicas")),
            number("Current", AtOr("/status/replicas", "0")),
            number("Ready", AtOr("/status/readyReplicas", "0")),
            wide("Containers", Of(columns::template_containers)),
            wide("Images", Of(columns::template_images)),
            wide("Selector", Of(columns::label_selector)),
        ],
        ..WORKLOAD
    },
    Kind {
        kind: "StatefulSet",
        plural: "statefulsets",
        singular: "statefulset",
        short_names: &["sts"],
        defaults: r#"{"spec":{
            "replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate"}
        }}"#,
        columns: &[
            text("Ready", Of(columns::ready_of_replicas)),
            wide("Containers", Of(columns::template_containers)),
            wide("Images", Of(columns::template_images)),
        ],
        ..WORKLOAD
    },
    Kind {
        group: kinds::LEASE.group,
        kind: kinds::LEASE.kind,
        plural: kinds::LEASE.plural,
        singular: "lease",
        columns: &[text("Holder", AtOr("/spec/holderIdentity", ""))],
        ..ROW
    },
    Kind {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        required: &["/addressType"],
        immutable: &["/addressType"],
        columns: &[
            text("AddressType", At("/addressType")),
            text("Ports", Of(columns::slice_ports)),
            text("Endpoints", Of(columns::slice_endpoints)),
        ],
        ..ROW
    },
    Kind {
        group: "networking.k8s.io",
        kind: "Ingress",
        plural: "ingresses",
        singular: "ingress",
        short_names: &["ing"],
        status: true,
        generation: true,
        defaults: r#"{"status":{"loadBalancer":{}}}"#,
        required: &["/spec"],
        columns: &[
            text("Class", AtOr("/spec/ingressClassName", "<none>")),
            text("Hosts", Of(columns::ingress_hosts)),
            text("Address", Of(columns::ingress_address)),
            text("Ports", Of(columns::ingress_ports)),
        ],
        ..ROW
    },
    Kind {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        singular: "customresourcedefinition",
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        namespaced: false,
        status: true,
        generation: true,
        columns: &[text("Created At", At("/metadata/creationTimestamp"))],
        ..ROW
    },
    Kind {
        group: kinds::HUMIO_CLUSTER.group,
        version: kinds::HUMIO_CLUSTER.version,
        kind: kinds::HUMIO_CLUSTER.kind,
        plural: kinds::HUMIO_CLUSTER.plural,
        singular: "humiocluster",
        // The columns of the operator's own definition
        // (https://github.com/humio/humio-operator, config/crd).
        columns: &[
            text("State", At("/status/state")),
            text("Nodes", At("/status/nodeCount")),
            text("Version", At("/status/version")),
        ],
        ..CUSTOM
    },
    Kind {
        group: kinds::KAFKA.group,
        version: kinds::KAFKA.version,
        kind: kinds::KAFKA.kind,
        plural: kinds::KAFKA.plural,
        singular: "kafka",
        short_names: &["k"],
        categories: &["strimzi"],
        columns: &[
            text("Ready", Condition("Ready")),
            text("Warnings", Condition("Warning")),
            text("Kafka Version", At("/status/kafkaVersion")),
            text("Metadata Version", At("/status/kafkaMetadataVersion")),
        ],
        ..CUSTOM
    },
    Kind {
        group: kinds::STRIMZI_POD_SET.group,
        version: kinds::STRIMZI_POD_SET.version,
        kind: kinds::STRIMZI_POD_SET.kind,
        plural: kinds::STRIMZI_POD_SET.plural,
        singular: "strimzipodset",
        short_names: &["sps"],
        categories: &["strimzi"],
        columns: &[
            number("Pods", At("/status/pods")),
            number("Ready Pods", At("/status/readyPods")),
            number("Current Pods", At("/status/currentPods")),
        ],
        ..CUSTOM
    },
    Kind {
        group: kinds::KAFKA_TOPIC.group,
        version: kinds::KAFKA_TOPIC.version,
        kind: kinds::KAFKA_TOPIC.kind,
        plural: kinds::KAFKA_TOPIC.plural,
        singular: "kafkatopic",
        short_names: &["kt"],
        categories: &["strimzi"],
        columns: &[
            text("Cluster", At("/metadata/labels/strimzi.io~1cluster")),
            number("Partitions", At("/spec/partitions")),
            number("Replication factor", At("/spec/replicas")),
            text("Ready", Condition("Ready")),
        ],
        ..CUSTOM
    },
];
