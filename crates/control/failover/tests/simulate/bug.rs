//! Bugs that can be planted, to see that the simulator finds them. Each switches off one rule, by
//! changing what the decision is given or what is done with what it says; the code under test has
//! no switches.

use crate::judge::Promise;

/// A rule that is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A fired alert is taken for a verdict.
    AlertsDecide,
    /// The holdoff is not waited for.
    NoHoldoff,
    /// Marks are dated and aged by the wall clock of each instance.
    OwnWallClock,
    /// Marks are written without a condition.
    NoCompareAndSet,
    /// An answer that is seen does not end the others' holdoff.
    AnswersNotTold,
    /// The marks are read before the sights are in.
    MarksFirst,
    /// A holdoff counts that nobody has watched.
    UnwatchedCounts,
    /// A primary that answers shortly now and then is never called dead.
    NoCrashLoopRule,
    /// An outage of ours counts as one of the primary.
    OurOutagesCount,
    /// A monitor that still trusts the primary is ignored.
    TrustIgnored,
    /// A look from before a freeze is still acted upon.
    OldLooksCount,
    /// A pause is ignored.
    PauseIgnored,
    /// The cooldown is ignored.
    CooldownIgnored,
    /// A standby that is not able takes over all the same.
    UnableIgnored,
    /// The seal is taken for granted.
    SealSkipped,
    /// Disabling is taken for done once it was asked for.
    NotReadBack,
    /// What could not be done is not tried again.
    NotRetried,
    /// The operator is started without waiting for the seal.
    OperatorFirst,
    /// Stale TLS secrets are left.
    SecretsLeft,
    /// An endpoint that was enabled again stays enabled.
    NoReconciler,
    /// The run lock is ignored. (Nothing is expected to depend on it.)
    LockIgnored,
}

impl Bug {
    /// Those that must be found, each with the promise that it breaks.
    pub const FOUND: [(Self, Promise); 20] = [
        (Self::AlertsDecide, Promise::Holdoff),
        (Self::NoHoldoff, Promise::Holdoff),
        (Self::OwnWallClock, Promise::Holdoff),
        (Self::NoCompareAndSet, Promise::Holdoff),
        (Self::AnswersNotTold, Promise::Holdoff),
        (Self::MarksFirst, Promise::Holdoff),
        (Self::UnwatchedCounts, Promise::Watched),
        (Self::NoCrashLoopRule, Promise::InTime),
        (Self::OurOutagesCount, Promise::Sight),
        (Self::OldLooksCount, Promise::Sight),
        (Self::TrustIgnored, Promise::Refusals),
        (Self::PauseIgnored, Promise::Refusals),
        (Self::CooldownIgnored, Promise::Refusals),
        (Self::UnableIgnored, Promise::Refusals),
        (Self::SealSkipped, Promise::OneWriter),
        (Self::OperatorFirst, Promise::OneWriter),
        (Self::NotReadBack, Promise::Closed),
        (Self::NotRetried, Promise::InTime),
        (Self::SecretsLeft, Promise::InTime),
        (Self::NoReconciler, Promise::NoReturn),
    ];
}
