//! `backstay failover`.

use std::collections::BTreeSet;
use std::time::Duration;

use backstay_failover::reason::Code;
use backstay_failover::timing::Report;
use backstay_failover::verdict::{Demand, State};
use backstay_watch::{Pace, Picture, Watcher};
use tokio::time::{Instant, sleep};

use crate::args::{FailoverFlags, Output};
use crate::{Exit, complain, control, json, say, stopped};

/// What it came to, on standard output.
#[derive(serde::Serialize)]
struct Ended<'a> {
    done: bool,
    dry_run: bool,
    picture: &'a Picture,
    timing: Option<&'a Report>,
}

/// Fails over, unless something speaks against it.
pub async fn run(flags: &FailoverFlags, output: Output) -> Exit {
    let over = match codes(&flags.over) {
        Ok(over) => over,
        Err(why) => {
            complain(&why);
            return Exit::Usage;
        }
    };
    let world = match control::connect(&flags.control).await {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    let spacing = world.settings().spacing;
    let failures = world.settings().failures;
    let mut watcher = Watcher::new(world, Demand::ByHand(over));
    if flags.dry_run {
        return dry_run(&mut watcher, spacing, failures, output).await;
    }
    let until = Instant::now() + Duration::from_secs(flags.timeout);
    let stop = stopped();
    tokio::pin!(stop);
    let (mut rounds, mut told) = (0, None);
    loop {
        let (picture, pace) = tokio::select! {
            round = watcher.round() => round,
            () = &mut stop => {
                complain("interrupted; what is done stays, and the next run goes on");
                watcher.stop().await;
                return Exit::Failed;
            }
        };
        rounds += 1;
        if told != Some(picture.state) {
            tracing::info!(state = control::word(&picture.state), "failover");
            told = Some(picture.state);
        }
        match picture.state {
            State::FailedOver => {
                let timing = watcher.report().cloned();
                watcher.stop().await;
                return end(&picture, timing.as_ref(), true, false, output);
            }
            State::FailingOver => {}
            // Enough looks in a row must have seen it down; then the answer is final.
            _ if rounds > failures || against(&picture) => {
                watcher.stop().await;
                return end(&picture, None, false, false, output);
            }
            _ => {}
        }
        if Instant::now() >= until {
            watcher.stop().await;
            let _ = end(&picture, None, false, false, output);
            complain(
                "it has not come to its end in time; what is done stays, and the next run goes on",
            );
            return Exit::Failed;
        }
        sleep(match pace {
            Pace::Usual => spacing,
            Pace::In(pause) => pause,
        })
        .await;
    }
}

/// Whether something speaks against it that a further look does not change.
fn against(picture: &Picture) -> bool {
    let passing = [
        Code::NotYetSure,
        Code::Begins,
        Code::Acting,
        Code::StaleLook,
        Code::HoldoffRunning,
        Code::StillTrusted,
    ];
    !picture.reasons.is_empty() && picture.reasons.iter().any(|it| !passing.contains(&it.code))
}

async fn dry_run(watcher: &mut Watcher, spacing: Duration, failures: u32, output: Output) -> Exit {
    let (mut picture, mut decision) = watcher.look().await;
    for _ in 1..failures {
        if against(&picture) {
            break;
        }
        sleep(spacing).await;
        (picture, decision) = watcher.look().await;
    }
    let would = decision.reasons.iter().any(|it| it.code == Code::Begins)
        || matches!(picture.state, State::FailingOver);
    let exit = end(&picture, None, would, true, output);
    match would {
        true => exit,
        false => Exit::No,
    }
}

fn end(
    picture: &Picture,
    timing: Option<&Report>,
    done: bool,
    dry_run: bool,
    output: Output,
) -> Exit {
    let told = match output {
        Output::Json => json(&Ended {
            done: done && !dry_run,
            dry_run,
            picture,
            timing,
        }),
        Output::Text => {
            let mut text = match (dry_run, done) {
                (true, true) => "would begin; nothing was changed\n".to_owned(),
                (true, false) => "would not begin; nothing was changed\n".to_owned(),
                (false, true) => "failed over\n".to_owned(),
                (false, false) => "not failed over\n".to_owned(),
            };
            text.push_str(&control::shown(picture));
            if dry_run {
                for step in &picture.steps {
                    let mark = if step.holds { "holds" } else { "to do" };
                    text.push_str(&format!("step         {mark:<6} {}\n", step.what));
                }
            }
            if let Some(timing) = timing {
                for phase in &timing.phases {
                    let name = control::word(&phase.name);
                    text.push_str(&format!(
                        "phase        {name:<10} {} ms\n",
                        phase.duration_ms
                    ));
                }
            }
            say(text.as_bytes())
        }
    };
    match (told, done) {
        (Exit::Done, true) => Exit::Done,
        (Exit::Done, false) => Exit::No,
        (other, _) => other,
    }
}

/// The codes that are overruled.
fn codes(names: &[String]) -> Result<BTreeSet<Code>, String> {
    names
        .iter()
        .map(|name| {
            let value = serde_json::Value::String(name.clone());
            let code: Code = serde_json::from_value(value)
                .map_err(|_| format!("--over {name}: there is no such code"))?;
            match code.can_be_overruled() {
                true => Ok(code),
                false => Err(format!("--over {name}: this cannot be overruled")),
            }
        })
        .collect()
}
