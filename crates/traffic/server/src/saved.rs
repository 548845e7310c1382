//! What of the traffic manager must survive a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstay_traffic_profile::Profile;
use backstay_traffic_state::Content;
use serde::{Deserialize, Serialize};

/// Profiles, and what was known of their endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    /// By resource id in lower case.
    pub(crate) profiles: BTreeMap<String, Arc<Profile>>,
    /// Endpoints that were degraded (resource ids in lower case): a restart does not send traffic
    /// to what was known to be dead.
    pub(crate) degraded: BTreeSet<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    profiles: Vec<&'a Profile>,
    degraded: &'a BTreeSet<String>,
}

#[derive(Deserialize)]
struct Read {
    profiles: Vec<Profile>,
    degraded: BTreeSet<String>,
}

impl Content for Saved {
    fn written(&self, version: u32) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Written {
            version,
            profiles: self.profiles.values().map(Arc::as_ref).collect(),
            degraded: &self.degraded,
        })
    }

    fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        let read: Read = serde_json::from_slice(bytes)?;
        let profiles = read.profiles.into_iter();
        Ok(Self {
            profiles: profiles
                .map(|it| (it.id().to_ascii_lowercase(), Arc::new(it)))
                .collect(),
            degraded: read.degraded,
        })
    }
}

#[cfg(test)]
mod tests;
