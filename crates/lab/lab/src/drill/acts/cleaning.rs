//! The secondary becomes a standby again, and is asked whether it is able to take over.

use super::Play;
use crate::drill::DrillError;

impl Play<'_> {
    /// Has `backstay clean-secondary` run, and `backstay verify` after it.
    pub(in crate::drill) async fn cleaning(&mut self) -> Result<(), DrillError> {
        self.scene
            .ask("delete the secondary's Kafka state and snapshots (backstay clean-secondary)")
            .await?;
        self.runbook("clean-secondary", &[]).await?;
        self.clock.begin("verify", None);
        self.measured.verified = Some(self.operator.verify().await?);
        self.clock.begin("the watch looks again", None);
        self.watch.on_guard().await?;
        self.clock.end();
        Ok(())
    }
}
