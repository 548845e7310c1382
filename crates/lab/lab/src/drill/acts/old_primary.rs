//! The old primary returns, as it was: it must take nothing.

use std::collections::BTreeSet;

use backstay_pair::Side;
use chrono::Utc;

use super::Play;
use crate::client::NodeClient;
use crate::drill::DrillError;
use crate::drill::clock::{SLOW_POLL_INTERVAL, Wait};
use crate::drill::report::{OldPrimary, Segments};
use crate::workload::feed::body;
use crate::workload::lines::stamp;

/// Batches that a node is offered once it says that it is fenced.
const OFFERED_BATCHES: u64 = 3;

impl Play<'_> {
    /// Ends the fault that hit the primary, and offers events to every node of it, past its ingress.
    pub(in crate::drill) async fn old_primary(&mut self) -> Result<(), DrillError> {
        self.clock.begin("the old primary returns", None);
        self.scene.restore().await?;
        self.measured.old_primary = self.offer_to_all().await?;
        let primary = self.scene.segments(Side::Primary).await?;
        let secondary = self.scene.segments(Side::Secondary).await?;
        self.measured.segments = primary.zip(secondary).map(|(primary, secondary)| {
            let at_kill = &self.measured.primary_segments_at_kill;
            compare(at_kill, &primary, &secondary)
        });
        self.clock.end();
        Ok(())
    }

    /// What came of it is that of the worst of them.
    async fn offer_to_all(&self) -> Result<Option<OldPrimary>, DrillError> {
        let wait = Wait::new("the old primary's return");
        let found = loop {
            // Its API comes back with it.
            match self.scene.nodes(Side::Primary).await {
                // It is not known to be one of ours: it might take what it is offered.
                Ok(None) => return Ok(None),
                Ok(Some(found)) if !found.is_empty() => break found,
                Ok(Some(_)) => {
                    wait.tick(SLOW_POLL_INTERVAL, || "it has no pods".to_owned())
                        .await?
                }
                Err(error) => wait.tick(SLOW_POLL_INTERVAL, || error.to_string()).await?,
            }
        };
        let mut all = OldPrimary {
            says_fenced: true,
            ..OldPrimary::default()
        };
        for (pod, node) in found {
            let first = self.clients.ledger.events() + all.offered;
            let one = self.offer_to(&pod, &node, first).await?;
            all.offered += one.offered;
            all.accepted += one.accepted;
            all.says_fenced &= one.says_fenced;
            all.last_answer = one.last_answer;
        }
        Ok(Some(all))
    }

    /// Offers batches to a node of the old primary until it says that it is fenced, and some more.
    /// Their identities are in no ledger: found anywhere, they are phantoms.
    async fn offer_to(
        &self,
        pod: &str,
        node: &NodeClient,
        first: u64,
    ) -> Result<OldPrimary, DrillError> {
        let (run, token) = (&self.clients.run, &self.clients.token);
        let wait = Wait::new("the old primary's word that it is fenced");
        let mut old = OldPrimary::default();
        let mut offers_left = OFFERED_BATCHES;
        while offers_left > 0 {
            match node.status().await {
                Ok(answer) => {
                    old.says_fenced |= !answer.ok && answer.body.to_lowercase().contains("fenced");
                    old.last_answer = answer.to_string();
                }
                // It has not started yet.
                Err(error) => old.last_answer = error.to_string(),
            }
            let identity = run.identity(first + old.offered);
            let text = stamp("offered to the old primary", &identity);
            let batch = body(Utc::now().timestamp_millis(), &[("offer", identity, text)]);
            let key = format!("{}-offer-{}", run.as_str(), first + old.offered);
            old.offered += 1;
            if node.ingest(token, &key, batch).await.is_ok() {
                old.accepted += 1;
            }
            if old.says_fenced || old.accepted > 0 {
                offers_left -= 1;
            }
            wait.tick(SLOW_POLL_INTERVAL, || {
                format!("{pod} answers {}", old.last_answer)
            })
            .await?;
        }
        Ok(old)
    }
}

/// Where segments are and went.
fn compare(
    at_kill: &BTreeSet<String>,
    primary: &BTreeSet<String>,
    secondary: &BTreeSet<String>,
) -> Segments {
    let id = |key: &String| key.rsplit('/').next().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = primary.iter().map(id).collect();
    Segments {
        primary_at_kill: at_kill.len() as u64,
        primary_added_later: primary.difference(at_kill).count() as u64,
        primary_removed_later: at_kill.difference(primary).count() as u64,
        standby: secondary.len() as u64,
        in_both: secondary
            .iter()
            .filter(|key| ids.contains(&id(key)))
            .count() as u64,
    }
}
