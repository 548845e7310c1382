//! What a region's nodes are told: variables to values, secrets included.
//!
//! A failover seals the primary's journal and `verify` reads its bucket with what the standby's own
//! nodes would use, so that both meet the same wrong key that a node would meet. Values are never
//! shown: not by `Debug`, not in an error.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use backstay_bucket::{BucketConfig, Role};
use backstay_cluster::{ClusterError, HumioCluster, Region, Secret};
use backstay_pair::{Derived, EnvSource, EnvVar, SecretKey, merge_environment};
use backstay_retry::Deadline;
use futures::{StreamExt as _, stream};
use secrecy::{ExposeSecret as _, SecretString};

/// Secrets that are read at the same time.
const CONCURRENT_SECRETS: usize = 8;
/// A pod's own: from which of its addresses it sends. We have others.
const SOURCE_ADDRESS: &str = "BACKSTAY_SOURCE_ADDRESS";

/// Why a variable has no value here.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unresolved {
    /// The secret is not there.
    #[error("secret {0} is not there; create it")]
    NoSecret(String),
    /// The secret has no such key.
    #[error("secret {} has no key {}; add it", .0.secret, .0.key)]
    NoKey(SecretKey),
    /// The secret's value is no text.
    #[error("secret {}, key {} is no text; no variable can hold it", .0.secret, .0.key)]
    NotText(SecretKey),
    /// The secret could not be read.
    #[error("secret {secret} cannot be read: {source}")]
    Unreadable {
        /// The secret's name.
        secret: String,
        /// What the cluster said.
        #[source]
        source: Arc<ClusterError>,
    },
    /// It comes from a field, a config map or another variable.
    #[error("it comes from elsewhere than a value or a secret, which only a pod can resolve")]
    Elsewhere,
}

/// Why there is no bucket's configuration.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable that it takes has no value here.
    #[error("{variable}: {source}")]
    Unresolved {
        /// The variable's name.
        variable: String,
        /// Why its value is not known.
        #[source]
        source: Unresolved,
    },
    /// A variable is missing or wrong.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// A value that comes from a secret is wrong. What is wrong with it would quote it.
    #[error("{variable}: the value in secret {}, key {} cannot be used there; correct it", .key.secret, .key.key)]
    Wrong {
        /// The variable's name.
        variable: String,
        /// Where its value is.
        key: SecretKey,
    },
}

impl EnvironmentError {
    /// Whether nothing is known because the Kubernetes API could not be reached.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unresolved {
                source: Unresolved::Unreadable { source, .. },
                ..
            } => source.is_unreachable(),
            _ => false,
        }
    }
}

/// Variables with their values. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, Result<SecretString, Unresolved>>,
    /// The variables whose values are a secret's.
    secret: BTreeMap<String, SecretKey>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.values.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The variables that a HumioCluster gives to its own pool's nodes. A pool's own win over those of
/// all pools, as the operator has it.
///
/// # Errors
/// When one of them is none.
pub fn declared(region: &Region, cluster: &HumioCluster) -> Result<Vec<EnvVar>, ClusterError> {
    let (own, common) = region.environment::<EnvVar>(cluster)?;
    Ok(merge_environment(&common, &own))
}

/// The variables by which a region's buckets are reached: what its HumioCluster declares, and what
/// should be there, where it is missing.
pub fn effective(derived: &Derived, declared: &[EnvVar]) -> Vec<EnvVar> {
    merge_environment(&derived.cluster_environment(), declared)
}

impl Environment {
    /// Reads the secrets that `variables` refer to, each once. A secret that cannot be read is no
    /// error before something needs it.
    pub async fn read(region: &Region, variables: &[EnvVar], deadline: Deadline) -> Self {
        let names: BTreeSet<String> = variables
            .iter()
            .filter_map(|variable| match &variable.source {
                EnvSource::Secret(key) => Some(key.secret.clone()),
                EnvSource::Value(_) | EnvSource::Other(_) => None,
            })
            .collect();
        let secrets: BTreeMap<String, Result<Secret, Arc<ClusterError>>> = stream::iter(names)
            .map(|name| async move {
                let secret = region.secret(&name, deadline).await;
                (name, secret.map_err(Arc::new))
            })
            .buffer_unordered(CONCURRENT_SECRETS)
            .collect()
            .await;
        Self::resolve(variables, |key| match secrets.get(key.secret.as_str()) {
            Some(Ok(secret)) => text(secret, key),
            Some(Err(error)) if !error.is_not_found() => Err(Unresolved::Unreadable {
                secret: key.secret.clone(),
                source: Arc::clone(error),
            }),
            Some(Err(_)) | None => Err(Unresolved::NoSecret(key.secret.clone())),
        })
    }

    /// Variables to values.
    fn resolve(
        variables: &[EnvVar],
        mut of_secret: impl FnMut(&SecretKey) -> Result<SecretString, Unresolved>,
    ) -> Self {
        let mut resolved = Self::default();
        for EnvVar { name, source } in variables {
            resolved.secret.remove(name);
            let value = match source {
                // Kubernetes puts other variables in; the pair's file allows no `$`.
                EnvSource::Value(value) if value.contains("$(") => Err(Unresolved::Elsewhere),
                EnvSource::Value(value) => Ok(SecretString::from(value.as_str())),
                // Kubernetes leaves an empty value out.
                EnvSource::Other(fields) if fields.is_empty() => Ok(SecretString::from("")),
                EnvSource::Other(_) => Err(Unresolved::Elsewhere),
                EnvSource::Secret(key) => {
                    resolved.secret.insert(name.clone(), key.clone());
                    of_secret(key)
                }
            };
            resolved.values.insert(name.clone(), value);
        }
        resolved
    }

    /// A variable's value.
    ///
    /// # Errors
    /// Why it has none here, although it is declared.
    pub fn get(&self, name: &str) -> Result<Option<&SecretString>, &Unresolved> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(why)) => Err(why),
        }
    }

    /// Where a variable's value is, if it is in a secret.
    pub fn secret_of(&self, name: &str) -> Option<&SecretKey> {
        self.secret.get(name)
    }

    /// The bucket of this role: the region's own, or the one that it recovers from. `None` when no
    /// variable names one.
    ///
    /// Who opens it is not a pod of the region, so a pod's source address is left out.
    ///
    /// # Errors
    /// See [`EnvironmentError`].
    pub fn bucket(&self, role: Role) -> Result<Option<BucketConfig>, EnvironmentError> {
        let unresolved = RefCell::new(None);
        let value = |name: &str| {
            if name == SOURCE_ADDRESS {
                return None;
            }
            match self.values.get(name)? {
                Ok(value) => Some(value.expose_secret().to_owned()),
                Err(why) => {
                    let first = (name.to_owned(), why.clone());
                    unresolved.borrow_mut().get_or_insert(first);
                    None
                }
            }
        };
        let read = BucketConfig::from_env(role, &value);
        if let Some((variable, source)) = unresolved.take() {
            return Err(EnvironmentError::Unresolved { variable, source });
        }
        read.map_err(|error| self.without_values(error))
    }

    /// What is wrong with a value quotes it, and a credential may be in the wrong place. An empty
    /// one has nothing to quote.
    fn without_values(&self, error: backstay_bucket::Error) -> EnvironmentError {
        if let backstay_bucket::Error::Config { variable, .. } = &error
            && let Some(key) = self.secret.get(variable)
            && let Ok(Some(value)) = self.get(variable)
            && !value.expose_secret().is_empty()
        {
            return EnvironmentError::Wrong {
                variable: variable.clone(),
                key: key.clone(),
            };
        }
        error.into()
    }
}

fn text(secret: &Secret, key: &SecretKey) -> Result<SecretString, Unresolved> {
    let Some(value) = secret.value(&key.key) else {
        return Err(Unresolved::NoKey(key.clone()));
    };
    match std::str::from_utf8(value.expose_secret()) {
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(Unresolved::NotText(key.clone())),
    }
}

#[cfg(test)]
mod tests;
