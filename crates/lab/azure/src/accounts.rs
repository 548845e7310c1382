//! Storage accounts and their keys, as a file has them.
//!
//! Azure's account keys are credentials that others hand out. Here they come from a file that only
//! its owner can read: never from an argument, which every process of the machine can see. They
//! are in no log line, error text or debug output.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use backstay_token::Followed;
use serde::Deserialize;

use crate::STORAGE_ACCOUNT;
use backstay_resource::ResourceName;

/// Why the storage accounts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The file cannot be read.
    #[error("{path}: the storage accounts cannot be read: {source} (--storage-accounts)")]
    File {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "{path}: others than its owner can read these keys (mode {mode:03o}); run chmod 600 on it"
    )]
    Mode {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not of the form.
    #[error(
        "{path}: this is not a valid list of storage accounts: {problem}; docs/traffic.md has the form (--storage-accounts)"
    )]
    Content {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What is wrong, in words for the message.
        problem: String,
    },
}

/// A key. Its value is not shown.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}

/// A storage account.
#[derive(Clone, Debug)]
pub(crate) struct StorageAccount {
    pub(crate) id: ResourceName,
    pub(crate) location: String,
    pub(crate) blob_endpoint: String,
    pub(crate) keys: Vec<Key>,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct StorageAccounts(Vec<StorageAccount>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    accounts: Vec<ReadAccount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadAccount {
    subscription: String,
    resource_group: String,
    name: String,
    location: String,
    blob_endpoint: Option<String>,
    keys: Vec<Key>,
}

/// The storage accounts of a file, as it is now.
pub(crate) type Accounts = Followed<StorageAccounts, StorageError>;

impl StorageAccounts {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, StorageError> {
        let at = |source| StorageError::File {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(at)?;
        // Of the file that is open, so that it cannot be another one by now.
        let mode = file.metadata().map_err(at)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StorageError::Mode {
                path: path.to_owned(),
                mode,
            });
        }
        let text = io::read_to_string(file).map_err(at)?;
        parse(&text).map_err(|problem| StorageError::Content {
            path: path.to_owned(),
            problem,
        })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &StorageAccount> {
        self.0.iter()
    }

    pub(crate) fn of(&self, id: &ResourceName) -> Option<&StorageAccount> {
        let key = id.key(STORAGE_ACCOUNT);
        self.all().find(|it| it.id.key(STORAGE_ACCOUNT) == key)
    }
}

fn parse(text: &str) -> Result<StorageAccounts, String> {
    // What serde says of a wrong type can quote the value, which may be a key.
    let read: Read = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => format!("a value is missing or wrong at {place}"),
            _ => format!("no JSON at {place}"),
        }
    })?;
    let mut accounts: Vec<StorageAccount> = Vec::with_capacity(read.accounts.len());
    for account in read.accounts {
        let name = account.name;
        let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
        if !(3..=24).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(format!(
                "an account's name is 3 to 24 lower-case letters and digits, not {name:?}"
            ));
        }
        // Names are unique in all of Azure.
        if accounts.iter().any(|it| it.id.name == name) {
            return Err(format!("there are two accounts called '{name}'"));
        }
        if account.keys.is_empty() || account.keys.iter().any(|it| it.value.is_empty()) {
            return Err(format!("account '{name}' has no key, or an empty one"));
        }
        let blob_endpoint = account
            .blob_endpoint
            .unwrap_or_else(|| format!("https://{name}.blob.core.windows.net/"));
        accounts.push(StorageAccount {
            id: ResourceName {
                subscription: account.subscription,
                resource_group: account.resource_group,
                name,
            },
            location: account.location,
            blob_endpoint,
            keys: account.keys,
        });
    }
    Ok(StorageAccounts(accounts))
}

#[cfg(test)]
mod tests;
