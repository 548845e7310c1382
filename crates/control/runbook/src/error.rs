//! Why a step has no answer, or was not done.
//!
//! The step itself is named by [`Stopped`](crate::Stopped), the region and the object by the error that is
//! wrapped here.

use std::fmt;

use backstay_azure::{AzureError, NotAnId};
use backstay_cluster::ClusterError;
use backstay_global::recovery::LoadError;
use backstay_global::snapshot::SnapshotError;
use backstay_names::NameError;
use backstay_retry::{Classify as _, Verdict, WriteRefused, after_status};
use backstay_verify::NoAccess;
use backstay_watch::JournalError;
use http::StatusCode;

use crate::spec::SpecError;

/// Why a check has no answer, or an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// There is no way into a region's cluster.
    #[error(transparent)]
    Access(#[from] NoAccess),
    /// A cluster refuses, or does not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Azure has refused, or does not answer.
    #[error(transparent)]
    Azure(#[from] AzureError),
    /// What the pair's file names cannot be part of an id.
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
    /// A region's journal could not be reached, or its holder read.
    #[error(transparent)]
    Journal(Box<JournalError>),
    /// A bucket refuses, or does not answer.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// The snapshots in one could not be looked at.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What is in one could not be recovered, or taken back.
    #[error(transparent)]
    Recovery(#[from] LoadError),
    /// Nothing may be changed by us any more.
    #[error(transparent)]
    WriteRefused(#[from] WriteRefused),
    /// Where a name points is not known.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What a HumioCluster declares cannot be changed.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A node does not do what it was asked.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A probe has said nothing; the reason is on our side.
    #[error("{0}")]
    Void(&'static str),
    /// Neither region holds the term.
    #[error("cluster {0}, neither of the two, has begun a term in one of the journals")]
    Stranger(String),
    /// Others were always faster.
    #[error("somebody else writes the operator's annotations again and again")]
    Contended,
    /// What must be so before it is done is not.
    #[error("{act}: {why}")]
    Withheld {
        /// What was not done.
        act: Withheld,
        /// What was seen instead.
        why: String,
    },
}

/// What is not done while what makes it safe is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The services do not select the pools.
    Switch,
    /// Nothing is deleted.
    Delete,
    /// The primary's endpoint stays disabled.
    Enable,
    /// The journals stay as they are.
    TakeBack,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Switch => "not switched",
            Self::Delete => "not deleted",
            Self::Enable => "not enabled, because the primary does not serve",
            Self::TakeBack => "not taken back",
        })
    }
}

impl Withheld {
    /// That it was not done, because this was seen.
    pub(crate) fn because(self, why: impl Into<String>) -> StepError {
        let why = why.into();
        StepError::Withheld { act: self, why }
    }
}

/// Why a node of the secondary's does not do what it was asked over GraphQL.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is none to be asked.
    #[error("no node of the secondary's is ready")]
    NoneReady,
    /// What HTTP says of the token could quote it.
    #[error("the administrator's token cannot be sent in a header")]
    Token,
    /// The node has refused.
    #[error("pod {pod} answers {status}")]
    Refused {
        /// The node's pod.
        pod: String,
        /// The status of its answer.
        status: StatusCode,
    },
    /// Its answer cannot be read.
    #[error("pod {pod} does not answer with JSON: {source}")]
    NotJson {
        /// The node's pod.
        pod: String,
        /// What is wrong with the JSON.
        #[source]
        source: serde_json::Error,
    },
    /// It has read the query, and does not like it.
    #[error("pod {pod} answers: {message}")]
    Query {
        /// The node's pod.
        pod: String,
        /// The first of the errors in its answer, in its own words.
        message: String,
    },
    /// It has not said that it has changed it.
    #[error("{0} was not taken")]
    NotTaken(&'static str),
}

impl From<JournalError> for StepError {
    fn from(error: JournalError) -> Self {
        Self::Journal(Box::new(error))
    }
}

impl StepError {
    /// Whether the same may succeed later without anybody's help. A run goes on trying either way, to the
    /// end of the step's time: whoever watches it may be putting it right.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Access(error) => error.is_retryable(),
            Self::Cluster(error) => error.is_retryable(),
            Self::Azure(error) => error.is_retryable(),
            Self::Journal(error) => error.is_retryable(),
            Self::Bucket(error) => error.is_retryable(),
            Self::Snapshot(error) => error.is_retryable(),
            Self::Recovery(error) => error.is_retryable(),
            Self::WriteRefused(why) => why.is_retryable(),
            Self::Name(NameError::Unknown { .. }) => true,
            Self::Node(error) => error.is_retryable(),
            Self::Void(_) | Self::Contended | Self::Withheld { .. } => true,
            Self::Name(NameError::Resolver { .. })
            | Self::NotAnId(_)
            | Self::Spec(_)
            | Self::Stranger(_) => false,
        }
    }
}

impl NodeError {
    /// Whether the same may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoneReady => true,
            Self::Refused { status, .. } => after_status(status.as_u16(), None) != Verdict::Final,
            Self::Token | Self::NotJson { .. } | Self::Query { .. } | Self::NotTaken(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
