//! What authorizes the reconciler's changes.
//!
//! A takeover is authorized by the run lock. The reconciler, which disables the primary's endpoint again
//! when somebody has opened it after a failover, holds no lock: it may do so for as long as that
//! failover is on record. A watch that was frozen in between and thaws after the failback is refused.

use std::sync::Arc;

use backstay_failover::edge::Marked;
use backstay_failover::observation::Known;
use backstay_retry::{Authority, Authorization, WriteRefused};

use crate::world::World;

/// A failover that must be on record still.
#[derive(Debug)]
pub(crate) struct OnRecord {
    pub(crate) world: Arc<World>,
    /// Its id.
    pub(crate) run: String,
}

impl Authority for OnRecord {
    fn authorize(&self) -> Authorization<'_> {
        Box::pin(async {
            let reading = match Marked::read(&*self.world).await {
                Known::Is(reading) => reading,
                Known::Unknown(why) => return Err(WriteRefused::Unknown(why)),
            };
            match reading.marks.run {
                Some(run) if run.id == self.run => Ok(()),
                Some(_) | None => Err(WriteRefused::Lost(format!(
                    "failover {} is not on record any more",
                    self.run
                ))),
            }
        })
    }
}
