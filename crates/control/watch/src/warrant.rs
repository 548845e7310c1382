//! By whose leave the watch changes something.
//!
//! The act is done under the run lock. The reconciler, which disables the primary's endpoint again
//! when somebody has opened it after a failover, holds no lock: it may do so for as long as that
//! failover is on record. A watch that was frozen in between and thaws after the failback is refused.

use std::sync::Arc;

use backstay_failover::edge::Marked;
use backstay_failover::observation::Known;
use backstay_retry::{Asked, Authority, Unwarranted};

use crate::world::World;

/// A failover that must be on record still.
#[derive(Debug)]
pub(crate) struct OnRecord {
    pub(crate) world: Arc<World>,
    /// Its id.
    pub(crate) run: String,
}

impl Authority for OnRecord {
    fn ask(&self) -> Asked<'_> {
        Box::pin(async {
            let reading = match Marked::read(&*self.world).await {
                Known::Is(reading) => reading,
                Known::Unknown(why) => return Err(Unwarranted::Unknown(why)),
            };
            match reading.marks.run {
                Some(run) if run.id == self.run => Ok(()),
                Some(_) | None => Err(Unwarranted::Lost(format!(
                    "failover {} is not on record any more",
                    self.run
                ))),
            }
        })
    }
}
