//! What the process around the decision implements: each trait is one thing that is asked of the world.
//!
//! No error type: what could not be read is [`Known::Unknown`] with a sentence, and what could not
//! be written says whether somebody else was faster, because both are inputs of a decision.

use std::future::Future;

use backstay_pair::Side;

use crate::lock::Lease;
use crate::marks::{Persist, Reading, Revision};
use crate::observation::{Known, Observation, OurSide};
use crate::takeover::{Fact, Facts, Step};
use crate::verdict::Endpoint;

/// How a conditional write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It holds.
    Yes,
    /// The object had been changed: nothing was written.
    Changed,
    /// It is not known whether it took effect; the text says why.
    Unknown(String),
}

/// Looks at the primary, from all vantage points, and at ourselves.
///
/// A certificate that we do not trust and a 401 or 403 are [`Ours::Identity`](crate::observation::Ours),
/// a name that does not resolve is [`Ours::Dns`](crate::observation::Ours). A vantage point that does not
/// look (a monitor whose endpoint is disabled) is left out.
pub trait LookOut {
    /// Asks all of them at once, each with its own timeout.
    fn look(&self) -> impl Future<Output = (Vec<Observation>, OurSide)> + Send;
}

/// The marks on the standby's operator Deployment.
pub trait Marked {
    /// Reads them, with the `resourceVersion` and the `Date` of that answer.
    fn read(&self) -> impl Future<Output = Known<Reading>> + Send;

    /// Changes [`Persist::annotations`] on condition of [`Persist::expected`].
    fn write(&self, change: &Persist) -> impl Future<Output = Written> + Send;
}

/// The Lease that is the run lock.
pub trait Locked {
    /// The Lease as it is now; none, where nobody has ever made it.
    fn read(&self) -> impl Future<Output = Known<Option<Lease>>> + Send;

    /// Takes or renews it, on condition of its revision (`None`: that it does not exist).
    fn take(&self, expected: Option<&Revision>, me: &str) -> impl Future<Output = Written> + Send;

    /// Gives it back.
    fn release(&self, expected: &Revision) -> impl Future<Output = Written> + Send;
}

/// The traffic manager and the journal, as far as the verdict asks.
pub trait Traffic {
    /// Whether the primary's endpoint is enabled.
    fn endpoint(&self) -> impl Future<Output = Known<Endpoint>> + Send;

    /// Who holds the journal's term.
    fn term(&self) -> impl Future<Output = Known<Side>> + Send;
}

/// The takeover: what of it holds already, and its steps.
pub trait Takeover {
    /// What is so, read from the world. What failed last time stays
    /// [`Fact::Failed`] until it holds or is tried again.
    fn facts(&self) -> impl Future<Output = Facts> + Send;

    /// Does a step, or looks again at one that is waited for. It must be possible to repeat it;
    /// [`Step::Disable`] holds only when it has been read back.
    fn perform(&self, step: Step) -> impl Future<Output = Fact> + Send;
}
