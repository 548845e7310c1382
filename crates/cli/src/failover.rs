//! `backstay failover`.

use std::collections::BTreeSet;
use std::time::Duration;

use backstay_failover::reason::{self, Code};
use backstay_failover::timing::Report;
use backstay_failover::verdict::{Demand, State};
use backstay_watch::{WatchStatus, Watcher};
use tokio::time::{Instant, sleep};

use crate::args::{FailoverFlags, Output};
use crate::{Exit, confirm, control, print_error, print_result, stopped};

/// So many looks in a row may find what is unclear, before it is taken for an answer.
const MAX_UNCLEAR_LOOKS: u32 = 3;

/// What it came to, on standard output.
#[derive(serde::Serialize)]
struct Ended<'a> {
    done: bool,
    dry_run: bool,
    status: &'a WatchStatus,
    timing: Option<&'a Report>,
}

/// Fails over, unless something speaks against it.
pub async fn run(flags: &FailoverFlags, output: Output) -> Exit {
    let over = match codes(&flags.over) {
        Ok(over) => over,
        Err(why) => {
            print_error(&why.to_string());
            return Exit::Usage;
        }
    };
    let world = match control::connect(&flags.control).await {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    if !over.is_empty() && !flags.yes && !flags.dry_run && !means_it(&world.pair().name) {
        return Exit::Waits;
    }
    let spacing = world.settings().spacing;
    let failures = world.settings().failures;
    let mut watcher = Watcher::new(world, Demand::ByHand(over));
    if flags.dry_run {
        return dry_run(&mut watcher, spacing, failures, output).await;
    }
    let until = Instant::now() + Duration::from_secs(flags.timeout);
    let stop = stopped();
    tokio::pin!(stop);
    let (mut unclear, mut told) = (0, Vec::new());
    loop {
        let (status, pace) = tokio::select! {
            round = watcher.round() => round,
            () = &mut stop => {
                print_error("interrupted; what is done stays, and the next run goes on");
                watcher.stop().await;
                return Exit::Failed;
            }
        };
        progress(&status, &mut told);
        let weight = weight(&status);
        unclear = if weight == Weight::Unclear {
            unclear + 1
        } else {
            0
        };
        match status.state {
            State::FailedOver => {
                let timing = watcher.report().cloned();
                watcher.stop().await;
                return end(&status, timing.as_ref(), true, false, output);
            }
            State::FailingOver => {}
            _ if weight == Weight::Stands || unclear >= MAX_UNCLEAR_LOOKS => {
                watcher.stop().await;
                return end(&status, None, false, false, output);
            }
            _ => {}
        }
        if Instant::now() >= until {
            watcher.stop().await;
            let _ = end(&status, None, false, false, output);
            print_error(
                "it has not come to its end in time; what is done stays, and the next run goes on",
            );
            return Exit::Failed;
        }
        sleep(pace.pause(spacing)).await;
    }
}

/// Whether a person confirms that what speaks against a failover is overruled. What is overruled is
/// what otherwise protects from a mistake.
fn means_it(pair: &str) -> bool {
    if !confirm::is_there() {
        print_error(
            "--over asks before it overrules anything, and nobody is there; next: the same with --yes",
        );
        return false;
    }
    let means_it = confirm::types_name(pair);
    if !means_it {
        print_error("not confirmed; nothing was changed");
    }
    means_it
}

/// How what speaks against it is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Nothing does, or it passes by itself while the primary stays down.
    Passes,
    /// It may be so for a moment only.
    Unclear,
    /// It stands.
    Stands,
}

fn weight(status: &WatchStatus) -> Weight {
    let each = status.reasons.iter().map(|it| match it.code {
        Code::PrimaryAnswers
        | Code::Cooldown
        | Code::Paused
        | Code::StandbyNotAble
        | Code::UnreadableMark => Weight::Stands,
        Code::StandbyApiUnreachable
        | Code::StandbyUnknown
        | Code::OurDns
        | Code::OurIdentity
        | Code::OurNetwork
        | Code::TooFewWitnesses
        | Code::LockUnknown => Weight::Unclear,
        _ => Weight::Passes,
    });
    each.max().unwrap_or(Weight::Passes)
}

async fn dry_run(watcher: &mut Watcher, spacing: Duration, failures: u32, output: Output) -> Exit {
    let (mut status, mut decision) = watcher.look().await;
    for _ in 1..failures {
        if weight(&status) > Weight::Passes {
            break;
        }
        sleep(spacing).await;
        (status, decision) = watcher.look().await;
    }
    let would = decision.reasons.iter().any(|it| it.code == Code::Begins)
        || matches!(status.state, State::FailingOver);
    let exit = end(&status, None, would, true, output);
    match would {
        true => exit,
        false => Exit::No,
    }
}

/// Says what is waited for, when that is something else than before.
fn progress(status: &WatchStatus, told: &mut Vec<Code>) {
    let codes: Vec<Code> = status.reasons.iter().map(|it| it.code).collect();
    if codes == *told {
        return;
    }
    let state = control::code_name(&status.state);
    print_error(&format!("{state}: {}", reason::sentences(&status.reasons)));
    *told = codes;
}

fn end(
    status: &WatchStatus,
    timing: Option<&Report>,
    done: bool,
    dry_run: bool,
    output: Output,
) -> Exit {
    let object = Ended {
        done: done && !dry_run,
        dry_run,
        status,
        timing,
    };
    let told = print_result(output, &object, || {
        let mut text = match (dry_run, done) {
            (true, true) => "would begin; nothing was changed\n".to_owned(),
            (true, false) => "would not begin; nothing was changed\n".to_owned(),
            (false, true) => "failed over\n".to_owned(),
            (false, false) => "not failed over\n".to_owned(),
        };
        text.push_str(&control::status_text(status));
        if dry_run {
            for step in &status.steps {
                let mark = if step.holds { "holds" } else { "to do" };
                text.push_str(&format!("step         {mark:<6} {}\n", step.what));
            }
        }
        if let Some(timing) = timing {
            for phase in &timing.phases {
                let name = control::code_name(&phase.name);
                text.push_str(&format!(
                    "phase        {name:<10} {} ms\n",
                    phase.duration_ms
                ));
            }
        }
        text
    });
    match (told, done) {
        (Exit::Done, true) => Exit::Done,
        (Exit::Done, false) => Exit::No,
        (other, _) => other,
    }
}

/// Why a code is not overruled.
#[derive(Debug, thiserror::Error)]
enum OverError {
    #[error("--over {0}: there is no such code")]
    Unknown(String),
    #[error("--over {0}: this cannot be overruled")]
    Fixed(String),
}

/// The codes that are overruled.
fn codes(names: &[String]) -> Result<BTreeSet<Code>, OverError> {
    names
        .iter()
        .map(|name| {
            let value = serde_json::Value::String(name.clone());
            let code: Code =
                serde_json::from_value(value).map_err(|_| OverError::Unknown(name.clone()))?;
            match code.can_be_overruled() {
                true => Ok(code),
                false => Err(OverError::Fixed(name.clone())),
            }
        })
        .collect()
}
