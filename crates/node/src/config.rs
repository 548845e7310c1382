//! The node's configuration: LogScale's own variables, and ours with the prefix `BACKSTAY_`.
//!
//! A value that cannot be used is an error that names the variable, never a silent default.
//!
//! | Variable | Default | Meaning |
//! |---|---|---|
//! | `AZURE_STORAGE_*`, `S3_STORAGE_*`, `GCP_STORAGE_*`, `LOCAL_STORAGE_*` | | this cluster's own bucket; see `backstay_bucket` |
//! | `AZURE_RECOVER_FROM_*` and the like | none | the bucket to recover from |
//! | `…_RECOVER_FROM_REPLACE_REGION`, `…_RECOVER_FROM_REPLACE_BUCKET` | none | `from/to`, for patching |
//! | `BACKSTAY_SOURCE_ADDRESS` | the system's choice | the local address from which buckets are asked |
//! | `BUCKET_STORAGE_MULTIPLE_ENDPOINTS` | `false` | every bucket keeps its own endpoint |
//! | `ENABLE_ALERTS` | `true` | whether alerts run |
//! | `TLS_KEYSTORE_LOCATION` | none | the node listens by HTTPS, with `tls.crt` and `tls.key` (PEM) of this file's folder; the keystore itself, and its `TLS_…_PASSWORD`, are not read |
//! | `TLS_TRUSTSTORE_LOCATION` | `TLS_KEYSTORE_LOCATION` | other nodes are trusted by `ca.crt` (PEM) of this file's folder, where there is one; else by the system's authorities |
//! | `BACKSTAY_TLS_CERT_FILE`, `BACKSTAY_TLS_KEY_FILE` | none | the same files by name, without a keystore: the certificate's chain and its key, PEM |
//! | `BACKSTAY_TLS_CA_FILE` | none | likewise the authorities that other nodes are trusted by, PEM |
//! | `PUBLIC_URL` | `http://localhost:<port>`, `https` with TLS | how clients reach the cluster |
//! | `EXTERNAL_URL` | `PUBLIC_URL` | how other nodes reach this node; the operator sets it for each pod |
//! | `ZONE` | none | where the node is, as the cluster's list of nodes says it |
//! | `BOOTSTRAP_ROOT_TOKEN_HASHED` | none | the hash of a secret with which `Bearer localroot~<secret>` administers; `backstay token-hash` makes both |
//! | `NODE_ROLES` | `all` | `all`, `ingestonly` or `httponly` |
//! | `PORT` (`HUMIO_PORT`) | `8080` | where it listens |
//! | `ELASTIC_PORT` | none | one more port, where the Elasticsearch endpoint is at the root: `/`, `/_bulk` |
//! | `DIRECTORY` | `./data` | the data folder |
//! | `BACKSTAY_BIND` | `0.0.0.0` | the address it listens on |
//! | `BACKSTAY_ADMIN_TOKEN_FILE` | `<data>/admin-token.txt` | made at first start, mode 0600 |
//! | `BACKSTAY_INGEST_PARTITIONS` (`INGEST_QUEUE_INITIAL_PARTITIONS`) | `4` | partitions of a *new* cluster, 1 to 1024 |
//! | `BACKSTAY_HEARTBEAT_MS` | `2000` | how often a node says that it lives |
//! | `BACKSTAY_LEASE_MS` | `10000` | silent for so long is dead, longer where heartbeats are slow; at least twice the heartbeat |
//! | `BACKSTAY_COMMIT_LINGER_MS` | `100` | longest wait before a batch is cut |
//! | `BACKSTAY_COMMIT_BYTES` | `4194304` | a batch is cut at so many bytes |
//! | `BACKSTAY_BACKLOG_BYTES` | `67108864` | unacknowledged bytes per partition before 429 |
//! | `BACKSTAY_ACK_TIMEOUT_MS` | `30000` | longest wait of a client for its acknowledgement |
//! | `BACKSTAY_SEGMENT_BYTES` | `33554432` | a partition's raw bytes that make a segment |
//! | `BACKSTAY_SEGMENT_SECONDS` | `60` | the age at which they do anyway |
//! | `BACKSTAY_SNAPSHOT_SECONDS` | `300` | interval of snapshots |
//! | `BACKSTAY_SNAPSHOTS_KEPT` | `5` | snapshots that are kept, at least 2 |
//! | `BACKSTAY_TRIM_SECONDS` | `600` | how long covered entries stay: the idempotency window, at least 600; counted while the partition is written |
//! | `BACKSTAY_CACHE_BYTES` | `10737418240` | local cache of segments; 0 turns it off |
//! | `MAX_EVENT_FIELD_COUNT` | `8000` | most fields of an event; what is beyond is found in its text only |
//! | `BACKSTAY_ELASTIC_VERSION` | `8.19.0` | the version that the Elasticsearch endpoint says it has; Beats refuse one that is older than they are |
//! | `BACKSTAY_OWN_LOG` | `true` | whether the node's own log (from `INFO` on) becomes events of the repository `humio` |
//! | `BACKSTAY_REGION` | on Azure what `ZONE` begins with (`eastus` of `eastus-1`) | the region of the own bucket, where the provider's variables name none: what `REPLACE_REGION` replaces |
//! | `BACKSTAY_MEMORY_BYTES` | three quarters of the control group's limit, else of the machine's memory | what the process may take: batches beyond it are refused (429), searches too, and segments are made early; at least 67108864 |
//! | `BACKSTAY_SEARCHES` | one for each 256 MiB of `BACKSTAY_MEMORY_BYTES`, 2 to 8 | searches that run at once, half of them streamed |
//! | `BACKSTAY_SEARCH_SECONDS` | `600` | longest time of a search; the time that the client of a stream takes is not counted |
//! | `BACKSTAY_SEARCH_WAIT_MS` | `30000` | longest wait of a search for its turn before 429 |
//! | `QUERY_EXECUTOR_CORES` | half of the cores, at least 2 | threads that compute for searches |
//! | `BACKSTAY_STATUS_GRACE_SECONDS` | `30` | nothing acknowledgeable for so long is 503 |
//! | `BACKSTAY_LAME_DUCK_MS` | `1000` | told to end while other nodes live, it serves on until nobody has asked anything for so long, ten times as long at the most; after half of that its status is 503; 0: not at all |
//! | `BACKSTAY_DRAIN_SECONDS` | `60` | longest wait for the journal when draining; and, while other nodes live, for answers under way |
//! | `BACKSTAY_RECOVER_WITHOUT_SEAL` | `false` | recover although the source cannot be sealed (it can still be written to: only if it is surely dead) |
//! | `BACKSTAY_FORGET_LOST_KEYS` | `false` | give up idempotency keys that cannot be read and that no backup has: a batch that was stored under one and is sent again is stored twice |

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::bootstrap::RootTokenHash;
use backstay_bucket::{BucketConfig, Provider, Role};
use backstay_global::recovery::Replace;
use url::Url;

pub use tls::{Authority, TlsFiles};
pub use variables::{deciding_variables, variables};

use read::Reader;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Roles {
    /// Ingest, search and HTTP.
    All,
    /// Takes events and owns partitions; does not search.
    IngestOnly,
    /// Searches and serves HTTP; owns no partition.
    HttpOnly,
}

impl Roles {
    /// Whether it owns partitions.
    pub fn ingests(self) -> bool {
        self != Self::HttpOnly
    }

    /// Whether it follows all partitions, to search them.
    pub fn searches(self) -> bool {
        self != Self::IngestOnly
    }

    /// As in `NODE_ROLES` and in the host table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::IngestOnly => "ingestonly",
            Self::HttpOnly => "httponly",
        }
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "ingestonly" => Ok(Self::IngestOnly),
            "httponly" => Ok(Self::HttpOnly),
            _ => Err("must be all, ingestonly or httponly".to_owned()),
        }
    }
}

/// Everything that a node is configured with at its start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// This cluster's own bucket (`…_STORAGE_…`).
    pub bucket: BucketConfig,
    /// The bucket to recover from when there is no own state.
    pub recover_from: Option<BucketConfig>,
    /// What a recovery replaces in the regions of buckets (`…_RECOVER_FROM_REPLACE_REGION`: from, to).
    pub replace_region: Option<Replace>,
    /// What a recovery replaces in the names of containers (`…_RECOVER_FROM_REPLACE_BUCKET`: from, to).
    pub replace_bucket: Option<Replace>,
    /// Whether each bucket keeps its own endpoint (`BUCKET_STORAGE_MULTIPLE_ENDPOINTS`).
    pub multiple_endpoints: bool,
    /// Whether to recover although the source cannot be sealed (`BACKSTAY_RECOVER_WITHOUT_SEAL`).
    pub recover_without_seal: bool,
    /// Whether to give up idempotency keys that no backup has (`BACKSTAY_FORGET_LOST_KEYS`).
    pub forget_lost_keys: bool,
    /// Whether the cluster runs alerts (`ENABLE_ALERTS`).
    pub enable_alerts: bool,
    /// Where clients reach the cluster (`PUBLIC_URL`).
    pub public_url: Url,
    /// `EXTERNAL_URL`: for the other nodes. The public one may be a name that leads anywhere.
    pub external_url: Url,
    /// By what it listens with TLS, if it does.
    pub tls: Option<TlsFiles>,
    /// By what it trusts other nodes; without one, by the system's authorities.
    pub authority: Option<Authority>,
    /// Where this node is (`ZONE`); for people and the operator.
    pub zone: Option<String>,
    /// What the bootstrap token is known by (`BOOTSTRAP_ROOT_TOKEN_HASHED`).
    pub root_token: Option<RootTokenHash>,
    /// The port of Elasticsearch's API (`ELASTIC_PORT`).
    pub elastic_port: Option<u16>,
    /// Whether its own log becomes events (`BACKSTAY_OWN_LOG`).
    pub own_log: bool,
    /// The region of the own bucket, where that does not say one (`BACKSTAY_REGION`).
    pub region: Option<String>,
    /// What this node does (`NODE_ROLES`).
    pub roles: Roles,
    /// The address that it listens on (`BACKSTAY_BIND`).
    pub bind: IpAddr,
    /// The port that it listens on (`PORT`).
    pub port: u16,
    /// The data folder (`DIRECTORY`).
    pub data_dir: PathBuf,
    /// The file that holds the admin token (`BACKSTAY_ADMIN_TOKEN_FILE`).
    pub admin_token_file: PathBuf,
    /// The version of Elasticsearch that shippers see (`BACKSTAY_ELASTIC_VERSION`).
    pub elastic_version: String,
    /// Times and sizes that have good defaults.
    pub tuning: Tuning,
}

/// Times and sizes, all settable; see the module for the variables.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Partitions of a new cluster.
    pub partitions: u32,
    /// How often the host reports that it lives.
    pub heartbeat: Duration,
    /// Silence after which a host is dead.
    pub lease: Duration,
    /// Longest wait before a batch is cut.
    pub commit_linger: Duration,
    /// Bytes at which a batch is cut.
    pub commit_bytes: usize,
    /// Unacknowledged bytes per partition.
    pub backlog_bytes: usize,
    /// Longest wait for an acknowledgement.
    pub ack_timeout: Duration,
    /// Raw bytes at which a partition's segments are cut.
    pub segment_bytes: usize,
    /// Age at which they are cut anyway.
    pub segment_age: Duration,
    /// How often a snapshot of the metadata is written.
    pub snapshot_interval: Duration,
    /// Snapshots that are kept.
    pub snapshots_kept: usize,
    /// How long covered entries stay.
    pub trim_after: Duration,
    /// Size of the local segment cache in bytes; 0 is none.
    pub cache_bytes: u64,
    /// Most fields of an event.
    pub event_fields: usize,
    /// Memory of the process, in bytes.
    pub memory_bytes: u64,
    /// Searches that run at once.
    pub searches: usize,
    /// Longest time of a search.
    pub search_time: Duration,
    /// Longest wait of a search for its turn.
    pub search_patience: Duration,
    /// Threads that compute for searches.
    pub search_threads: usize,
    /// Time without any possible acknowledgement after which the status is 503.
    pub status_grace: Duration,
    /// Silence after which a node that is to end takes it that nobody sends to it any more.
    pub lame_duck: Duration,
    /// Longest wait for the journal when draining.
    pub drain: Duration,
}

/// Most fields of an event where nothing else is set, as LogScale's documentation has it.
const MAX_EVENT_FIELDS: usize = 8000;

impl Default for Tuning {
    fn default() -> Self {
        let memory_bytes = crate::memory::default_budget();
        Self {
            partitions: 4,
            heartbeat: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            commit_linger: Duration::from_millis(100),
            commit_bytes: 4 << 20,
            backlog_bytes: 64 << 20,
            ack_timeout: Duration::from_secs(30),
            segment_bytes: 32 << 20,
            segment_age: Duration::from_secs(60),
            snapshot_interval: Duration::from_secs(300),
            snapshots_kept: 5,
            trim_after: Duration::from_secs(600),
            cache_bytes: 10 << 30,
            event_fields: MAX_EVENT_FIELDS,
            memory_bytes,
            searches: searches_in(memory_bytes),
            search_time: Duration::from_secs(600),
            search_patience: Duration::from_secs(30),
            // As LogScale has it.
            search_threads: (cores() / 2).max(2),
            status_grace: Duration::from_secs(30),
            lame_duck: Duration::from_millis(1000),
            drain: Duration::from_secs(60),
        }
    }
}

/// How many searches there is memory for at the same time: one by one they need more than a share of
/// a share.
fn searches_in(memory_bytes: u64) -> usize {
    (memory_bytes >> 28).clamp(2, 8) as usize
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The shortest idempotency window. Debug builds allow a shorter one, so that a fault test lives
/// to see trimming.
const MIN_TRIM_AGE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 1 } else { 600 });

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable has a value that means nothing.
    #[error("{variable}: {problem}; correct or remove the variable")]
    Value {
        /// Name of the environment variable.
        variable: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// There is no bucket.
    #[error(
        "no bucket is configured; set AZURE_STORAGE_BUCKET, S3_STORAGE_BUCKET, GCP_STORAGE_BUCKET or LOCAL_STORAGE_PATH, and the variables that go with it"
    )]
    NoBucket,
    /// A bucket's variables are wrong.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
}

impl NodeConfig {
    /// Reads the configuration through `vars`, which answers as the environment would.
    ///
    /// # Errors
    /// When a variable has a value that means nothing, or no bucket is configured.
    pub fn from_env(vars: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = Reader { vars };
        let bucket = BucketConfig::from_env(Role::Own, vars)?.ok_or(ConfigError::NoBucket)?;
        let recover_from = BucketConfig::from_env(Role::RecoverFrom, vars)?;
        let port = match read.text("PORT") {
            Some(_) => read.number("PORT", 8080, 0..=65535)?,
            None => read.number("HUMIO_PORT", 8080, 0..=65535)?,
        };
        let data_dir = PathBuf::from(read.text("DIRECTORY").unwrap_or_else(|| "./data".into()));
        let admin_token_file = read
            .text("BACKSTAY_ADMIN_TOKEN_FILE")
            .map_or_else(|| data_dir.join("admin-token.txt"), PathBuf::from);
        let (tls, authority) = tls::from_env(&read)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let public_url = read
            .text("PUBLIC_URL")
            .unwrap_or_else(|| format!("{scheme}://localhost:{port}"));
        let replace = |what: &str| {
            let Some(from) = &recover_from else {
                return Ok::<Option<Replace>, ConfigError>(None);
            };
            let prefix = from.provider_name().to_uppercase();
            let name = format!("{prefix}_RECOVER_FROM_REPLACE_{what}");
            match read.text(&name) {
                Some(text) => read.parse(&name, &text).map(Some),
                None => Ok(None),
            }
        };
        Ok(Self {
            replace_region: replace("REGION")?,
            replace_bucket: replace("BUCKET")?,
            multiple_endpoints: read.flag("BUCKET_STORAGE_MULTIPLE_ENDPOINTS", false)?,
            recover_without_seal: read.flag("BACKSTAY_RECOVER_WITHOUT_SEAL", false)?,
            forget_lost_keys: read.flag("BACKSTAY_FORGET_LOST_KEYS", false)?,
            enable_alerts: read.flag("ENABLE_ALERTS", true)?,
            public_url: read.parse("PUBLIC_URL", &public_url)?,
            external_url: match read.text("EXTERNAL_URL") {
                Some(text) => read.parse("EXTERNAL_URL", &text)?,
                None => read.parse("PUBLIC_URL", &public_url)?,
            },
            tls,
            authority,
            own_log: read.flag("BACKSTAY_OWN_LOG", true)?,
            region: read.text("BACKSTAY_REGION").or_else(|| {
                let zone = read.text("ZONE")?;
                let azure = matches!(bucket.provider, Provider::Azure { .. });
                azure.then(|| region_of(&zone)).flatten()
            }),
            zone: read.text("ZONE"),
            root_token: match read.text("BOOTSTRAP_ROOT_TOKEN_HASHED") {
                Some(text) => Some(read.parse("BOOTSTRAP_ROOT_TOKEN_HASHED", &text)?),
                None => None,
            },
            elastic_port: match read.text("ELASTIC_PORT") {
                Some(_) => Some(read.number("ELASTIC_PORT", 0, 0..=65535)? as u16),
                None => None,
            },
            roles: match read.text("NODE_ROLES") {
                Some(text) => read.parse("NODE_ROLES", &text)?,
                None => Roles::All,
            },
            bind: match read.text("BACKSTAY_BIND") {
                Some(text) => read.parse("BACKSTAY_BIND", &text)?,
                None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            },
            port: port as u16,
            data_dir,
            admin_token_file,
            elastic_version: read.version("BACKSTAY_ELASTIC_VERSION", "8.19.0")?,
            tuning: Tuning::from_env(&read)?,
            recover_from,
            bucket,
        })
    }
}

/// The region of a zone as Azure Kubernetes Service labels nodes: `<region>-<number>`; a node in no zone has a
/// number alone.
fn region_of(zone: &str) -> Option<String> {
    let (region, number) = zone.rsplit_once('-')?;
    let is_zone = !region.is_empty() && number.parse::<u8>().is_ok();
    is_zone.then(|| region.to_owned())
}

impl Tuning {
    fn from_env(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let millis = |name: &str, default: Duration, least: u64| {
            let value = read.number(name, default.as_millis() as u64, least..=86_400_000)?;
            Ok::<_, ConfigError>(Duration::from_millis(value))
        };
        let seconds = |name: &str, default: Duration, least: u64| {
            let value = read.number(name, default.as_secs(), least..=31_536_000)?;
            Ok::<_, ConfigError>(Duration::from_secs(value))
        };
        let bytes = |name: &str, default: usize| {
            let value = read.number(name, default as u64, 1..=1 << 40)?;
            Ok::<_, ConfigError>(usize::try_from(value).unwrap_or(usize::MAX))
        };
        let heartbeat = millis("BACKSTAY_HEARTBEAT_MS", default.heartbeat, 10)?;
        let lease = millis("BACKSTAY_LEASE_MS", default.lease, 20)?;
        if lease < heartbeat * 2 {
            return Err(ConfigError::Value {
                variable: "BACKSTAY_LEASE_MS".to_owned(),
                problem: format!(
                    "{} ms is less than two heartbeats of {} ms (BACKSTAY_HEARTBEAT_MS), so that living nodes would count as dead",
                    lease.as_millis(),
                    heartbeat.as_millis()
                ),
            });
        }
        let memory_bytes = read.number(
            "BACKSTAY_MEMORY_BYTES",
            default.memory_bytes,
            crate::memory::MIN_BUDGET_BYTES..=u64::MAX,
        )?;
        Ok(Self {
            partitions: match read.text("BACKSTAY_INGEST_PARTITIONS") {
                Some(_) => read.number("BACKSTAY_INGEST_PARTITIONS", 0, 1..=1024)?,
                None => read.number(
                    "INGEST_QUEUE_INITIAL_PARTITIONS",
                    u64::from(default.partitions),
                    1..=1024,
                )?,
            } as u32,
            heartbeat,
            lease,
            commit_linger: millis("BACKSTAY_COMMIT_LINGER_MS", default.commit_linger, 0)?,
            commit_bytes: bytes("BACKSTAY_COMMIT_BYTES", default.commit_bytes)?,
            backlog_bytes: bytes("BACKSTAY_BACKLOG_BYTES", default.backlog_bytes)?,
            ack_timeout: millis("BACKSTAY_ACK_TIMEOUT_MS", default.ack_timeout, 1)?,
            segment_bytes: bytes("BACKSTAY_SEGMENT_BYTES", default.segment_bytes)?,
            segment_age: seconds("BACKSTAY_SEGMENT_SECONDS", default.segment_age, 1)?,
            snapshot_interval: seconds("BACKSTAY_SNAPSHOT_SECONDS", default.snapshot_interval, 1)?,
            snapshots_kept: read.number(
                "BACKSTAY_SNAPSHOTS_KEPT",
                default.snapshots_kept as u64,
                2..=10_000,
            )? as usize,
            trim_after: seconds(
                "BACKSTAY_TRIM_SECONDS",
                default.trim_after,
                MIN_TRIM_AGE.as_secs(),
            )?,
            cache_bytes: read.number("BACKSTAY_CACHE_BYTES", default.cache_bytes, 0..=u64::MAX)?,
            event_fields: read.number(
                "MAX_EVENT_FIELD_COUNT",
                default.event_fields as u64,
                1..=50_000,
            )? as usize,
            memory_bytes,
            searches: read.number(
                "BACKSTAY_SEARCHES",
                searches_in(memory_bytes) as u64,
                1..=1000,
            )? as usize,
            search_time: seconds("BACKSTAY_SEARCH_SECONDS", default.search_time, 1)?,
            search_patience: millis("BACKSTAY_SEARCH_WAIT_MS", default.search_patience, 0)?,
            search_threads: read.number(
                "QUERY_EXECUTOR_CORES",
                default.search_threads as u64,
                1..=1024,
            )? as usize,
            status_grace: seconds("BACKSTAY_STATUS_GRACE_SECONDS", default.status_grace, 1)?,
            lame_duck: millis("BACKSTAY_LAME_DUCK_MS", default.lame_duck, 0)?,
            drain: seconds("BACKSTAY_DRAIN_SECONDS", default.drain, 1)?,
        })
    }
}

mod read;
mod tls;
mod variables;

#[cfg(test)]
mod tests;
