//! What a new lab is provisioned with: the secrets and documents of each region, and the profile and
//! the alert in Azure. What is there already is left as it is: a lab that is started again goes on
//! where it stood, with a secondary that was promoted still promoted.

use std::collections::BTreeMap;

use backstay_kinds::HUMIO_CLUSTER;
use backstay_pair::{BucketLocation as Bucket, Pair, SecretKey, Side, derive, manifests};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Map, Value, json};

use super::LabError;
use super::arm::{Arm, ArmError};
use super::keys::Keys;
use super::store::Store;

/// Who applies what a lab begins with.
const MANAGER: &str = "backstay-lab";

/// Versions of Azure's APIs.
pub const TRAFFIC_MANAGER: &str = "2022-04-01";
const METRIC_ALERTS: &str = "2018-03-01";
const ACTION_GROUPS: &str = "2023-01-01";

/// Applies a region's documents, if it has no HumioCluster yet.
///
/// # Errors
/// When its API refuses.
pub async fn region(
    client: &kube::Client,
    pair: &Pair,
    store: &Store,
    keys: &Keys,
    side: Side,
) -> Result<(), LabError> {
    let derived = derive(pair, side, side.usual(), true);
    let documents = manifests(pair, &derived);
    let cluster = documents
        .iter()
        .find(|document| document["kind"] == HUMIO_CLUSTER.kind);
    if let Some(cluster) = cluster {
        let found = api(client, cluster)?
            .get_opt(&pair.region(side).cluster)
            .await;
        if found.map_err(|error| LabError::api(side, error))?.is_some() {
            return Ok(());
        }
    }
    let (namespaces, rest): (Vec<Value>, Vec<Value>) = documents
        .into_iter()
        .partition(|document| document["kind"] == "Namespace");
    // The HumioCluster last: it is what says that all was applied.
    let (last, rest): (Vec<Value>, Vec<Value>) = rest
        .into_iter()
        .partition(|document| document["kind"] == HUMIO_CLUSTER.kind);
    let secrets = secrets(pair, store, keys, side)?;
    for document in namespaces
        .into_iter()
        .chain(secrets)
        .chain(rest)
        .chain(last)
    {
        apply(client, side, &document).await?;
    }
    Ok(())
}

async fn apply(client: &kube::Client, side: Side, document: &Value) -> Result<(), LabError> {
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    let params = PatchParams::apply(MANAGER).force();
    api(client, document)?
        .patch(name, &params, &Patch::Apply(document))
        .await
        .map(|_| ())
        .map_err(|error| LabError::api(side, error))
}

/// The collection that a document belongs in.
fn api(client: &kube::Client, document: &Value) -> Result<Api<DynamicObject>, LabError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&document["apiVersion"]), text(&document["kind"]));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let kind = GroupVersionKind::gvk(group, version, &kind);
    let resource = ApiResource::from_gvk(&kind);
    Ok(match document["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}

/// What the secrets of both regions' buckets are, as the cluster of `held` has them.
///
/// # Errors
/// When there is no account: a fault of this crate.
pub fn bucket_secrets(
    pair: &Pair,
    store: &Store,
    keys: &Keys,
    held: Side,
) -> Result<BTreeMap<SecretKey, String>, LabError> {
    let mut all = BTreeMap::new();
    for side in Side::BOTH {
        let storage = &pair.region(side).storage;
        let encryption = keys.encryption(side).to_owned();
        if let Some(key) = storage.encryption_key.secret() {
            all.insert(key.seen_from(held, side).clone(), encryption);
        }
        if let (Bucket::Azure { account_key, .. }, Store::Azurite(blobs)) = (&storage.place, store)
        {
            let key = account_key.seen_from(held, side).clone();
            all.insert(key, blobs.account_key(keys, side)?);
        }
    }
    Ok(all)
}

/// Both regions' secrets, which each of them needs, since either may recover from the other.
fn secrets(pair: &Pair, store: &Store, keys: &Keys, held: Side) -> Result<Vec<Value>, LabError> {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in bucket_secrets(pair, store, keys, held)? {
        let secret = all.entry(name.secret).or_insert_with(|| json!({}));
        secret[&name.key] = json!(value);
    }
    let mut secrets: Vec<Value> = all
        .into_iter()
        .map(|(name, data)| secret(pair, &name, "Opaque", data))
        .collect();
    if let Some(name) = &pair.tls_secret {
        let data = json!({ "tls.crt": keys.certificate, "tls.key": keys.certificate_key });
        secrets.push(secret(pair, name, "kubernetes.io/tls", data));
    }
    Ok(secrets)
}

fn secret(pair: &Pair, name: &str, kind: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": pair.namespace },
        "type": kind,
        "stringData": data,
    })
}

/// Makes the profile, the alert and what it calls, where they are missing.
///
/// # Errors
/// When the Resource Manager refuses.
pub async fn azure(arm: &Arm, pair: &Pair) -> Result<(), LabError> {
    let manager = &pair.traffic_manager;
    let profile = backstay_pair::traffic_manager_profile(pair);
    missing(arm, &manager.profile_id(), TRAFFIC_MANAGER, &profile).await?;
    // Nobody is called yet: `backstay watch` has its own probes, and adds its receiver.
    let group = json!({
        "location": "Global",
        "properties": { "groupShortName": "dr-failover", "enabled": true, "webhookReceivers": [] },
    });
    missing(arm, &pair.action_group_id(), ACTION_GROUPS, &group).await?;
    let alert = alert(pair);
    missing(arm, &pair.alert_id(), METRIC_ALERTS, &alert).await
}

async fn missing(arm: &Arm, id: &str, version: &str, body: &Value) -> Result<(), LabError> {
    match arm.get(id, version).await {
        Err(ArmError::Refused { status: 404, .. }) => {
            arm.put(id, version, body).await?;
            Ok(())
        }
        other => Ok(other.map(|_| ())?),
    }
}

/// Fires when the primary's endpoint is not healthy
/// (<https://learn.microsoft.com/azure/traffic-manager/traffic-manager-metrics-alerts>).
fn alert(pair: &Pair) -> Value {
    let manager = &pair.traffic_manager;
    json!({
        "location": "global",
        "properties": {
            "description": "The primary's endpoint does not answer its probes.",
            "severity": 0,
            "enabled": true,
            "autoMitigate": true,
            "scopes": [manager.profile_id()],
            "evaluationFrequency": "PT1S",
            "windowSize": "PT1S",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [{
                    "criterionType": "StaticThresholdCriterion",
                    "name": "primary-endpoint",
                    "metricNamespace": "Microsoft.Network/trafficManagerProfiles",
                    "metricName": "ProbeAgentCurrentEndpointStateByProfileResourceId",
                    "dimensions": [{
                        "name": "EndpointName",
                        "operator": "Include",
                        "values": [manager.primary_endpoint],
                    }],
                    "operator": "LessThan",
                    "threshold": 1,
                    "timeAggregation": "Maximum",
                }],
            },
            "actions": [{ "actionGroupId": pair.action_group_id() }],
        },
    })
}
