//! The process around the decision: it looks, decides by [`backstay_failover`], and does what was
//! decided. Nothing is decided here.
//!
//! - [`Sources`]: what describes and reaches the pair, as a person or a pod has it;
//! - [`World`]: everything that is asked and changed, behind the traits of
//!   [`backstay_failover::edge`]: the primary's status (`lookout`), the marks and the lock
//!   on the standby's cluster (`shared`), the traffic manager (`endpoint`), the journals
//!   (`journal`) and the takeover (`takeover`);
//! - [`Watcher`]: one round after another, as the decision's module documentation demands;
//! - [`WatchStatus`]: what the last round saw and decided, for people, metrics and tests;
//! - [`serve`]: metrics, health and the status over HTTP.
//!
//! It needs the standby's cluster, and goes on without the primary's, without the Resource Manager
//! and without either bucket: what cannot be reached is an input of the decision.

mod clock;
mod degraded;
mod endpoint;
mod evidence;
mod journal;
mod lookout;
mod metrics;
mod on_record;
mod recovery;
mod round;
mod serve;
mod shared;
mod sources;
mod standby;
mod status;
mod takeover;
mod verification;
mod world;

pub use clock::Clock;
pub use degraded::Degraded;
pub use journal::{Held, JournalError};
pub use recovery::Recoveries;
pub use round::{Pace, Watcher};
pub use serve::{ServeError, serve};
pub use sources::{SourceError, Sources};
pub use status::{RegionView, RunView, StepView, WatchStatus};
pub use verification::Verification;
pub use world::{World, host};
