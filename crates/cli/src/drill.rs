//! `backstay drill`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use backstay_lab::drill::timeline::{self, Look};
use backstay_lab::drill::{
    self, Act, Against, DrillError, Failure, Fault, Options, Progress, Report, Target, html,
};
use backstay_pair::Pair;
use backstay_runbook::{Choices, Command, steps};

use crate::args::{ActFlag, DrillFlags, FaultFlag, Output};
use crate::{Exit, confirm, logging, print_error, print_json, print_result, stopped};

/// Runs a drill, and tells what came of it.
pub async fn run(flags: &DrillFlags, output: Output) -> Exit {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            print_error(&format!("cannot find the path of this program: {error}"));
            return Exit::Failed;
        }
    };
    if let Some(problem) = flags.report.as_deref().and_then(unwritable) {
        print_error(&problem);
        return Exit::Usage;
    }
    let until = act(flags.until);
    let against = match against(flags) {
        Ok(against) => against,
        Err(exit) => return exit,
    };
    let fault = match against {
        None => fault(flags.fault),
        Some(_) => Fault::Ingress,
    };
    if fault.needs_azurite() && flags.azurite.is_none() {
        print_error(&format!(
            "--fault {fault}: a folder has no wire that could be slow or deny anything; start an Azurite, and give \
             its blob service with --azurite URL"
        ));
        return Exit::Usage;
    }
    let target = flags
        .kill_operator_at
        .as_deref()
        .map(|it| target(it, until));
    let kill_operator_at = match target.transpose() {
        Ok(target) => target,
        Err(problem) => {
            print_error(&problem.to_string());
            return Exit::Usage;
        }
    };
    let options = Options {
        program,
        node: None,
        logs: flags.logs.clone(),
        events: flags.events,
        azurite: flags.azurite.clone(),
        keep: flags.keep,
        seed: flags.seed.unwrap_or_else(random_seed),
        senders: usize::from(flags.senders),
        fault,
        kill_operator_at,
        until,
        memory: backstay_node::memory::default_budget(),
        against,
    };
    if flags.dry_run {
        return dry_run(&options, output);
    }
    let progress = Progress::detect("drill");
    match drill::run(&options, &progress, stopped()).await {
        Ok(report) => print_report(&report, flags.report.as_deref(), output),
        Err(failure) => failed(&failure, output),
    }
}

/// The pair that it is played against, if any.
fn against(flags: &DrillFlags) -> Result<Option<Against>, Exit> {
    let Some(file) = &flags.against else {
        return Ok(None);
    };
    let pair = Pair::read(file, std::env::vars_os()).map_err(|error| {
        print_error(&error.to_string());
        Exit::Failed
    })?;
    if !flags.yes && !flags.dry_run && !confirm::is_there() {
        print_error(&format!(
            "a drill on the pair {} asks before each step that changes it, and nobody is there; next: the same with \
             --yes",
            pair.name
        ));
        return Err(Exit::Waits);
    }
    let (name, yes) = (pair.name.clone(), flags.yes);
    Ok(Some(Against {
        file: file.clone(),
        pair,
        dns: flags.dns,
        ask: Arc::new(move |what| {
            print_error(&format!("now: {what}"));
            yes || confirm::types_name(&name)
        }),
    }))
}

fn fault(flag: FaultFlag) -> Fault {
    match flag {
        FaultFlag::Kill => Fault::Kill,
        FaultFlag::Freeze => Fault::Freeze,
        FaultFlag::Partition => Fault::Partition,
        FaultFlag::DenyBucket => Fault::DenyBucket,
        FaultFlag::SlowBucket => Fault::SlowBucket,
    }
}

fn act(flag: ActFlag) -> Act {
    match flag {
        ActFlag::Failover => Act::Failover,
        ActFlag::Promotion => Act::Promotion,
        ActFlag::Failback => Act::Failback,
        ActFlag::Cleaning => Act::Cleaning,
    }
}

/// The runbook's commands, and the act that each is played in.
const COMMANDS: [(Command, Act); 3] = [
    (Command::Promote, Act::Promotion),
    (Command::Failback, Act::Failback),
    (Command::CleanSecondary, Act::Cleaning),
];

/// Why no step is meant.
#[derive(Debug, thiserror::Error)]
enum NoTarget {
    #[error("--kill-operator-at {0}: there is no such command in this drill")]
    Command(String),
    #[error("--kill-operator-at {text}: there is no such step; there are\n{known}")]
    Step { text: String, known: String },
}

/// The step that is meant: of the first command that has one of this id, unless it is named.
fn target(text: &str, until: Act) -> Result<Target, NoTarget> {
    let (named, id) = match text.split_once(':') {
        Some((command, id)) => (Some(command), id),
        None => (None, text),
    };
    let played = COMMANDS.iter().filter(|(_, act)| *act <= until);
    let mut known = Vec::new();
    for (command, _) in played.filter(|(it, _)| named.is_none_or(|name| name == it.as_str())) {
        let command_steps = steps(*command, Choices::default());
        if command_steps.iter().any(|step| step.id.as_str() == id) {
            return Ok(Target {
                command: command.as_str().to_owned(),
                step: id.to_owned(),
            });
        }
        let ids = command_steps.iter().map(|step| step.id.as_str());
        known.push(format!(
            "{}: {}",
            command.as_str(),
            ids.collect::<Vec<_>>().join(", ")
        ));
    }
    let text = text.to_owned();
    Err(match known.is_empty() {
        true => NoTarget::Command(text),
        false => NoTarget::Step {
            text,
            known: known.join("\n"),
        },
    })
}

fn dry_run(options: &Options, output: Output) -> Exit {
    let plan = drill::plan(options);
    let object = serde_json::json!({ "dry_run": true, "steps": plan });
    print_result(output, &object, || {
        let steps = plan.iter().enumerate();
        steps
            .map(|(at, step)| format!("{:>2}. {step}\n", at + 1))
            .collect()
    })
}

fn print_report(report: &Report, page: Option<&Path>, output: Output) -> Exit {
    let mut exit = print_result(output, report, || {
        let colour = logging::colour(std::io::stdout().is_terminal());
        timeline::render(report, Look::of_stdout(colour))
    });
    if let Some(path) = page {
        match std::fs::write(path, html::render(report)) {
            Ok(()) => tracing::info!(path = %path.display(), "report written"),
            Err(error) => {
                print_error(&format!(
                    "cannot write the report to {}: {error}",
                    path.display()
                ));
                exit = Exit::Failed;
            }
        }
    }
    if let Some(path) = &report.work_dir {
        print_error(&format!("logs and data are in {}", path.display()));
    }
    if report.ok {
        return exit;
    }
    for check in report.checks.iter().filter(|check| !check.ok) {
        print_error(&format!(
            "the drill failed: {}: {}",
            check.name, check.detail
        ));
    }
    if let Some(work) = &report.work_dir {
        for name in ["primary", "secondary", "watch", "runbook"] {
            let log = match report.fault {
                Fault::Ingress => work.join(format!("{name}.log")),
                _ => work.join("lab/logs").join(format!("{name}.log")),
            };
            if !log.exists() {
                continue;
            }
            print_error(&format!(
                "{} ends with:\n{}",
                log.display(),
                backstay_lab::child::log_tail(&log, 12)
            ));
        }
    }
    Exit::Failed
}

fn failed(failure: &Failure, output: Output) -> Exit {
    print_error(&failure.to_string());
    if output.is_json() {
        // Whoever reads standard output gets an object in every case.
        print_json(&serde_json::json!({
            "ok": false,
            "error": failure.error.to_string(),
            "work_dir": failure.work_dir,
        }));
    }
    match &failure.error {
        DrillError::NotAble(_) => Exit::No,
        DrillError::Declined(_) => Exit::Waits,
        _ => Exit::Failed,
    }
}

/// Why no file can be written there: better said before a drill than after it.
fn unwritable(path: &Path) -> Option<String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if path.is_dir() {
        return Some(format!(
            "--report {}: that is a folder; give a file",
            path.display()
        ));
    }
    if !folder.is_dir() {
        return Some(format!(
            "--report {}: there is no folder {}",
            path.display(),
            folder.display()
        ));
    }
    let is_new = !path.exists();
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    if is_new && opened.is_ok() {
        // Whether it was removed again matters to nobody: the report replaces it.
        let _ = std::fs::remove_file(path);
    }
    let problem = opened.err()?;
    Some(format!(
        "--report {}: {problem}; give a file that can be written",
        path.display()
    ))
}

/// Any seed: it is in the report, so that a run can be repeated.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use backstay_lab::drill::Act;

    use super::{target, unwritable};

    #[test]
    fn a_step_is_that_of_the_command_that_is_played_and_has_it() {
        let of = |text: &str, until| target(text, until).map(|it| it.command);
        assert_eq!(of("pools", Act::Cleaning).unwrap(), "promote");
        assert_eq!(of("secondary-stopped", Act::Cleaning).unwrap(), "failback");
        assert_eq!(
            of("clean-secondary:kafka-gone", Act::Cleaning).unwrap(),
            "clean-secondary"
        );
        for (text, until) in [
            ("fly", Act::Cleaning),
            ("failback:pools", Act::Cleaning),
            ("secondary-stopped", Act::Promotion),
        ] {
            let problem = of(text, until).unwrap_err().to_string();
            assert!(problem.contains("there are\n"), "{problem}");
        }
        assert!(of("pools", Act::Failover).is_err());
    }

    #[test]
    fn a_report_without_a_place_is_refused_before_the_drill() {
        let folder = tempfile::tempdir().unwrap();
        assert!(unwritable(&folder.path().join("r.html")).is_none());
        assert!(unwritable(std::path::Path::new("r.html")).is_none());
        assert!(!folder.path().join("r.html").exists());
        std::fs::write(folder.path().join("old.html"), "old").unwrap();
        assert!(unwritable(&folder.path().join("old.html")).is_none());
        assert_eq!(
            std::fs::read(folder.path().join("old.html")).unwrap(),
            b"old"
        );
        // Nobody may make files there, root neither.
        let nowhere = unwritable(std::path::Path::new("/proc/r.html"));
        assert!(nowhere.unwrap().contains("can be written"));
        assert!(unwritable(folder.path()).unwrap().contains("folder"));
        assert!(
            unwritable(&folder.path().join("no/r.html"))
                .unwrap()
                .contains("no folder")
        );
    }
}
