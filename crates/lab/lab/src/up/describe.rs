//! The file that describes a lab's pair: the same `backstay.toml` that a pair in Azure has, with a
//! lab's addresses in it.

use std::fmt::Write as _;

use backstay_pair::Side;

use super::LabOptions;
use super::store::Store;
use crate::place::{Place, context};

/// The times of a lab. Azure's shortest would make a drill of minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Seconds between two probes of an endpoint.
    pub interval: u32,
    /// Failures in a row that do not count yet.
    pub tolerated_failures: u32,
    /// Seconds for which a client may keep an answer of DNS.
    pub ttl: u32,
    /// The holdoff, in seconds.
    pub holdoff: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            interval: 1,
            tolerated_failures: 1,
            ttl: 1,
            holdoff: 5,
        }
    }
}

/// The subscription id that every lab's resources have.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// The name that a lab's clients use, which only its own traffic manager knows.
pub const GLOBAL_HOST: &str = "logs.trafficmanager.net";

/// The least that a node works with: 64 MiB.
const MIN_MEMORY_BYTES: u64 = 64 << 20;

/// The memory of one node, of what all may have: as if both regions were active, each with all its
/// pools, because each node would take most of the machine for its own.
fn memory(options: &LabOptions) -> u64 {
    let pools: u64 = if options.pools { 3 } else { 1 };
    (options.memory / (pools * Side::BOTH.len() as u64)).max(MIN_MEMORY_BYTES)
}

/// The text of the `backstay.toml` that describes the lab as a pair.
pub fn describe(place: &Place, store: &Store, options: &LabOptions) -> String {
    let times = options.times;
    let mut text = format!(
        r#"# The pair of this lab. It is read when the lab is made; see docs/pair.md for every key.

name = "lab"
global_host = "{GLOBAL_HOST}"
tls_secret = "logscale-tls"

[environment]
# A lab is small, and in a hurry.
BACKSTAY_HEARTBEAT_MS = "500"
BACKSTAY_LEASE_MS = "3000"
BACKSTAY_INGEST_PARTITIONS = "4"
BACKSTAY_COMMIT_LINGER_MS = "20"
BACKSTAY_SEGMENT_SECONDS = "2"
BACKSTAY_SEGMENT_BYTES = "4194304"
BACKSTAY_SNAPSHOT_SECONDS = "5"
BACKSTAY_CACHE_BYTES = "1073741824"
# Six of them share this machine when both regions are active.
BACKSTAY_MEMORY_BYTES = "{memory}"

[traffic_manager]
subscription = "{SUBSCRIPTION}"
resource_group = "lab-dr"
profile = "lab-logs"
relative_name = "logs"
limits = "lab"
interval = {interval}
timeout = 1
tolerated_failures = {tolerated}
ttl = {ttl}
probe_protocol = "HTTPS"
probe_port = {probe_port}
arm_endpoint = "http://{arm}"

[failover]
pre_failover_failure_seconds = {holdoff}
cooldown_seconds = 10
probe_interval_seconds = 1
probe_timeout_seconds = 1
"#,
        memory = memory(options),
        interval = times.interval,
        tolerated = times.tolerated_failures,
        ttl = times.ttl,
        holdoff = times.holdoff,
        arm = place.arm(),
        probe_port = place.ingress_proxies(Side::Primary)[1].port(),
    );
    for side in Side::BOTH {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}", region(place, store, options.pools, side));
    }
    text
}

fn region(place: &Place, store: &Store, pools: bool, side: Side) -> String {
    let [http, https, _] = place.ingress(side);
    let storage = match store {
        Store::Folder => format!(
            "provider = \"folder\"\npath = \"{}\"\n",
            place.bucket(side).display()
        ),
        Store::Azurite(blobs) => format!(
            "provider = \"azure\"\naccount = \"{account}\"\ncontainer = \"{container}\"\n\
             endpoint_base = \"http://{proxy}/{account}\"\nobject_key_prefix = \"{side}/\"\n\
             account_key = {{ secret = \"logscale-{side}-storage\", key = \"account-key\" }}\n",
            account = blobs.account(side),
            container = blobs.container(side),
            proxy = place.bucket_proxy(side),
        ),
    };
    let region = match side {
        Side::Primary => "centralus",
        Side::Secondary => "eastus2",
    };
    format!(
        r#"[{side}]
region = "{region}"
context = "{context}"
resource_group = "lab-{side}"
fqdn = "{side}.lab.internal"
endpoint_target = "{target}"
version = "lab"
replication_factor = 1
# As the manual types it: one list of variables, pods that speak HTTP, the nodes' AKS label.
environment_field = "environmentVariables"
tls = false

[{side}.pools]
digest.node_label = "agentpool=lsdigestnode"
ui.node_label = "agentpool=lsuinode"
ingest = {{ name = "ingest", node_label = "agentpool=lsingestnode" }}

[{side}.ingress]
address = "{address}"
http_port = {http}
https_port = {https}

[{side}.sizes]
digest = 1
ui = {pool}
ingest = {pool}
kafka = 1

[{side}.storage]
encryption_key = {{ secret = "logscale-{side}-storage", key = "encryption-key" }}
{storage}"#,
        pool = u8::from(pools),
        context = context(side),
        target = place.ingress_address(side),
        address = http.ip(),
        http = http.port(),
        https = https.port(),
    )
}

#[cfg(test)]
mod tests;
