//! What was asked of the world, and what came back.

use std::collections::BTreeMap;

use backstay_azure::{AzureError, MetricAlert, Profile};
use backstay_cluster::{ClusterError, Kafka, Operator, Pool};
use backstay_pair::EnvVar;
use secrecy::SecretSlice;

use crate::finding::{Check, Finding};

/// A thing that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact<T> {
    /// This is so.
    Is(T),
    /// It is not there; the text says what.
    Absent(String),
    /// It could not be found out; the text says why.
    Unknown(String),
}

impl<T> Fact<T> {
    pub(crate) fn of_cluster(read: Result<T, ClusterError>) -> Self {
        match read {
            Ok(it) => Self::Is(it),
            Err(error) if error.is_not_found() => Self::Absent(error.to_string()),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }

    pub(crate) fn of_azure(read: Result<T, AzureError>) -> Self {
        match read {
            Ok(it) => Self::Is(it),
            Err(error @ AzureError::NotFound { .. }) => Self::Absent(error.to_string()),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }

    pub(crate) fn known(&self) -> Option<&T> {
        match self {
            Self::Is(it) => Some(it),
            Self::Absent(_) | Self::Unknown(_) => None,
        }
    }

    /// Judges what is there. What is not there fails; of what could not be read nothing is known.
    pub(crate) fn judge(
        &self,
        check: Check,
        absent: &str,
        judge: impl FnOnce(&T) -> Finding,
    ) -> Finding {
        match self {
            Self::Is(it) => judge(it),
            Self::Absent(what) => Finding::fails(check, what, absent),
            Self::Unknown(why) => Finding::unknown(check, why),
        }
    }
}

/// What a secret holds, by key. Never shown.
pub(crate) type Held = BTreeMap<String, SecretSlice<u8>>;

/// A region as its Kubernetes API shows it.
#[derive(Debug)]
pub(crate) struct RegionFacts {
    pub(crate) operator: Fact<Operator>,
    /// The HumioCluster's pools, its own first.
    pub(crate) pools: Fact<Vec<Pool>>,
    /// The variables of the cluster's own pool.
    pub(crate) variables: Fact<Vec<EnvVar>>,
    /// The secrets that it needs, by name.
    pub(crate) secrets: BTreeMap<String, Fact<Held>>,
    /// Where the pair has any.
    pub(crate) kafka: Option<Fact<Kafka>>,
}

/// What the Resource Manager shows.
#[derive(Debug)]
pub(crate) struct AzureFacts {
    pub(crate) profile: Fact<Profile>,
    pub(crate) alert: Fact<MetricAlert>,
}

/// A permission that was asked for, and how that was answered.
#[derive(Debug)]
pub(crate) struct Asked {
    /// As `kubectl auth can-i` takes it.
    pub(crate) what: String,
    pub(crate) answer: Granted,
}

/// Whether we have a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    Yes,
    /// The text says how to give it.
    No(String),
    Unknown(String),
}
