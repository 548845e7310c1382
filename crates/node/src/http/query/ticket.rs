//! The name of a query job, which says where it runs and what it asks.
//!
//! A job belongs to the node that began it, and a load balancer sends each poll to another one. So
//! the name leads to that node; and when that node is gone, to the same search again on another,
//! which is what a client would do on hearing that its job is gone.

use backstay_search::{Query, TimeRange};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::jobs::NewJob;
use crate::RepositoryName;

/// A longer name is not fit for a path; the job is then not begun again elsewhere.
const MAX_NAME_BYTES: usize = 4096;

/// What a job's name says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    /// The job among those of its node.
    #[serde(rename = "j")]
    pub(super) job: String,
    /// The host that began it.
    #[serde(rename = "h")]
    pub(super) host: String,
    /// Which start of the host.
    #[serde(rename = "i")]
    pub(super) incarnation: String,
    /// What is asked; nothing where that is too long.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Asked>,
}

/// What a job asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    #[serde(rename = "q")]
    pub(super) query: String,
    #[serde(rename = "s")]
    pub(super) start_ms: i64,
    #[serde(rename = "e")]
    pub(super) end_ms: i64,
    #[serde(rename = "n")]
    pub(super) now_ms: i64,
}

impl Asked {
    /// The job, to be begun again; compiles its query. `None` when no node can have given this out.
    pub(super) fn again(&self, repository: RepositoryName) -> Option<NewJob> {
        Some(NewJob {
            repository,
            query: Query::parse(&self.query).ok()?,
            range: TimeRange {
                start_ms: self.start_ms,
                end_ms: self.end_ms,
            },
            now_ms: self.now_ms,
            held: None,
        })
    }
}

impl Ticket {
    /// The job's name.
    pub(super) fn name(&self) -> String {
        let written = |ticket: &Self| {
            // A struct of texts and numbers can always be written.
            let text = serde_json::to_vec(ticket).unwrap_or_default();
            BASE64_URL_SAFE_NO_PAD.encode(text)
        };
        let name = written(self);
        if name.len() <= MAX_NAME_BYTES {
            return name;
        }
        written(&Self {
            asked: None,
            ..self.clone()
        })
    }

    /// What a name says, if it is one.
    pub(super) fn read(name: &str) -> Option<Self> {
        let text = BASE64_URL_SAFE_NO_PAD.decode(name).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// What the path of a request says, if that is one about a job.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let (before, name) = path.rsplit_once('/')?;
        before.ends_with("/queryjobs").then(|| Self::read(name))?
    }
}

#[cfg(test)]
mod tests;
