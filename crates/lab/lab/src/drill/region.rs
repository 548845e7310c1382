//! What the drill sees of a region from outside: by the APIs that a person would use.

use std::collections::BTreeSet;

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_pair::{HTTP, Side};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, ListParams};

use super::DrillError;
use crate::client::{ClientError, NodeClient};
use crate::up::view::HUMIO_PODS;
use crate::up::{Lab, LabError};

pub(super) fn call(side: Side) -> impl Fn(ClientError) -> DrillError {
    move |source| DrillError::Call { side, source }
}

fn api(side: Side) -> impl Fn(kube::Error) -> DrillError {
    move |error| LabError::api(side, error).into()
}

/// The admin token of a region's cluster, out of the secret that its operator made.
pub(super) async fn admin_token(lab: &Lab, side: Side) -> Result<String, DrillError> {
    let pair = lab.pair();
    let secrets: Api<Secret> = Api::namespaced(lab.client(side).clone(), &pair.namespace);
    let name = format!("{}-admin-token", pair.region(side).cluster);
    let secret = secrets.get(&name).await.map_err(api(side))?;
    let token = secret.data.unwrap_or_default().remove("token");
    let token = token.map(|token| token.0).unwrap_or_default();
    Ok(String::from_utf8_lossy(&token).trim().to_owned())
}

/// Clients of the nodes in a region's pods, past its ingress: one that is fenced gets no traffic.
pub(super) async fn nodes(lab: &Lab, side: Side) -> Result<Vec<(String, NodeClient)>, DrillError> {
    let client = lab.client(side).clone();
    let pods: Api<Pod> = Api::namespaced(client, &lab.pair().namespace);
    let selected = ListParams::default().labels(HUMIO_PODS);
    let pods = pods.list(&selected).await.map_err(api(side))?;
    let mut nodes = Vec::new();
    for pod in pods {
        let address = pod.status.and_then(|status| status.pod_ip);
        let (Some(name), Some(address)) = (pod.metadata.name, address) else {
            continue;
        };
        let client = NodeClient::new(&format!("http://{address}:{HTTP}/"));
        let client = client.map_err(|source| DrillError::Call { side, source })?;
        nodes.push((name, client));
    }
    Ok(nodes)
}

/// The keys of the segments in a region's bucket.
pub(super) async fn segments(lab: &Lab, side: Side) -> Result<BTreeSet<String>, DrillError> {
    let variables = lab.bucket(side)?;
    let read = |name: &str| variables.get(name).cloned();
    let Some(config) = BucketConfig::from_env(Role::RecoverFrom, &read)? else {
        return Ok(BTreeSet::new());
    };
    let bucket = Bucket::open(config).await?;
    let keys = bucket.list("segments/", None).map_ok(|object| object.key);
    Ok(keys.try_collect().await?)
}
