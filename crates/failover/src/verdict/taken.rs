//! The verdict when the standby has taken over, or is about to.

use super::{Context, Decision, Endpoint, Next, State};
use crate::clock::Epoch;
use crate::lock::Lock;
use crate::marks::{Marks, Persist, RUN, Run, Stage};
use crate::reason::{Code, Reason};
use crate::sight::{Known, Side, View};

/// A run is under way: whoever has the lock carries it on.
pub(super) fn acting(context: &Context<'_>, decision: &mut Decision) {
    decision.state = State::FailingOver;
    let run = context.reading.marks.run.as_ref();
    let id = run.map_or("", |run| run.id.as_str());
    match &context.look.lock {
        Known::Is(Lock::Mine(revision)) => {
            decision.next.push(Next::Act(revision.clone()));
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

/// The secondary serves: it stays so, whatever the primary does.
pub(super) fn failed_over(context: &Context<'_>, decision: &mut Decision) {
    decision.state = State::FailedOver;
    let (look, marks) = (context.look, &context.reading.marks);
    let told = match &marks.run {
        Some(run) => Reason::new(
            Code::FailedOver,
            format!("the secondary serves since run {}", run.id),
        ),
        None => {
            decision.persist = put_on_record(context);
            let text = "the secondary holds the term, though no run is on record: somebody has \
                        started it by hand";
            Reason::new(Code::TakenOver, text)
        }
    };
    decision.reasons.push(told);
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

fn put_on_record(context: &Context<'_>) -> Option<Persist> {
    let marks = &context.reading.marks;
    let run = run(context, context.reading.now, Stage::Done);
    let to = Marks {
        run: Some(run),
        degraded_since: None,
        seen_down: None,
        answered: None,
        unstable_since: None,
        ..marks.clone()
    };
    Persist::change(context.reading, to)
}

/// The mark of a run that begins now.
pub(super) fn run(context: &Context<'_>, began: Epoch, stage: Stage) -> Run {
    Run {
        id: context.look.run_id.clone(),
        began,
        stage,
    }
}
