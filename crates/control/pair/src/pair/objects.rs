//! What a region's Kubernetes objects are called and where their pods run: each a key of the file,
//! with the default that the vendor's Terraform gives it. All defaults are in this module.

use serde::{Serialize, Serializer};

use super::SecretKey;
use crate::names;
use crate::reader::Reader;
use crate::role::Side;

/// The label by which the vendor's node pools are told apart.
const NODE_LABEL: &str = "k8s-app";
/// The vendor's name of the secret with the storage account's key; in each region its own account's.
const ACCOUNT_KEY: (&str, &str) = ("azure-storage-key", "storage-access-key");
/// The key in `<cluster>-storage-encryption`.
const ENCRYPTION_KEY: &str = "storage-encryption-key";
/// The key in `<cluster>-license`, which the operator reads.
const LICENSE_KEY: &str = "humio-license-key";

/// The services behind the ingress. They are ours, not the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// For searches and HTTP.
    pub ui: String,
    /// For events.
    pub ingest: String,
}

/// Where the nodes of each pool run, and what the further pools are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools {
    /// The label of the nodes for the cluster's own pool.
    pub digest: NodeLabel,
    /// The pool for searches and HTTP.
    pub ui: PoolPlace,
    /// The pool for events.
    pub ingest: PoolPlace,
}

/// A pool beside the cluster's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolPlace {
    /// Its name in `spec.nodePools`; the operator puts the cluster's in front of it.
    pub name: String,
    /// The label of the nodes that it runs on.
    pub node_label: NodeLabel,
}

/// A label that nodes must have for a pod to run there: `k8s-app=logscale-ui`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeLabel {
    /// The label's name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Which list of a HumioCluster has the variables of its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentField {
    /// `spec.commonEnvironmentVariables`, which all pools share: as the vendor writes it.
    Common,
    /// `spec.environmentVariables`, which each pool has to itself: as the manual types it.
    Own,
}

impl EnvironmentField {
    /// The field's name in `spec`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Common => "commonEnvironmentVariables",
            Self::Own => "environmentVariables",
        }
    }
}

impl Serialize for EnvironmentField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A key of a region's storage: in the region's own cluster, and as a copy in the other region's,
/// which reads this storage when it recovers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageKey {
    /// Where the region's own cluster has it.
    pub own: SecretKey,
    /// Where the other region's cluster has it.
    pub copy: SecretKey,
}

impl StorageKey {
    /// Until both regions' files are read.
    pub(super) fn unread() -> Self {
        let nowhere = || SecretKey {
            secret: String::new(),
            key: String::new(),
        };
        Self {
            own: nowhere(),
            copy: nowhere(),
        }
    }

    /// Where it is in the cluster of `side`, for a storage of the region `of`.
    pub fn seen_from(&self, side: Side, of: Side) -> &SecretKey {
        if side == of { &self.own } else { &self.copy }
    }
}

/// What a region's objects are encrypted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncryptionKey {
    /// What is in a secret.
    Secret(StorageKey),
    /// Nothing (`"off"`). A real LogScale takes that; a Backstay node refuses to start.
    Off,
}

impl EncryptionKey {
    /// Where the key is; `None` where nothing is encrypted.
    pub fn secret(&self) -> Option<&StorageKey> {
        match self {
            Self::Secret(key) => Some(key),
            Self::Off => None,
        }
    }
}

pub(super) fn kafka(read: &mut Reader, side: Side, cluster: &str) -> String {
    let default = format!("{cluster}-strimzi-kafka");
    read.text_or(&format!("{side}.kafka"), &default, names::label)
}

pub(super) fn ingress(read: &mut Reader, side: Side, cluster: &str) -> String {
    let key = format!("{side}.ingress.name");
    read.text_or(&key, &format!("{cluster}-ui"), names::label)
}

pub(super) fn services(read: &mut Reader, side: Side, cluster: &str) -> Services {
    let mut service = |which: &str| {
        let default = format!("{cluster}-{which}-cip");
        let key = format!("{side}.services.{which}");
        read.text_or(&key, &default, names::service)
    };
    Services {
        ui: service("ui"),
        ingest: service("ingest"),
    }
}

pub(super) fn pools(read: &mut Reader, side: Side) -> Pools {
    let place = |read: &mut Reader, which: &str, name: &str| {
        let key = format!("{side}.pools.{which}.name");
        PoolPlace {
            name: read.text_or(&key, name, names::pool),
            node_label: node_label(read, side, which),
        }
    };
    Pools {
        digest: node_label(read, side, "digest"),
        ui: place(read, "ui", "ui"),
        ingest: place(read, "ingest", "ingest-only"),
    }
}

fn node_label(read: &mut Reader, side: Side, which: &str) -> NodeLabel {
    let key = format!("{side}.pools.{which}.node_label");
    let default = format!("{NODE_LABEL}=logscale-{which}");
    let text = read.text_or(&key, &default, names::node_label);
    let (key, value) = text.split_once('=').unwrap_or((&text, ""));
    NodeLabel {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

pub(super) fn environment_field(read: &mut Reader, side: Side) -> EnvironmentField {
    let (common, own) = (EnvironmentField::Common, EnvironmentField::Own);
    let words = [common, own].map(|it| (it.as_str(), it));
    let key = format!("{side}.environment_field");
    read.choice(&key, Some(common), &words, common)
}

pub(super) fn license(read: &mut Reader, side: Side, cluster: &str) -> SecretKey {
    let key = |name: &str| format!("{side}.license.{name}");
    let secret = format!("{cluster}-license");
    SecretKey {
        secret: read.text_or(&key("secret"), &secret, names::secret),
        key: read.text_or(&key("key"), LICENSE_KEY, names::secret_key),
    }
}

/// A secret as the file has it: the copy's name may follow from the other region's file.
pub(super) struct KeyRead {
    own: SecretKey,
    copy: Option<String>,
}

pub(super) fn account_key(read: &mut Reader, side: Side) -> KeyRead {
    let (secret, key) = ACCOUNT_KEY;
    storage_key(read, side, "account_key", secret, key)
}

/// `None` where it is `"off"`.
pub(super) fn encryption_key(read: &mut Reader, side: Side, cluster: &str) -> Option<KeyRead> {
    let key = format!("{side}.storage.encryption_key");
    if read.is_text(&key) {
        read.optional(&key, names::off);
        return None;
    }
    let secret = format!("{cluster}-storage-encryption");
    let read = storage_key(read, side, "encryption_key", &secret, ENCRYPTION_KEY);
    Some(read)
}

fn storage_key(read: &mut Reader, side: Side, which: &str, secret: &str, key: &str) -> KeyRead {
    let at = |name: &str| format!("{side}.storage.{which}.{name}");
    KeyRead {
        own: SecretKey {
            secret: read.text_or(&at("secret"), secret, names::secret),
            key: read.text_or(&at("key"), key, names::secret_key),
        },
        copy: read.optional(&at("copy"), names::secret),
    }
}

impl KeyRead {
    /// With its copy in the other region's cluster: under the same name, unless that is the name of
    /// the other region's own.
    pub(super) fn of(self, side: Side, others: Option<&SecretKey>) -> StorageKey {
        let secret = self.copy.unwrap_or_else(|| match others {
            Some(others) if others.secret == self.own.secret => {
                format!("{}-{side}", self.own.secret)
            }
            _ => self.own.secret.clone(),
        });
        StorageKey {
            copy: SecretKey {
                secret,
                key: self.own.key.clone(),
            },
            own: self.own,
        }
    }

    pub(super) fn own(&self) -> &SecretKey {
        &self.own
    }
}
