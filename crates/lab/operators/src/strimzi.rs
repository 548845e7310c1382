//! strimzi-cluster-operator: a `Kafka` becomes a `StrimziPodSet`, and that becomes pods.
//!
//! As the real one (<https://strimzi.io>) where the runbook can see it: names, labels, claims that
//! outlive their pods, the pod set, conditions. There is no broker in the pods: they stand for
//! Kafka's place in the runbook. The certificate in `<kafka>-cluster-ca-cert` is a real one, but
//! its key is thrown away, for nothing is ever signed by it; a PKCS #12 store is not made.
//!
//! Left out: ZooKeeper and node pools, listeners, users and topics, the entity operator, JBOD.

mod brokers;
mod certificate;
mod kafka;
mod plan;
mod pod_set;
mod spec;

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use crate::api::{CLAIM, KAFKA, Objects, POD, POD_SET, SECRET, SERVICE};
use crate::{drive, pod};
use brokers::CLUSTER;

/// Runs it for `namespace` until `stop` is cancelled.
///
/// It can be stopped, dropped or killed anywhere, and run again.
pub async fn run(client: Client, namespace: String, stop: CancellationToken) {
    let objects = Objects::new(client);
    let all = watcher::Config::default;
    let kafkas = drive::controller(&objects, KAFKA, &namespace, all());
    let owned = [POD_SET, SECRET, SERVICE];
    let kafkas = drive::owning(kafkas, &objects, &owned, &namespace);
    // Claims belong to nobody, so that they outlive a `Kafka`; a label says whose they are.
    let claims = objects.api(CLAIM, &namespace);
    let kafkas = kafkas.watches_with(claims, CLAIM.resource(), all(), |claim| {
        let cluster = pod::label(&claim, CLUSTER).to_owned();
        let namespace = claim.namespace().unwrap_or_default();
        (!cluster.is_empty())
            .then(|| ObjectRef::new_with(&cluster, KAFKA.resource()).within(&namespace))
    });
    let pod_sets = drive::controller(&objects, POD_SET, &namespace, all());
    let pod_sets = drive::owning(pod_sets, &objects, &[POD], &namespace);
    let objects = Arc::new(objects);
    let both = futures::future::join(
        drive::run("kafka", kafkas, objects.clone(), kafka::reconcile),
        drive::run("pod-sets", pod_sets, objects, pod_set::reconcile),
    );
    tokio::select! {
        _ = both => {}
        () = stop.cancelled() => {}
    }
}
