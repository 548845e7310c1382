//! A primary with a past, which a fault hits in mid-ingest.

use backstay_pair::Side;

use super::Play;
use crate::drill::DrillError;
use crate::drill::clients::{
    BEFORE_DISASTER_PERCENT, FAILOVER_PERCENT, HISTORY_PERCENT, PROMOTION_PERCENT, TRICKLE_PERCENT,
};
use crate::drill::clock::{POLL_INTERVAL, SLOW_POLL_INTERVAL, Wait};
use crate::drill::stage::PARTITIONS;

/// So often is a bucket looked at, after everything that may be sent was, for a second segment.
const MAX_STILL_POLLS: usize = 80;

impl Play<'_> {
    /// Sends a part at full speed, and then a trickle until enough of it is in segments.
    pub(in crate::drill) async fn history(&mut self) -> Result<(), DrillError> {
        let ledger = self.clients.ledger.clone();
        let history = self.clients.part(HISTORY_PERCENT);
        self.clock.begin("ingest", Some(history));
        self.settle(history, "the acknowledgement of the first events")
            .await?;
        if !self.scene.is_lab() {
            return Ok(());
        }
        self.clock.begin("history goes into segments", None);
        let most = self.clients.part(TRICKLE_PERCENT);
        let step = ((most - history) / 100).max(ledger.batch_size());
        let wait = Wait::new("history in segments");
        let mut still = 0;
        loop {
            self.clients.senders.finished()?;
            let count = self.scene.segments(Side::Primary).await?;
            let count = count.map_or(0, |it| it.len());
            // More segments than partitions: some partition is at its second, so that its first is
            // not only uploaded but published.
            if count > PARTITIONS || (count > 0 && still > MAX_STILL_POLLS) {
                return Ok(());
            }
            let now = self.clients.allowed();
            if now >= most {
                still += 1;
            }
            self.clients.allow((now + step).min(most));
            wait.tick(SLOW_POLL_INTERVAL, || self.known()).await?;
        }
    }

    /// Lets the senders go, and strikes while they wait for answers.
    pub(in crate::drill) async fn disaster(&mut self) -> Result<(), DrillError> {
        let what = format!("{}, and let a watch fail over", self.options.fault.words());
        self.scene.ask(&what).await?;
        self.watch.on_guard().await?;
        let ledger = self.clients.ledger.clone();
        let goal = ledger.acknowledged_events() + self.clients.part(BEFORE_DISASTER_PERCENT);
        self.clock.begin("ingest until the disaster", Some(goal));
        self.clients.allow(self.clients.part(FAILOVER_PERCENT));
        let wait = Wait::new("the acknowledgement of the events before the disaster");
        loop {
            self.clients.senders.finished()?;
            let in_flight = ledger.in_flight();
            if ledger.acknowledged_events() >= goal && in_flight > 0 {
                self.clock.end();
                self.measured.kill_ms = ledger.now_ms();
                self.measured.in_flight_at_kill = in_flight;
                self.scene.strike(self.options.fault).await?;
                self.measured.acknowledged_before_kill = ledger.acknowledged_events();
                return Ok(());
            }
            // They were faster than this loop, and wait: it strikes in the middle of something.
            let allowed = self.clients.allowed();
            if ledger.acknowledged_events() >= allowed {
                let more = allowed + ledger.batch_size();
                self.clients
                    .allow(more.min(self.clients.part(PROMOTION_PERCENT)));
            }
            self.clock.progress.at(ledger.acknowledged_events());
            wait.tick(POLL_INTERVAL, || self.known()).await?;
        }
    }
}
