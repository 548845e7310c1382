//! Failover: the decision that the primary is dead, and the order in which the standby takes over.
//!
//! Everything here is a function of what it is given: no I/O, no clock, no randomness. That is
//! what makes it possible to try out a hundred thousand bad days in a test (`tests/simulate.rs`).
//!
//! - [`observation`]: what is seen of the primary, and what that is worth;
//! - [`clock`]: ages that no skewed clock shortens;
//! - [`marks`]: what all instances share, and its compare-and-set;
//! - [`lock`]: the run lock;
//! - [`settings`]: what can be set, [`reason`]: why a decision is as it is;
//! - [`verdict`]: the state machine over all that;
//! - [`takeover`]: the order of the takeover;
//! - [`timing`]: how long each phase took.
//!
//! # What surrounds it
//! The process around it runs rounds; [`edge`] has the traits that it implements. A round is:
//! 1. Take our own monotonic time: the look's `began`. Ask the vantage points ([`edge::LookOut`]),
//!    all at once.
//! 2. **When they have all reported**, read marks, lock, endpoint and term ([`edge::Marked`],
//!    [`edge::Locked`], [`edge::Traffic`]), and what is known of the standby.
//! 3. [`verdict::decide`]. Carry out only what is [still valid](verdict::Decision::still_valid),
//!    looked up again right before each request: first [`verdict::Decision::persist`], then
//!    [`verdict::Decision::next`]. When the persisting fails, drop the rest and begin a new round
//!    at once.
//! 4. After [`verdict::Next::TakeLock`] and [`verdict::Next::Begin`], read marks and lock again and
//!    decide once more on the same sights.
//! 5. With [`verdict::Next::TakeOver`]: renew the lock, find out the [`takeover::Facts`], and do what
//!    [`takeover::plan`] says is for now, side by side ([`edge::Takeover`]). [`takeover::Step::Finish`] is
//!    [`marks::Persist::finish`], and the lock is given back by the next decision.
//!
//! An alert, fired or resolved, genuine or not, begins the next round at once and does nothing
//! else.

pub mod clock;
pub mod edge;
pub mod lock;
pub mod marks;
pub mod observation;
pub mod reason;
pub mod settings;
pub mod takeover;
pub mod timing;
pub mod verdict;
