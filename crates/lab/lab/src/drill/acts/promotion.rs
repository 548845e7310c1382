//! The standby grows to an active region's size, and no request fails meanwhile.

use backstay_pair::Side;

use super::Play;
use crate::drill::DrillError;
use crate::drill::clients::{PROMOTION_PERCENT, Searching};
use crate::drill::report::Promotion;

impl Play<'_> {
    /// Has `backstay promote` run while clients send and search.
    pub(in crate::drill) async fn promotion(&mut self) -> Result<(), DrillError> {
        self.scene
            .ask("grow the secondary to an active region's size (backstay promote)")
            .await?;
        let admin = self.scene.admin_token(Side::Secondary).await?;
        let part = self.clients.part(PROMOTION_PERCENT);
        let ledger = self.clients.ledger.clone();
        let (requests, failed) = ledger.requests();
        let pace = self.clients.steadily(part);
        let searching = Searching::start(&self.clients, admin);
        self.runbook("promote", &[]).await?;
        self.scene
            .ready_side(Side::Secondary, self.clock.progress)
            .await?;
        let searched = searching.end().await;
        drop(pace);
        self.clock.begin("ingest into all of it", Some(part));
        self.settle(part, "the acknowledgement of what was sent")
            .await?;
        self.clock.end();
        let (requests_then, failed_then) = ledger.requests();
        let failed_requests = failed_then - failed;
        let failure = (failed_requests > 0).then(|| ledger.last_failure());
        self.measured.promotion = Some(Promotion {
            requests: requests_then - requests,
            failed_requests,
            searches: searched.all,
            failed_searches: searched.failed,
            last_failure: failure.or(searched.last_failure),
        });
        Ok(())
    }
}
