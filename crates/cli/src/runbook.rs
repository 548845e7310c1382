//! `backstay promote`, `failback`, `clean-secondary`, `runs`.

mod progress;

use std::sync::Arc;
use std::time::Duration;

use backstay_retry::WriteGuard;
use backstay_runbook::engine::now_ms;
use backstay_runbook::lock::{Held, LEASE_DURATION, NotHeld, operator};
use backstay_runbook::log::{RunError, RunLog, Runs};
use backstay_runbook::{
    Choices, Command, Event, Record, Report, Site, State, Step, StepState, Stopped, Works as _,
    engine, steps,
};
use backstay_watch::World;

use crate::args::{Output, RunFlags, RunsCommand, RunsFlags, WhoFlags};
use crate::{Exit, confirm, control, print_bytes, print_error, print_json, print_result, stopped};
use progress::Progress;

/// Begins a run of a command, or says what it would do.
pub async fn run(flags: &RunFlags, command: Command, choices: Choices, output: Output) -> Exit {
    if flags.plan {
        return print_plan(&Report::planned(command, choices, &[]), output);
    }
    let world = match control::connect(&flags.control).await {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    if flags.dry_run {
        return dry_run(world, command, choices, output).await;
    }
    let runs = Runs::new(world.standby().clone());
    // Before a person is asked anything, and once more under the lock, where it stays so.
    if let Err(exit) = all_over(&runs, output).await {
        return exit;
    }
    if let Some(exit) = unconfirmed(&world, command, choices, flags.who, output) {
        return exit;
    }
    let held = match take(&world, flags.who, output).await {
        Ok(held) => held,
        Err(exit) => return exit,
    };
    let all = match all_over(&runs, output).await {
        Ok(all) => all,
        Err(exit) => {
            held.release().await;
            return exit;
        }
    };
    if let Err(error) = runs.prune(&all).await {
        print_error(&format!("old runs are not deleted: {error}"));
    }
    let name = run_name(command);
    let pair = &world.pair().name;
    let record = Record::new(name, command, pair, choices, &operator(), now_ms());
    go_on(world, runs.log(None, held), record, output).await
}

/// All runs, if none is left to be gone on with.
async fn all_over(runs: &Runs, output: Output) -> Result<Vec<Record>, Exit> {
    let all = runs.list().await;
    let all = all.map_err(|error| refuse(&error.to_string(), None, output, Exit::Failed))?;
    match all.iter().find(|it| !it.is_over()) {
        None => Ok(all),
        Some(old) => {
            let next = format!(
                "backstay runs resume {0}; or backstay runs abort {0}",
                old.run
            );
            let why = format!("run {} is not over", old.run);
            Err(refuse(&why, Some(&next), output, Exit::No))
        }
    }
}

/// A run, with the version that it was read at, if there is something left to go on with.
async fn unfinished(runs: &Runs, run: &str, output: Output) -> Result<(Record, String), Exit> {
    match runs.show(run).await {
        Ok((record, _)) if record.is_over() => Err(refuse(
            &format!("run {run} is over"),
            None,
            output,
            Exit::No,
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(no_run(&error, output)),
    }
}

/// Runs `backstay runs`: the list, or one run.
pub async fn runs(flags: &RunsFlags, output: Output) -> Exit {
    let world = match control::connect(&flags.control).await {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    let runs = Runs::new(world.standby().clone());
    match &flags.command {
        RunsCommand::List => list(&runs, output).await,
        RunsCommand::Show { run } => match runs.show(run).await {
            Ok((record, _)) => print_report(&Report::of(&record), output),
            Err(error) => no_run(&error, output),
        },
        RunsCommand::Resume {
            run,
            topic_is_reset,
            who,
            dry_run,
        } => {
            let Record {
                command,
                mut choices,
                ..
            } = match unfinished(&runs, run, output).await {
                Ok((record, _)) => record,
                Err(exit) => return exit,
            };
            choices.topic_is_reset |= topic_is_reset;
            if *dry_run {
                return self::dry_run(world, command, choices, output).await;
            }
            if let Some(exit) = unconfirmed(&world, command, choices, *who, output) {
                return exit;
            }
            let (mut record, log) = match locked(&world, &runs, run, *who, output).await {
                Ok(found) => found,
                Err(exit) => return exit,
            };
            record.choices = choices;
            record.operator = operator();
            go_on(world, log, record, output).await
        }
        RunsCommand::Abort { run, who, dry_run } => {
            abort(&world, &runs, run, *who, *dry_run, output).await
        }
    }
}

async fn list(runs: &Runs, output: Output) -> Exit {
    let all = match runs.list().await {
        Ok(all) => all,
        Err(error) => return refuse(&error.to_string(), None, output, Exit::Failed),
    };
    let reports: Vec<Report> = all.iter().map(Report::of).collect();
    if output.is_json() {
        return print_json(&serde_json::json!({ "runs": reports }));
    }
    let lines = all.iter().map(|it| {
        let at = it.position().and_then(|at| it.steps.get(at));
        let at = at.map_or("-", |step| step.id.as_str());
        let state = control::code_name(&it.state);
        format!("{:<44} {state:<8} at {at:<26} by {}\n", it.run, it.operator)
    });
    print_bytes(lines.collect::<String>().as_bytes())
}

/// The lock first, then what is written: nobody else goes on with it from here.
async fn locked(
    world: &World,
    runs: &Runs,
    run: &str,
    who: WhoFlags,
    output: Output,
) -> Result<(Record, RunLog), Exit> {
    let held = take(world, who, output).await?;
    match unfinished(runs, run, output).await {
        Ok((record, version)) => Ok((record, runs.log(Some(version), held))),
        Err(exit) => {
            held.release().await;
            Err(exit)
        }
    }
}

async fn abort(
    world: &World,
    runs: &Runs,
    run: &str,
    who: WhoFlags,
    dry_run: bool,
    output: Output,
) -> Exit {
    if dry_run {
        return match runs.show(run).await {
            Ok((record, _)) => print_report(&Report::of(&record), output),
            Err(error) => no_run(&error, output),
        };
    }
    let (mut record, mut log) = match locked(world, runs, run, who, output).await {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    record.state = State::Aborted;
    record.ended_ms = Some(now_ms());
    let written = engine::Log::write(&mut log, &record).await;
    log.end().await;
    if let Err(error) = written {
        return refuse(&error.to_string(), None, output, Exit::Failed);
    }
    for step in steps(record.command, record.choices) {
        let done = record
            .step(step.id)
            .is_some_and(|it| it.state == StepState::Done);
        if done {
            print_error(&format!("{} stays; to undo it: {}", step.id, step.undo));
        }
    }
    print_report(&Report::of(&record), output)
}

/// The pair as the steps see it; what a journal's record holds, only the node knows.
fn site(world: Arc<World>, guard: WriteGuard) -> Site {
    let count = |record: &_| Ok(backstay_node::events_in_record(record)?);
    Site::new(world, guard, count)
}

async fn dry_run(world: Arc<World>, command: Command, choices: Choices, output: Output) -> Exit {
    let site = site(world, WriteGuard::unguarded());
    let record = Record::new(String::new(), command, "", choices, "", now_ms());
    let mut answers = Vec::new();
    for step in steps(command, choices) {
        answers.push(site.check(step, &record).await);
    }
    print_plan(&Report::planned(command, choices, &answers), output)
}

/// Takes the lock; waits out a holder that has died.
async fn take(world: &World, who: WhoFlags, output: Output) -> Result<Held, Exit> {
    let waits = |holder: &str, left: Duration| {
        print_error(&format!(
            "{holder} holds the run lock; unless it is renewed it is ours in {} s (--take-over takes it now)",
            left.as_secs() + 1
        ));
    };
    let taken = Held::take(world.standby(), &operator(), who.take_over, &waits).await;
    taken.map_err(|error| match error {
        NotHeld::By { .. } => {
            let next = format!(
                "wait for it, or take it with --take-over when its holder is surely gone (one that has died \
                 loses it after {} s)",
                LEASE_DURATION.as_secs()
            );
            refuse(&error.to_string(), Some(&next), output, Exit::No)
        }
        NotHeld::Cluster(_) => refuse(&error.to_string(), None, output, Exit::Failed),
    })
}

/// Runs it, and tells how it went.
async fn go_on(world: Arc<World>, mut log: RunLog, mut record: Record, output: Output) -> Exit {
    let site = site(world, log.guard());
    let progress = Progress::of(&record, output);
    let name = record.run.clone();
    let tell_event = |event: Event<'_>| progress.report(event);
    let ended = tokio::select! {
        ended = engine::run(&site, &mut log, &mut record, &tell_event) => ended,
        () = stopped() => {
            log.end().await;
            let next = format!("backstay runs resume {name}");
            return refuse("interrupted; what is done stays", Some(&next), output, Exit::Failed);
        }
    };
    log.end().await;
    let exit = match &ended {
        Ok(()) => Exit::Done,
        Err(Stopped::Refused { .. }) => Exit::No,
        Err(Stopped::Person { .. }) => Exit::Waits,
        Err(Stopped::Failed { .. } | Stopped::Log(_) | Stopped::Version(_)) => Exit::Failed,
    };
    let mut report = Report::of(&record);
    if let Err(error) = &ended {
        print_error(&error.to_string());
        report.ok = false;
        report.error = Some(error.to_string());
    }
    match print_report(&report, output) {
        Exit::Done => exit,
        other => other,
    }
}

/// Asks, where something cannot be undone. Some(exit) when it may not go on.
fn unconfirmed(
    world: &World,
    command: Command,
    choices: Choices,
    who: WhoFlags,
    output: Output,
) -> Option<Exit> {
    let destroying: Vec<&Step> = steps(command, choices)
        .into_iter()
        .filter(|it| it.destroys)
        .collect();
    if who.yes || destroying.is_empty() {
        return None;
    }
    let name = &world.pair().name;
    if !confirm::is_there() {
        let why = format!(
            "{} asks before what cannot be undone, and nobody is there",
            command.as_str()
        );
        return Some(refuse(
            &why,
            Some("the same with --yes"),
            output,
            Exit::Waits,
        ));
    }
    print_error("this cannot be undone:");
    for step in destroying {
        print_error(&format!("  {}: {}", step.id, step.name));
    }
    match confirm::types_name(name) {
        true => None,
        false => Some(refuse(
            "not confirmed; nothing was changed",
            None,
            output,
            Exit::Waits,
        )),
    }
}

/// A name that sorts by time.
fn run_name(command: Command) -> String {
    let now = chrono::Utc::now().format("%Y%m%dt%H%M%Sz");
    let more = uuid::Uuid::new_v4().simple().to_string();
    format!(
        "{}-{now}-{}",
        command.as_str(),
        more.get(..6).unwrap_or_default()
    )
}

fn print_report(report: &Report, output: Output) -> Exit {
    print_result(output, report, || report.text())
}

/// Tells a plan or a dry run; one whose first check refuses is a no.
fn print_plan(report: &Report, output: Output) -> Exit {
    match (print_report(report, output), report.ok) {
        (Exit::Done, false) => Exit::No,
        (exit, _) => exit,
    }
}

fn no_run(error: &RunError, output: Output) -> Exit {
    let exit = match error {
        RunError::NotFound(_) => Exit::No,
        RunError::Cluster(_) | RunError::NoRecord { .. } => Exit::Failed,
    };
    refuse(&error.to_string(), None, output, exit)
}

/// Says why nothing is done; whoever reads standard output gets an object in every case.
fn refuse(why: &str, next: Option<&str>, output: Output, exit: Exit) -> Exit {
    print_error(why);
    if let Some(next) = next {
        print_error(&format!("next: {next}"));
    }
    if output.is_json() {
        print_json(&serde_json::json!({ "ok": false, "error": why, "next": next }));
    }
    exit
}
