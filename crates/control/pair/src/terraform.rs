//! The pair as variables of the Terraform module in `deploy/terraform`, which cannot read TOML.

use serde_json::{Map, Value, json};

use crate::pair::{BucketLocation, EncryptionKey, Pair, Region, SecretKey, Storage, StorageKey};
use crate::role::{Dr, Side};

impl Pair {
    /// A `.tfvars.json` for `deploy/terraform`. Times, sizes and names are those of the file with
    /// its overrides and defaults, so that both derivations start from the same.
    pub fn terraform_variables(&self, side: Side, dr: Dr, dedicated_routing: bool) -> Value {
        let manager = &self.traffic_manager;
        json!({
            "side": side,
            "dr": dr,
            "dr_use_dedicated_routing": dedicated_routing,
            "tls_secret": self.tls_secret,
            "environment": self.environment,
            "regions": {
                "primary": region(&self.primary, &manager.primary_endpoint),
                "secondary": region(&self.secondary, &manager.secondary_endpoint),
            },
            "dr_failover_alert_name": manager.alert_name,
            "traffic_manager_health_check_interval": manager.interval,
            "traffic_manager_tolerated_failures": manager.tolerated_failures,
            "traffic_manager_ttl": manager.ttl,
            "dr_failover_function_pre_failover_failure_seconds":
                self.failover.pre_failover_failure_seconds,
            "dr_failover_function_cooldown_seconds": self.failover.cooldown_seconds,
        })
    }
}

fn region(region: &Region, endpoint: &str) -> Value {
    json!({
        "cluster_name": region.cluster,
        "environment_field": region.environment_field,
        "digest_node_label": region.pools.digest,
        "ui_pool": region.pools.ui.name,
        "ui_node_label": region.pools.ui.node_label,
        "ingest_pool": region.pools.ingest.name,
        "ingest_node_label": region.pools.ingest.node_label,
        "region": region.region,
        "resource_group": region.resource_group,
        "endpoint_name": endpoint,
        "endpoint_target": region.endpoint_target,
        "storage": storage(&region.storage),
        "digest_node_count": region.sizes.digest,
        "ui_node_count": region.sizes.ui,
        "ingest_node_count": region.sizes.ingest,
        "kafka_node_count": region.sizes.kafka,
        "replication_factor": region.replication_factor,
    })
}

fn storage(storage: &Storage) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    match &storage.place {
        BucketLocation::Azure {
            account,
            container,
            endpoint_base,
            account_key,
        } => {
            set("provider", json!("azure"));
            set("account", json!(account));
            set("container", json!(container));
            set("endpoint_base", json!(endpoint_base));
            secret(&mut set, "account_key", account_key);
        }
        BucketLocation::Folder { path, container } => {
            set("provider", json!("folder"));
            set("path", json!(path));
            set("container", json!(container));
        }
    }
    set("object_key_prefix", json!(storage.object_key_prefix));
    match &storage.encryption_key {
        EncryptionKey::Secret(key) => secret(&mut set, "encryption_key", key),
        EncryptionKey::Off => set("encryption_off", json!(true)),
    }
    Value::Object(fields)
}

fn secret(set: &mut impl FnMut(&str, Value), name: &str, secret: &StorageKey) {
    set(name, key(&secret.own));
    set(&format!("{name}_copy"), json!(secret.copy.secret));
}

fn key(key: &SecretKey) -> Value {
    json!({ "secret": key.secret, "key": key.key })
}
