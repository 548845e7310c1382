//! `backstay drill`.

use std::io::IsTerminal;
use std::path::Path;

use backstay_lab::drill::timeline::{self, Look};
use backstay_lab::drill::{self, Failure, Options, Progress, Report, html};

use crate::args::{DrillFlags, Output};
use crate::{Exit, complain, json, logging, say, stopped};

/// Runs a drill, and tells what came of it.
pub async fn run(flags: &DrillFlags, output: Output) -> Exit {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            complain(&format!("cannot find the path of this program: {error}"));
            return Exit::Failed;
        }
    };
    if let Some(problem) = flags.report.as_deref().and_then(unwritable) {
        complain(&problem);
        return Exit::Usage;
    }
    let options = Options {
        program,
        node: None,
        logs: flags.logs.clone(),
        events: flags.events,
        azurite: flags.azurite.clone(),
        keep: flags.keep,
        seed: flags.seed.unwrap_or_else(random_seed),
        senders: usize::from(flags.senders),
    };
    if flags.dry_run {
        return dry_run(&options, output);
    }
    let progress = Progress::detect("drill");
    match drill::run(&options, &progress, stopped()).await {
        Ok(report) => tell(&report, flags.report.as_deref(), output),
        Err(failure) => failed(&failure, output),
    }
}

fn dry_run(options: &Options, output: Output) -> Exit {
    let plan = drill::plan(options);
    match output {
        Output::Json => json(&serde_json::json!({ "dry_run": true, "steps": plan })),
        Output::Text | Output::Prometheus => {
            let lines: String = plan
                .iter()
                .enumerate()
                .map(|(at, step)| format!("{:>2}. {step}\n", at + 1))
                .collect();
            say(lines.as_bytes())
        }
    }
}

fn tell(report: &Report, page: Option<&Path>, output: Output) -> Exit {
    let mut exit = match output {
        Output::Json => json(report),
        Output::Text | Output::Prometheus => {
            let colour = logging::colour(std::io::stdout().is_terminal());
            say(timeline::render(report, Look::of_stdout(colour)).as_bytes())
        }
    };
    if let Some(path) = page {
        match std::fs::write(path, html::render(report)) {
            Ok(()) => tracing::info!(path = %path.display(), "report written"),
            Err(error) => {
                complain(&format!(
                    "cannot write the report to {}: {error}",
                    path.display()
                ));
                exit = Exit::Failed;
            }
        }
    }
    if let Some(path) = &report.work_dir {
        complain(&format!("the lab is in {}", path.display()));
    }
    if report.ok {
        return exit;
    }
    for check in report.checks.iter().filter(|check| !check.ok) {
        complain(&format!(
            "the drill failed: {}: {}",
            check.name, check.detail
        ));
    }
    if let Some(work) = &report.work_dir {
        for name in ["primary", "secondary"] {
            let log = work.join("lab/logs").join(format!("{name}.log"));
            complain(&format!(
                "{} ends with:\n{}",
                log.display(),
                backstay_lab::child::log_tail(&log, 12)
            ));
        }
    }
    Exit::Failed
}

fn failed(failure: &Failure, output: Output) -> Exit {
    complain(&failure.to_string());
    if output == Output::Json {
        // Whoever reads standard output gets an object in every case.
        json(&serde_json::json!({
            "ok": false,
            "error": failure.error.to_string(),
            "work_dir": failure.work_dir,
        }));
    }
    Exit::Failed
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
    (!folder.is_dir()).then(|| {
        format!(
            "--report {}: there is no folder {}",
            path.display(),
            folder.display()
        )
    })
}

/// Any seed: it is in the report, so that a run can be repeated.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::unwritable;

    #[test]
    fn a_report_without_a_place_is_refused_before_the_drill() {
        let folder = tempfile::tempdir().unwrap();
        assert!(unwritable(&folder.path().join("r.html")).is_none());
        assert!(unwritable(std::path::Path::new("r.html")).is_none());
        assert!(unwritable(folder.path()).unwrap().contains("folder"));
        assert!(
            unwritable(&folder.path().join("no/r.html"))
                .unwrap()
                .contains("no folder")
        );
    }
}
