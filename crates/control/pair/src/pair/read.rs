//! From a file to a [`Pair`].

use std::ffi::OsString;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::objects::{self, EncryptionKey, KeyRead, StorageKey};
use super::{
    BucketLocation, Failover, IngressAddress, MonitorLimits, Pair, Protocol, Region, SecretKey,
    Sizes, Storage, TrafficManager, check,
};
use crate::document::Document;
use crate::error::PairError;
use crate::names;
use crate::reader::Reader;
use crate::role::Side;

/// The most that is read. The example, with all its comments, has a twentieth.
const MAX_FILE_BYTES: u64 = 256 << 10;
/// A day: what is longer is a typing mistake.
const MAX_SECONDS: u32 = 86_400;

impl Pair {
    /// Reads a pair's file. `variables` is the environment (`std::env::vars_os()`), of which those
    /// that begin with [`OVERRIDE_PREFIX`](crate::OVERRIDE_PREFIX) override keys of the file.
    ///
    /// # Errors
    /// When the file cannot be read or describes no pair, with every problem and its line.
    pub fn read(
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, PairError> {
        let unread = |source| PairError::Read {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .map_err(unread)?
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(unread)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(PairError::TooLarge {
                path: path.to_owned(),
                limit: MAX_FILE_BYTES,
            });
        }
        let text = String::from_utf8(bytes).map_err(|error| PairError::NotText {
            path: path.to_owned(),
            byte: error.utf8_error().valid_up_to(),
        })?;
        Self::parse(&text, path, variables)
    }

    /// Reads a pair from text; `path` is for error texts only.
    ///
    /// # Errors
    /// When the text describes no pair, with every problem and its line.
    pub fn parse(
        text: &str,
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, PairError> {
        let invalid = |problems| PairError::Invalid {
            path: path.to_owned(),
            problems,
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = Document::parse(text).map_err(|problem| invalid(vec![problem]))?;
        let mut reader = Reader::new(document, variables);
        let pair = pair(&mut reader);
        // What depends on several keys is only worth a word when each of them is right.
        if !reader.has_problems() {
            check::whole(&pair, &mut reader);
        }
        let problems = reader.finish();
        if problems.is_empty() {
            Ok(pair)
        } else {
            Err(invalid(problems))
        }
    }
}

pub(super) fn pair(read: &mut Reader) -> Pair {
    let name = read.text("name", "the pair's name", names::short_label);
    let cluster = read.text_or("cluster", "logscale", names::short_label);
    let global_host = read.text("global_host", "the name that clients use", names::host);
    let environment = read.open_table("environment");
    for name in environment.keys() {
        if let Err(problem) = names::variable(name) {
            read.problem(&format!("environment.{name}"), problem.to_string());
        }
    }
    let [primary, secondary] = Side::BOTH.map(|side| RegionRead::of(read, side, &cluster));
    let (primarys, secondarys) = (primary.own(), secondary.own());
    Pair {
        namespace: read.text_or("namespace", "logging", names::label),
        ingress_namespace: read.text_or("ingress_namespace", "logging-ingress", names::label),
        tls_secret: read.optional("tls_secret", names::secret),
        environment,
        primary: primary.with_copies(Side::Primary, &secondarys),
        secondary: secondary.with_copies(Side::Secondary, &primarys),
        traffic_manager: traffic_manager(read, &name, &global_host),
        failover: failover(read),
        name,
        global_host,
    }
}

/// A region as far as its own keys say what it is.
struct RegionRead {
    region: Region,
    account_key: Option<KeyRead>,
    encryption_key: Option<KeyRead>,
}

/// Where a region's own cluster has the keys of its storage.
struct OwnKeys {
    account: Option<SecretKey>,
    encryption: Option<SecretKey>,
}

impl RegionRead {
    fn of(read: &mut Reader, side: Side, pairs: &str) -> Self {
        let key = format!("{side}.cluster");
        let cluster = read.text_or(&key, pairs, names::short_label);
        let encryption_key = objects::encryption_key(read, side, &cluster);
        let (storage, account_key) = storage(read, side);
        Self {
            region: region(read, side, cluster, storage),
            account_key,
            encryption_key,
        }
    }

    fn own(&self) -> OwnKeys {
        let own = |key: &Option<KeyRead>| key.as_ref().map(|it| it.own().clone());
        OwnKeys {
            account: own(&self.account_key),
            encryption: own(&self.encryption_key),
        }
    }

    fn with_copies(self, side: Side, others: &OwnKeys) -> Region {
        let mut region = self.region;
        let storage = &mut region.storage;
        if let Some(read) = self.encryption_key {
            let key = read.of(side, others.encryption.as_ref());
            storage.encryption_key = EncryptionKey::Secret(key);
        }
        if let (Some(read), BucketLocation::Azure { account_key, .. }) =
            (self.account_key, &mut storage.place)
        {
            *account_key = read.of(side, others.account.as_ref());
        }
        region
    }
}

fn region(read: &mut Reader, side: Side, cluster: String, storage: Storage) -> Region {
    let key = |name: &str| format!("{side}.{name}");
    let fqdn = read.text(&key("fqdn"), "the region's own host name", names::host);
    Region {
        region: read.text(
            &key("region"),
            "the Azure region, like centralus",
            names::region,
        ),
        context: read.text_or(&key("context"), &format!("aks-{side}"), names::context),
        resource_group: read.text(
            &key("resource_group"),
            "the resource group of the region's load balancer",
            names::resource_group,
        ),
        endpoint_target: read.text_or(&key("endpoint_target"), &fqdn, names::host_or_address),
        kafka: objects::kafka(read, side, &cluster),
        services: objects::services(read, side, &cluster),
        pools: objects::pools(read, side),
        environment_field: objects::environment_field(read, side),
        license: objects::license(read, side, &cluster),
        tls: read.flag(&key("tls"), true),
        ingress: IngressAddress {
            name: objects::ingress(read, side, &cluster),
            address: read
                .text(
                    &key("ingress.address"),
                    "the address of the region's ingress",
                    names::address,
                )
                .parse()
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            http_port: port(read, &key("ingress.http_port"), 80),
            https_port: port(read, &key("ingress.https_port"), 443),
        },
        version: read.text(&key("version"), "the tag of its images", names::version),
        storage,
        sizes: Sizes {
            digest: read.number(&key("sizes.digest"), None, 1..=1000),
            ui: read.number(&key("sizes.ui"), None, 0..=1000),
            ingest: read.number(&key("sizes.ingest"), None, 0..=1000),
            kafka: read.number(&key("sizes.kafka"), None, 0..=100),
        },
        replication_factor: read.number(&key("replication_factor"), None, 1..=10),
        fqdn,
        cluster,
    }
}

fn port(read: &mut Reader, key: &str, default: u32) -> u16 {
    u16::try_from(read.number(key, Some(default), 1..=65_535)).unwrap_or_default()
}

#[derive(Clone, Copy)]
enum Provider {
    Azure,
    Folder,
}

/// The keys of the answer are not known yet: the other region has a word in it.
fn storage(read: &mut Reader, side: Side) -> (Storage, Option<KeyRead>) {
    let key = |name: &str| format!("{side}.storage.{name}");
    let words = [("azure", Provider::Azure), ("folder", Provider::Folder)];
    let provider = read.choice(&key("provider"), None, &words, Provider::Azure);
    let other = match provider {
        Provider::Azure => ["path"].as_slice(),
        Provider::Folder => &[
            "account",
            "endpoint_base",
            "account_key.secret",
            "account_key.key",
            "account_key.copy",
        ],
    };
    for name in other {
        let key = key(name);
        let set = read.is_set(&key);
        read.optional(&key, |_| Ok(()));
        if set {
            read.problem(&key, "goes with another provider; remove it");
        }
    }
    let mut keys = None;
    let place = match provider {
        Provider::Azure => {
            let account = read.text(
                &key("account"),
                "the storage account",
                names::storage_account,
            );
            keys = Some(objects::account_key(read, side));
            BucketLocation::Azure {
                container: read.text(&key("container"), "the container", names::container),
                endpoint_base: read.text_or(
                    &key("endpoint_base"),
                    &format!("https://{account}.blob.core.windows.net"),
                    names::endpoint_base,
                ),
                account_key: StorageKey::unread(),
                account,
            }
        }
        Provider::Folder => {
            let path = read.text(&key("path"), "the folder", names::folder);
            let last = path.rsplit('/').next().unwrap_or_default();
            BucketLocation::Folder {
                container: read.text_or(&key("container"), last, names::folder_name),
                path,
            }
        }
    };
    let object_key_prefix = read.text_or(&key("object_key_prefix"), "", names::object_key_prefix);
    let storage = Storage {
        place,
        object_key_prefix,
        encryption_key: EncryptionKey::Off,
    };
    (storage, keys)
}

fn traffic_manager(read: &mut Reader, pair: &str, global_host: &str) -> TrafficManager {
    let key = |name: &str| format!("traffic_manager.{name}");
    let limits = read.choice(
        &key("limits"),
        Some(MonitorLimits::Azure),
        &[("azure", MonitorLimits::Azure), ("lab", MonitorLimits::Lab)],
        MonitorLimits::Azure,
    );
    let interval = read.number(&key("interval"), Some(30), 1..=3600);
    let protocols = [("HTTPS", Protocol::Https), ("HTTP", Protocol::Http)];
    let first = global_host.split('.').next().unwrap_or_default();
    TrafficManager {
        subscription: read.text(
            &key("subscription"),
            "the subscription's id",
            names::subscription,
        ),
        resource_group: read.text(
            &key("resource_group"),
            "the profile's resource group",
            names::resource_group,
        ),
        profile: read.text(&key("profile"), "the profile's name", names::resource),
        relative_name: read.text_or(&key("relative_name"), first, names::label),
        primary_endpoint: read.text_or(&key("primary_endpoint"), "primary", names::resource),
        secondary_endpoint: read.text_or(&key("secondary_endpoint"), "secondary", names::resource),
        limits,
        interval,
        // Azure's own default is 10 seconds, or 9 where the interval is 10.
        timeout: read.number(
            &key("timeout"),
            Some(interval.saturating_sub(1).clamp(1, 10)),
            1..=3600,
        ),
        tolerated_failures: read.number(&key("tolerated_failures"), Some(3), 0..=9),
        ttl: read.number(&key("ttl"), Some(60), 0..=2_147_483_647),
        probe_protocol: read.choice(
            &key("probe_protocol"),
            Some(Protocol::Https),
            &protocols,
            Protocol::Https,
        ),
        probe_port: port(read, &key("probe_port"), 443),
        probe_path: read.text_or(&key("probe_path"), "/api/v1/status", names::probe_path),
        arm_endpoint: read.text_or(
            &key("arm_endpoint"),
            "https://management.azure.com",
            names::endpoint_base,
        ),
        alert_name: read.text_or(
            &key("alert_name"),
            &format!("{pair}-dr-failover-alert"),
            names::monitor,
        ),
        action_group: read.text_or(
            &key("action_group"),
            &format!("{pair}-dr-failover-actions"),
            names::monitor,
        ),
    }
}

fn failover(read: &mut Reader) -> Failover {
    let mut seconds = |name: &str, default: u32, least: u32| {
        read.number(
            &format!("failover.{name}"),
            Some(default),
            least..=MAX_SECONDS,
        )
    };
    Failover {
        pre_failover_failure_seconds: seconds("pre_failover_failure_seconds", 180, 0),
        cooldown_seconds: seconds("cooldown_seconds", 300, 0),
        probe_interval_seconds: seconds("probe_interval_seconds", 10, 1),
        probe_timeout_seconds: seconds("probe_timeout_seconds", 5, 1),
        recovered_seconds: seconds("recovered_seconds", 60, 1),
        crash_loop_seconds: seconds("crash_loop_seconds", 900, 1),
    }
}
