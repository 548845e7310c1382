//! Everything is searched through the global name, and compared with what was acknowledged.

use super::Play;
use crate::drill::DrillError;
use crate::drill::region::call;
use crate::workload::verdict::{Tally, Verdict, judge};

impl Play<'_> {
    /// The verdict.
    pub(in crate::drill) async fn search(&mut self) -> Result<Verdict, DrillError> {
        let address = self.clients.name.borrow().clone();
        let (run, ledger) = (&self.clients.run, self.clients.ledger.clone());
        self.clock.begin("check every event", Some(ledger.events()));
        let admin = self.scene.admin_token(address.side).await?;
        let mut tally = Tally::new(&ledger);
        let rows = address
            .node
            .query(&admin, &self.clients.repository, "*")
            .await
            .map_err(call(address.side))?;
        let progress = self.clock.progress;
        let seen = |count| progress.at(count);
        tally
            .take(run, &ledger, rows, &seen)
            .await
            .map_err(call(address.side))?;
        self.measured.searched = Some(address.side);
        let verdict = judge(run, &ledger, &tally);
        self.clock.end();
        Ok(verdict)
    }
}
