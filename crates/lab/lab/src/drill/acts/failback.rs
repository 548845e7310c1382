//! The primary takes everything back.

use backstay_pair::Side;

use super::Play;
use crate::drill::DrillError;
use crate::drill::clients::FAILBACK_PERCENT;
use crate::drill::clock::{POLL_INTERVAL, Wait};
use crate::drill::report::Failback;

/// So many seconds must the alert stay quiet at the end: it is evaluated every second in a lab.
const QUIET: &str = "2";

impl Play<'_> {
    /// Has `backstay failback` run while clients send; those who are refused meanwhile try again.
    pub(in crate::drill) async fn failback(&mut self) -> Result<(), DrillError> {
        self.scene
            .ask(
                "stop the secondary, delete the primary's snapshots, start the primary from the \
                 secondary's bucket and give it the traffic (backstay failback)",
            )
            .await?;
        let part = self.clients.part(FAILBACK_PERCENT);
        let ledger = self.clients.ledger.clone();
        let began_ms = ledger.now_ms();
        let before = ledger.acknowledged_by(Side::Primary);
        let (_, failed) = ledger.requests();
        let pace = self.clients.steadily(part);
        let quiet = ["--quiet-seconds", QUIET];
        let flags: &[&str] = if self.scene.is_lab() { &quiet } else { &[] };
        let run = self.runbook("failback", flags).await?;
        self.moved_to(Side::Primary).await?;
        drop(pace);
        self.clock.begin("the primary takes events", Some(part));
        self.settle(part, "the acknowledgement of what was sent")
            .await?;
        self.clock.end();
        let silence = ledger.longest_silence_ms(began_ms..ledger.now_ms());
        let (_, failed_then) = ledger.requests();
        self.measured.failback = Some(Failback {
            no_writes_ms: run.no_writes_ms,
            longest_silence_ms: silence,
            failed_requests: failed_then - failed,
            acknowledged_by_primary: ledger.acknowledged_by(Side::Primary) - before,
        });
        Ok(())
    }

    /// Sends what is left, wherever the global name leads.
    pub(in crate::drill) async fn rest(&mut self) -> Result<(), DrillError> {
        let events = self.clients.ledger.events();
        self.clock.begin("ingest the rest", Some(events));
        self.settle(events, "the acknowledgement of all events")
            .await?;
        let wait = Wait::new("the end of the clients");
        while !self.clients.senders.finished()? {
            wait.tick(POLL_INTERVAL, || self.known()).await?;
        }
        self.clock.end();
        Ok(())
    }
}
