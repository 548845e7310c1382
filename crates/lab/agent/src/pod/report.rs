//! Tells the API server what a pod does. Changes that come faster than they are taken are told as
//! one.

use std::time::Duration;

use chrono::Utc;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::Worker;

const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

impl Worker {
    /// Reports until the agent is stopped. What happens from then on is the agent's doing, not the
    /// pods', and the next agent tells it.
    pub(super) async fn report(&self) {
        self.context
            .shutdown
            .run_until_cancelled(self.report_all())
            .await;
        std::future::pending::<()>().await;
    }

    async fn report_all(&self) {
        let mut changes = self.state.subscribe();
        let known = serde_json::to_value(&self.pod.borrow().status);
        let mut before = known.unwrap_or_default();
        let mut wait = INITIAL_BACKOFF;
        loop {
            let current = changes.borrow_and_update().clone();
            let document = current.state.document(&before, Utc::now());
            if document != before {
                if let Err(error) = self.write(&document).await {
                    tracing::debug!(%error, pod = %self.about.pod, "a status is not taken");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(MAX_BACKOFF);
                    continue;
                }
                before = document;
            }
            wait = INITIAL_BACKOFF;
            self.reported.send_replace(current.version);
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn write(&self, status: &Value) -> Result<(), kube::Error> {
        // With the uid, a pod of the same name that came after this one is not meant.
        let patch = json!({ "metadata": { "uid": self.about.uid }, "status": status });
        let parameters = PatchParams::default();
        self.api()
            .patch_status(&self.about.pod, &parameters, &Patch::Merge(&patch))
            .await
            .map(drop)
    }
}
