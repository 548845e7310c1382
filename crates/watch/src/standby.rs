//! Whether the standby is able to take over, as far as can be seen in a moment.

use std::time::{Duration, Instant};

use backstay_failover::sight::Known;
use backstay_failover::verdict::Shortcoming;

use crate::world::World;

/// An answer is good for so long.
const KEPT: Duration = Duration::from_secs(5);

/// What was found, and when.
#[derive(Debug)]
pub(crate) struct Kept {
    at: Instant,
    found: Known<Vec<Shortcoming>>,
}

impl World {
    /// What keeps the standby from taking over.
    pub(crate) async fn able(&self) -> Known<Vec<Shortcoming>> {
        let kept = self.standby_was.lock().as_ref().and_then(|kept| {
            let fresh = kept.at.elapsed() < KEPT;
            fresh.then(|| kept.found.clone())
        });
        if let Some(found) = kept {
            return found;
        }
        let found = self.shortcomings().await;
        *self.standby_was.lock() = Some(Kept {
            at: Instant::now(),
            found: found.clone(),
        });
        found
    }

    async fn shortcomings(&self) -> Known<Vec<Shortcoming>> {
        let cluster = &self.pair.cluster;
        match self.standby.humio_cluster(cluster, Self::soon()).await {
            Ok(found) if found.node_count() < 1 => Known::Is(vec![Shortcoming {
                what: format!("HumioCluster {cluster} has no nodes (spec.nodeCount)"),
                remedy: None,
            }]),
            Ok(_) => Known::Is(Vec::new()),
            Err(error) => Known::Unknown(error.to_string()),
        }
    }
}
