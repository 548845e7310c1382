//! The runbook as a program: promote the secondary, fail back, clean up.
//!
//! A command is a list of steps ([`plan`]), each with a check (is it so already?) and an act, after
//! which the check must hold. A run is written down before and after each act ([`record`], [`log`]),
//! under a lock that a failover takes too ([`lock`]). So it can be cut off anywhere and resumed on
//! another machine, and two operators do not run two at once. The engine ([`engine`]) knows nothing of
//! what the steps do; [`Site`] does, over the same clients as everything else.
//!
//! Nothing is destroyed before a check has proved that what takes its place is there, and each act
//! that destroys looks at that once more itself.

pub mod engine;
pub mod error;
pub mod lock;
pub mod log;
mod operator_state;
pub mod plan;
pub mod record;
pub mod report;
mod site;
pub mod spec;
pub mod step;

pub use engine::{Event, Stopped, Works};
pub use error::StepError;
pub use plan::{Choices, Command, steps};
pub use record::{Record, State, StepState};
pub use report::Report;
pub use site::{Count, Site};
pub use step::{Answer, Step, StepId};
