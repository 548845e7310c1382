//! The names that a node's configuration is read from.

use backstay_bucket::{BucketConfig, Role};

/// The variables, except those of the buckets.
const VARIABLES: [&str; 47] = [
    "BACKSTAY_ACK_TIMEOUT_MS",
    "BACKSTAY_ADMIN_TOKEN_FILE",
    "BACKSTAY_BACKLOG_BYTES",
    "BACKSTAY_BIND",
    "BACKSTAY_CACHE_BYTES",
    "BACKSTAY_COMMIT_BYTES",
    "BACKSTAY_COMMIT_LINGER_MS",
    "BACKSTAY_DRAIN_SECONDS",
    "BACKSTAY_ELASTIC_VERSION",
    "BACKSTAY_FORGET_LOST_KEYS",
    "BACKSTAY_HEARTBEAT_MS",
    "BACKSTAY_INGEST_PARTITIONS",
    "BACKSTAY_LAME_DUCK_MS",
    "BACKSTAY_LEASE_MS",
    "BACKSTAY_MEMORY_BYTES",
    "BACKSTAY_OWN_LOG",
    "BACKSTAY_REGION",
    "BACKSTAY_SEARCHES",
    "BACKSTAY_SEARCH_SECONDS",
    "BACKSTAY_SEARCH_WAIT_MS",
    "BACKSTAY_SEGMENT_BYTES",
    "BACKSTAY_SEGMENT_SECONDS",
    "BACKSTAY_SNAPSHOTS_KEPT",
    "BACKSTAY_SNAPSHOT_SECONDS",
    "BACKSTAY_SOURCE_ADDRESS",
    "BACKSTAY_STATUS_GRACE_SECONDS",
    "BACKSTAY_TLS_CA_FILE",
    "BACKSTAY_TLS_CERT_FILE",
    "BACKSTAY_TLS_KEY_FILE",
    "BACKSTAY_TRIM_SECONDS",
    "BOOTSTRAP_ROOT_TOKEN_HASHED",
    "BUCKET_STORAGE_MULTIPLE_ENDPOINTS",
    "DIRECTORY",
    "ELASTIC_PORT",
    "ENABLE_ALERTS",
    "EXTERNAL_URL",
    "HUMIO_PORT",
    "INGEST_QUEUE_INITIAL_PARTITIONS",
    "MAX_EVENT_FIELD_COUNT",
    "NODE_ROLES",
    "PORT",
    "PUBLIC_URL",
    "QUERY_EXECUTOR_CORES",
    RECOVER_WITHOUT_SEAL,
    "TLS_KEYSTORE_LOCATION",
    "TLS_TRUSTSTORE_LOCATION",
    "ZONE",
];

const RECOVER_WITHOUT_SEAL: &str = "BACKSTAY_RECOVER_WITHOUT_SEAL";
/// What a node does with recovery variables of every provider.
const REPLACE: [&str; 2] = ["REPLACE_REGION", "REPLACE_BUCKET"];

/// Every name that [`NodeConfig::from_env`](super::NodeConfig::from_env) may ask for.
pub fn variables() -> Vec<String> {
    let others = VARIABLES.iter().map(|name| (*name).to_owned());
    others.chain(buckets()).collect()
}

/// Those of them that decide from where a node starts and what it recovers: with one of these left
/// out, it may begin as another cluster.
pub fn deciding_variables() -> Vec<String> {
    let others = [RECOVER_WITHOUT_SEAL, "BUCKET_STORAGE_MULTIPLE_ENDPOINTS"];
    let others = others.into_iter().map(ToOwned::to_owned);
    others.chain(buckets()).collect()
}

fn buckets() -> Vec<String> {
    let mut names = BucketConfig::variables(Role::Own);
    let sources = BucketConfig::variables(Role::RecoverFrom);
    for name in sources {
        if let Some((provider, "BUCKET")) = name.split_once("_RECOVER_FROM_") {
            names.extend(REPLACE.map(|what| format!("{provider}_RECOVER_FROM_{what}")));
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests;
