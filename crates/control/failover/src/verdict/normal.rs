//! The verdict while the primary serves: suspicion, holdoff, refusals, the beginning of a run.

use std::time::Duration;

use super::{Context, Countdown, Decision, Demand, Memory, Next, State, cooldown, taken};
use crate::clock::{Aged, Epoch};
use crate::lock::Lock;
use crate::marks::{Marks, Persist};
use crate::observation::{Known, View};
use crate::reason::{self, Code, Reason};
use crate::settings::Settings;

pub(super) fn decide(context: &Context<'_>, memory: &Memory, decision: &mut Decision) {
    let mut against = match &context.seen.view {
        View::Answers(from) => answers(context, memory, decision, from),
        View::Down(_) => down(context, memory, decision),
        View::Blind(observations) => {
            decision.state = match memory.degraded {
                Some(_) => State::Holding,
                None => State::Suspect,
            };
            reason::blind(observations, context.settings.witnesses)
        }
    };
    if decision.persist.is_none() && memory.owes(&context.reading.marks) {
        end_holdoff(context, memory, decision);
    }
    against.extend(refusals(context, memory));
    if decision.state == State::Holding && against.iter().any(|it| it.code == Code::Cooldown) {
        decision.state = State::Cooldown;
    }
    if let Demand::ByHand(over) = &context.look.demand {
        against.retain(|it| !(it.code.can_be_overruled() && over.contains(&it.code)));
    }
    if against.is_empty() {
        begin(context, decision);
    } else {
        // Against a primary that answers, nothing else needs to be said.
        let answers = against.iter().any(|it| it.code == Code::PrimaryAnswers);
        let told = against.into_iter();
        decision
            .reasons
            .extend(told.filter(|it| !answers || it.code == Code::PrimaryAnswers));
        taken::release(context, decision);
    }
}

/// While paused: an answer still ends the holdoff, and nothing else happens. Since nobody keeps a
/// holdoff up meanwhile, it starts again afterwards.
pub(super) fn only_clear(context: &Context<'_>, memory: &Memory, decision: &mut Decision) {
    let answers = matches!(context.seen.view, View::Answers(_));
    if answers || memory.owes(&context.reading.marks) {
        end_holdoff(context, memory, decision);
    }
}

/// Ends the holdoff because of an answer that is seen now, or was seen before and could not be
/// told then.
fn end_holdoff(context: &Context<'_>, memory: &Memory, decision: &mut Decision) {
    let to = contradicted(context, memory);
    if to.degraded_since != context.reading.marks.degraded_since {
        let text = "the holdoff ends without a failover";
        decision.reasons.push(Reason::new(Code::Recovered, text));
    }
    decision.persist = Persist::change(context.reading, to);
}

fn answers(
    context: &Context<'_>,
    memory: &Memory,
    decision: &mut Decision,
    from: &[String],
) -> Vec<Reason> {
    end_holdoff(context, memory, decision);
    let unstable = contradicted(context, memory).unstable_since;
    decision.state = match unstable {
        Some(_) => State::Resolved,
        None => State::Healthy,
    };
    let text = format!("the primary answers (seen from {})", from.join(", "));
    vec![Reason::new(Code::PrimaryAnswers, text)]
}

/// The marks after an answer: no holdoff; and no instability either, once it has answered for
/// long.
fn contradicted(context: &Context<'_>, memory: &Memory) -> Marks {
    let (marks, began) = (&context.reading.marks, context.look.began);
    let mut to = marks.clone();
    if marks.degraded_since.is_some() {
        to.degraded_since = None;
        to.seen_down = None;
        to.answered = Some(context.reading.now);
    }
    let answers = matches!(context.seen.view, View::Answers(_));
    let long = (memory.streak(began)).is_some_and(|it| it >= context.settings.recovered);
    let owed = (marks.unstable_since).is_some_and(|it| memory.recovery.contradicts(it));
    let recovered = (answers && long) || owed;
    if recovered && to.unstable_since.is_some() {
        to.unstable_since = None;
        if marks.degraded_since.is_none() {
            to.answered = None;
        }
    }
    to
}

fn down(context: &Context<'_>, memory: &Memory, decision: &mut Decision) -> Vec<Reason> {
    let settings = context.settings;
    let sure = memory.failures >= settings.failures;
    let mut against = Vec::new();
    if !sure {
        let text = format!(
            "the primary is seen down, {} of {} times in a row",
            memory.failures, settings.failures
        );
        against.push(Reason::new(Code::NotYetSure, text));
    }
    let restart = match memory.degraded {
        Some(start) => why_restart(context, memory, start),
        None => None,
    };
    match (memory.degraded, restart) {
        (Some(start), None) => {
            decision.state = State::Holding;
            against.extend(hold(context, memory, decision, start));
        }
        (Some(_), Some(why)) => {
            decision.state = State::Holding;
            decision.reasons.push(why);
            against.push(running(settings.holdoff));
            start(context, memory, decision);
        }
        (None, _) => {
            decision.state = State::Suspect;
            if let Some(left) = veto(context, memory) {
                let text = format!(
                    "another instance has just seen it answer; for {} that counts",
                    reason::seconds(left)
                );
                against.push(Reason::new(Code::PeerSawAnswer, text));
            } else if sure {
                decision.state = State::Holding;
                start(context, memory, decision);
            }
            against.push(running(settings.holdoff));
        }
    }
    against
}

fn running(left: Duration) -> Reason {
    let text = format!("{} of the holdoff are left", reason::seconds(left));
    Reason::new(Code::HoldoffRunning, text)
}

/// An answer that another instance has seen, or we ourselves, and that has ended a holdoff.
fn veto(context: &Context<'_>, memory: &Memory) -> Option<Duration> {
    let since = memory.answered?.at_least(context.look.mono);
    let left = context.settings.veto().checked_sub(since)?;
    (!left.is_zero()).then_some(left)
}

/// Why a holdoff that is marked cannot be gone on with.
fn why_restart(context: &Context<'_>, memory: &Memory, start: Aged) -> Option<Reason> {
    let (now, mono) = (context.reading.now, context.look.mono);
    if memory.answer.contradicts(start.value()) {
        let text = "we have seen the primary answer within the holdoff, which starts again";
        return Some(Reason::new(Code::Recovered, text));
    }
    // The second is what another server behind the same name may be ahead.
    if start.value().0 > now.0.saturating_add(1) {
        let text = format!(
            "the holdoff's start ({}) lies in the future; it starts now",
            start.value()
        );
        return Some(Reason::new(Code::FutureDated, text));
    }
    let gap = memory.seen_down.map(|it| it.at_most(now, mono));
    match gap {
        Some(gap) if gap <= context.settings.unwatched => None,
        gap => {
            let text = match gap {
                Some(gap) => format!(
                    "nobody has looked for {}; the holdoff starts again",
                    reason::seconds(gap)
                ),
                None => "nobody has put down when the primary was last seen down; the holdoff \
                         starts again"
                    .to_owned(),
            };
            Some(Reason::new(Code::Unwatched, text))
        }
    }
}

/// Starts the holdoff, or starts it again. Nothing is left of it where a crash loop has gone on for long:
/// the next outage need not last until the next look.
fn start(context: &Context<'_>, memory: &Memory, decision: &mut Decision) {
    let (settings, now) = (context.settings, context.reading.now);
    let mono = context.look.mono;
    // Instability is a claim about all the time since, so it ends where nobody has looked.
    let watched = [memory.seen_down, memory.answered]
        .into_iter()
        .flatten()
        .map(|it| it.at_most(now, mono))
        .any(|gap| gap <= settings.recovered.saturating_add(settings.unwatched));
    let unstable = (context.reading.marks.unstable_since)
        .filter(|it| watched && *it <= now && !memory.recovery.contradicts(*it));
    let to = Marks {
        degraded_since: Some(now),
        seen_down: Some(now),
        unstable_since: Some(unstable.unwrap_or(now)),
        ..context.reading.marks.clone()
    };
    let stays = memory.unstable.filter(|it| Some(it.value()) == unstable);
    let loops = stays.is_some_and(|it| loops(settings, it.at_least(mono)));
    decision.holdoff = Some(Countdown {
        since: now,
        held: Duration::ZERO,
        left: match loops {
            true => Duration::ZERO,
            false => settings.holdoff,
        },
    });
    decision.persist = Persist::change(context.reading, to);
}

/// Goes on with a holdoff: keeps it up, and says what is left of it.
fn hold(
    context: &Context<'_>,
    memory: &Memory,
    decision: &mut Decision,
    start: Aged,
) -> Vec<Reason> {
    let (settings, now) = (context.settings, context.reading.now);
    let mono = context.look.mono;
    let marks = &context.reading.marks;
    let mut to = marks.clone();
    let quiet = memory.last_answer.map(|it| mono.saturating_sub(it));
    let held = start.at_least(mono).min(quiet.unwrap_or(Duration::MAX));
    // The server's clock has been stepped, or somebody has dated it back: whoever comes next must
    // not be credited with that.
    let tolerated = settings.spacing.max(Duration::from_secs(2));
    if now.since(start.value()) > held.saturating_add(tolerated) {
        to.degraded_since = Some(now.before(held));
        to.seen_down = Some(now);
    }
    let last = memory.seen_down.map(|it| it.at_most(now, mono));
    if last.is_none_or(|last| last >= settings.checkpoint()) {
        to.seen_down = Some(now);
    }
    let wrong = |it: Epoch| it.0 > now.0.saturating_add(1) || memory.recovery.contradicts(it);
    let unstable = memory.unstable.filter(|it| !wrong(it.value()));
    if unstable.is_none() {
        to.unstable_since = Some(now);
    }
    decision.persist = Persist::change(context.reading, to);
    let left = settings.holdoff.saturating_sub(held);
    decision.holdoff = Some(Countdown {
        since: start.value(),
        held,
        left,
    });
    if left.is_zero() {
        return Vec::new();
    }
    let unstable = unstable.map(|it| it.at_least(mono));
    match unstable {
        Some(unstable) if loops(settings, unstable) => {
            let text = format!(
                "for {} the primary has not answered for {} without a break; the holdoff is not \
                 waited for",
                reason::seconds(unstable),
                reason::seconds(settings.recovered)
            );
            decision.reasons.push(Reason::new(Code::CrashLoop, text));
            Vec::new()
        }
        _ => vec![running(left)],
    }
}

/// Whether it has been unstable for so long that no holdoff is waited for.
fn loops(settings: &Settings, unstable: Duration) -> bool {
    settings.crash_loop.is_some_and(|bound| unstable >= bound)
}

/// What stands against a failover, however dead the primary is.
fn refusals(context: &Context<'_>, memory: &Memory) -> Vec<Reason> {
    let look = context.look;
    let mut against = Vec::new();
    if !context.seen.trusted_by.is_empty() {
        let text = format!(
            "still counted as healthy by {}",
            context.seen.trusted_by.join(", ")
        );
        against.push(Reason::new(Code::StillTrusted, text));
    }
    match &look.standby {
        Known::Is(readiness_blockers) => against.extend(readiness_blockers.iter().map(|it| {
            let text = format!("the standby cannot take over: {}", it.what);
            let mut reason = Reason::new(Code::StandbyNotAble, text);
            reason.next.clone_from(&it.remedy);
            reason
        })),
        Known::Unknown(why) => {
            let text = format!("whether the standby can take over is not known: {why}");
            against.push(Reason::new(Code::StandbyUnknown, text).then("backstay verify"));
        }
    }
    match &look.lock {
        Known::Is(Lock::Held(by)) => {
            let text = format!("{by} has the run lock");
            against.push(Reason::new(Code::RunInProgress, text));
        }
        Known::Unknown(why) => against.push(taken::lock_unknown(why)),
        Known::Is(Lock::Mine(_) | Lock::Free(_)) => {}
    }
    against.extend(cooldown(context, memory));
    against
}

/// Begins a run: takes the lock, and with the lock marks the beginning.
fn begin(context: &Context<'_>, decision: &mut Decision) {
    match &context.look.lock {
        Known::Is(Lock::Mine(_)) => {
            let to = taken::with_run(context);
            decision.persist = Persist::change(context.reading, to);
            decision.next.push(Next::Begin);
        }
        Known::Is(Lock::Free(revision)) => decision.next.push(Next::TakeLock(revision.clone())),
        // Both are among the refusals.
        Known::Is(Lock::Held(_)) | Known::Unknown(_) => {}
    }
    let observations = match &context.seen.view {
        View::Down(observations) | View::Blind(observations) => reason::down(observations),
        View::Answers(_) => "it answers, but a person wants it".to_owned(),
    };
    let text = format!("the standby takes over ({observations})");
    decision.reasons.push(Reason::new(Code::Begins, text));
}
