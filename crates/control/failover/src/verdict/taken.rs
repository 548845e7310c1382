//! The verdict when the standby has taken over, or is about to.

use backstay_pair::Side;

use super::{Context, Decision, Endpoint, Next, State};
use crate::lock::Lock;
use crate::marks::{Marks, Persist, RUN, Run, Stage};
use crate::observation::{Known, View};
use crate::reason::{Code, Reason};

/// A run is under way: whoever has the lock carries it on.
pub(super) fn acting(context: &Context<'_>, decision: &mut Decision) {
    decision.state = State::FailingOver;
    let run = context.reading.marks.run.as_ref();
    let id = run.map_or("", |run| run.id.as_str());
    match &context.look.lock {
        Known::Is(Lock::Mine(revision)) => {
            decision.next.push(Next::TakeOver(revision.clone()));
            let text = format!("run {id} goes on");
            decision.reasons.push(Reason::new(Code::Acting, text));
        }
        Known::Is(Lock::Free(revision)) => {
            decision.next.push(Next::TakeLock(revision.clone()));
            let text = format!("run {id} goes on, by us, since nobody else has the lock");
            decision.reasons.push(Reason::new(Code::Acting, text));
        }
        Known::Is(Lock::Held(by)) => {
            let text = format!("run {id} is carried on by {by}");
            decision
                .reasons
                .push(Reason::new(Code::RunInProgress, text));
        }
        Known::Unknown(why) => decision.reasons.push(lock_unknown(why)),
    }
    if let View::Answers(from) = &context.seen.view {
        let text = format!(
            "the primary answers again (seen from {}); the run is carried to its end all the same",
            from.join(", ")
        );
        decision
            .reasons
            .push(Reason::new(Code::PrimaryAnswers, text));
    }
}

/// The secondary holds the term, and no run is on record: somebody has started the standby by
/// hand, or the marks are lost. How far it is, nobody knows; so it is put on record as a run under
/// way, which finds out, does what is left, and ends.
pub(super) fn taken_up(context: &Context<'_>, decision: &mut Decision) {
    decision.state = State::FailingOver;
    decision.persist = Persist::change(context.reading, with_run(context));
    let text = "the secondary holds the term, though no run is on record; it is taken up as one";
    decision.reasons.push(Reason::new(Code::TakenOver, text));
}

/// The secondary serves: it stays so, whatever the primary does.
pub(super) fn failed_over(context: &Context<'_>, decision: &mut Decision) {
    decision.state = State::FailedOver;
    let look = context.look;
    let run = context.reading.marks.run.as_ref();
    let id = run.map_or("", |run| run.id.as_str());
    let text = format!("the secondary serves since run {id}");
    decision.reasons.push(Reason::new(Code::FailedOver, text));
    match (look.term.known(), &look.endpoint) {
        (Some(Side::Primary), _) => {
            let text = "the marks say that the secondary serves, but the primary holds the term; \
                        after a failback the mark of the run must be removed, and until then a \
                        dead primary is not failed over";
            let reason = Reason::new(Code::MarksDisagree, text);
            decision
                .reasons
                .insert(0, reason.then(context.settings.place.remove(RUN)));
        }
        (_, Known::Is(Endpoint::Enabled)) => {
            decision.next.push(Next::DisableAgain);
            let text = "the primary's endpoint is enabled while the secondary holds the term \
                        (terraform apply on the primary?); it is disabled again";
            decision
                .reasons
                .insert(0, Reason::new(Code::EndpointReopened, text));
        }
        (_, Known::Unknown(why)) => {
            let text = format!("whether the primary's endpoint is disabled is not known: {why}");
            decision
                .reasons
                .push(Reason::new(Code::EndpointUnknown, text));
        }
        (_, Known::Is(Endpoint::Disabled)) => {}
    }
    release(context, decision);
}

/// Gives the lock back if we have it and need it no more.
pub(super) fn release(context: &Context<'_>, decision: &mut Decision) {
    if let Known::Is(Lock::Mine(revision)) = &context.look.lock {
        decision.next.push(Next::ReleaseLock(revision.clone()));
    }
}

pub(super) fn lock_unknown(why: &str) -> Reason {
    Reason::new(
        Code::LockUnknown,
        format!("the run lock cannot be read: {why}"),
    )
}

/// The marks with a run that begins now.
pub(super) fn with_run(context: &Context<'_>) -> Marks {
    let now = context.reading.now;
    Marks {
        run: Some(Run {
            id: context.look.run_id.clone(),
            began: now,
            stage: Stage::Acting,
        }),
        last_failover: Some(now),
        ..context.reading.marks.clone()
    }
}
