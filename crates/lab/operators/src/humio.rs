//! humio-operator: a `HumioCluster` becomes pods.
//!
//! As the real one (<https://github.com/humio/humio-operator>) where the runbook can see it:
//! labels, names, services, the admin token's secret, pod hashes, update strategies, states. Comments
//! name the file of `internal/controller` that a rule is from. What is its own: environment and mounts
//! by which `backstay node` runs in the pods (module `template` lists them).
//!
//! It runs only while its Deployment has a pod. Without it, pods live on and none is replaced.
//!
//! # Rules
//! - A pod that is going still takes its place: a node that comes finds what the one before it has
//!   written while it ended.
//! - A pod with a claim is called as the claim, and a claim is mounted by one pod only.
//! - A specification that cannot be followed changes nothing but the status, `ConfigError`.
//! - A pod of the right specification is deleted only when there are more of them than wanted.

mod plan;
mod run;
mod spec;
mod status;
mod support;
mod template;
mod tls;

use std::sync::Arc;

use kube::Client;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use crate::api::{CLAIM, HUMIO_CLUSTER, Objects, POD, SECRET, SERVICE};
use crate::drive;

/// Runs it for the clusters of `namespace` until `stop` is cancelled.
///
/// It can be stopped, dropped or killed anywhere, and run again.
pub async fn run(client: Client, namespace: String, stop: CancellationToken) {
    run_hurried(client, namespace, 1, stop).await;
}

/// The same, with the waits that a specification asks for (`minReadySeconds`) divided by `hurry`, for a
/// lab where nobody has the time.
pub async fn run_hurried(client: Client, namespace: String, hurry: u32, stop: CancellationToken) {
    let objects = Objects::new(client);
    let all = watcher::Config::default();
    let controller = drive::controller(&objects, HUMIO_CLUSTER, &namespace, all);
    let owned = [POD, SECRET, SERVICE, CLAIM];
    let controller = drive::owning(controller, &objects, &owned, &namespace);
    let running = drive::run(
        "humio-operator",
        controller,
        Arc::new(run::Operator { objects, hurry }),
        run::reconcile,
    );
    tokio::select! {
        () = running => {}
        () = stop.cancelled() => {}
    }
}
