//! Whoever types the runbook's commands; and, where it is asked to, dies of SIGKILL during one
//! and goes on with `backstay runs resume`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr};

use super::DrillError;
use super::hands::Hands;

/// Where a command is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The runbook's command, such as `promote`.
    pub command: String,
    /// The step of it.
    pub step: String,
}

/// A step of the runbook, as its command reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The step's id in the runbook.
    pub id: String,
    /// The phase of the manual that it belongs to.
    pub phase: u8,
    /// The step in words.
    pub name: String,
    /// The step's last state, such as `done`.
    pub state: String,
    /// When it began, in milliseconds since 1970.
    pub began_ms: Option<i64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// How often it has acted.
    pub attempts: u32,
}

/// A run of one of the runbook's commands, as that reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The runbook's command, such as `promote`.
    pub command: String,
    /// The run's name, once the command has said it.
    pub run: Option<String>,
    /// Whether all of it is done.
    pub ok: bool,
    /// For how long no region took writes.
    pub no_writes_ms: Option<u64>,
    /// The run's steps, in their order.
    pub steps: Vec<Step>,
    /// The step at which whoever ran it was killed.
    #[serde(default)]
    pub killed_at: Option<String>,
}

/// Whoever types the commands.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) hands: Hands,
    /// Where the standard error of the commands goes.
    pub(super) log: PathBuf,
    pub(super) target: Option<Target>,
}

/// How a command ended.
struct Ended {
    status: ExitStatus,
    /// The object on its standard output.
    report: Option<Value>,
    /// The run's name, once the command has said it.
    run: Option<String>,
    killed: bool,
    /// The last lines of its standard error.
    last_lines: Vec<String>,
}

impl Operator {
    /// Runs a command to its end. Returns what came of it; `on_progress` is called with what it is at.
    ///
    /// # Errors
    /// When it does not do what it is for.
    pub(super) async fn run(
        &self,
        command: &str,
        flags: &[&str],
        on_progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Run, DrillError> {
        let target = self.target.as_ref().filter(|it| it.command == command);
        let target = target.map(|it| it.step.as_str());
        let mut arguments = vec![command, "--yes", "--output", "ndjson"];
        arguments.extend(flags);
        let mut ended = self.typed(command, &arguments, target, on_progress).await?;
        let mut killed_at = None;
        if ended.killed {
            killed_at = target.map(str::to_owned);
            let run = ended.run.clone().ok_or_else(|| {
                self.failed(command, &ended, "it was killed before it said its name")
            })?;
            on_progress(&format!("killed; `backstay runs resume {run}`"));
            let arguments = ["runs", "resume", &run, "--yes", "--output", "ndjson"];
            ended = self.typed(command, &arguments, None, on_progress).await?;
        }
        let report = ended.report.clone().unwrap_or_default();
        if !ended.status.success() {
            let problem = match (report["error"].as_str(), report["next"].as_str()) {
                (Some(error), Some(next)) => format!("{error}; next: {next}"),
                (Some(error), None) => error.to_owned(),
                _ => ended.last_lines.join("\n"),
            };
            return Err(self.failed(command, &ended, &problem));
        }
        let run: Run = serde_json::from_value(report)
            .map_err(|error| self.failed(command, &ended, &error.to_string()))?;
        Ok(Run { killed_at, ..run })
    }

    fn failed(&self, command: &str, ended: &Ended, problem: &str) -> DrillError {
        DrillError::Runbook {
            command: command.to_owned(),
            code: ended.status.code().unwrap_or(-1),
            problem: format!("{problem}; its log is {}", self.log.display()),
        }
    }

    /// Types one command, and reads what it says.
    async fn typed(
        &self,
        command: &str,
        arguments: &[&str],
        target: Option<&str>,
        on_progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Ended, DrillError> {
        let failed = |source| DrillError::Command {
            command: arguments.join(" "),
            source,
        };
        let mut child = self
            .hands
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // Until it has ended: waiting for it would close it.
        let _parent_pipe = child.stdin.take();
        let keep = keep(child.stderr.take(), command, &self.log);
        let follow = follow(&mut child, command, target, on_progress);
        let (last_lines, followed) = tokio::try_join!(keep, follow).map_err(failed)?;
        let status = child.wait().await.map_err(failed)?;
        Ok(Ended {
            status,
            report: followed.report,
            run: followed.run,
            killed: followed.killed,
            last_lines,
        })
    }

    /// Runs `backstay verify`. Says how it ended, and what is wrong.
    pub(super) async fn verify(&self) -> Result<Verified, DrillError> {
        let arguments = ["verify", "--output", "json"];
        let failed = |source| DrillError::Command {
            command: arguments.join(" "),
            source,
        };
        let mut command = self.hands.command(&arguments);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        // Until it has ended: waiting for it would close it.
        let _parent_pipe = child.stdin.take();
        let output = child.wait_with_output().await.map_err(failed)?;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut problems: Vec<String> = report["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|it| it["outcome"] == "fails")
            .map(|it| {
                let text = |name: &str| it[name].as_str().unwrap_or_default();
                format!("{}: {}", text("check"), text("sentence"))
            })
            .collect();
        if !report.is_object() {
            problems.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Verified {
            exit_code: output.status.code().unwrap_or(-1),
            problems,
        })
    }
}

/// What `backstay verify` said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The exit code of the command.
    pub exit_code: i32,
    /// The checks that failed, a sentence each.
    pub problems: Vec<String>,
}

/// What a command writes to its standard output with `--output ndjson`, a line each, as long as it goes
/// on; behind them comes the report.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Run { run: String },
    Step { step: String, state: LineState },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineState {
    Begins,
    Already,
    /// What nothing hangs on here.
    #[serde(other)]
    Other,
}

/// What a command said on its standard output.
#[derive(Default)]
struct Followed {
    run: Option<String>,
    report: Option<Value>,
    killed: bool,
}

/// Follows a command by its progress until it ends; kills it when it comes to the target.
async fn follow(
    child: &mut Child,
    command: &str,
    target: Option<&str>,
    on_progress: &(dyn Fn(&str) + Sync),
) -> std::io::Result<Followed> {
    let mut followed = Followed::default();
    let Some(out) = child.stdout.take() else {
        return Ok(followed);
    };
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(Line::Run { run }) => followed.run = Some(run),
            Ok(Line::Step {
                step,
                state: LineState::Begins | LineState::Already,
            }) => {
                on_progress(&format!("{command}: {step}"));
                if !followed.killed && target == Some(step.as_str()) {
                    child.start_kill()?;
                    followed.killed = true;
                }
            }
            Ok(Line::Step { .. }) => {}
            Err(_) => followed.report = serde_json::from_str(&line).ok(),
        }
    }
    Ok(followed)
}

/// Keeps what a command says to people in the log; gives back the last lines of it.
async fn keep(err: Option<ChildStderr>, command: &str, log: &Path) -> std::io::Result<Vec<String>> {
    let mut last_lines = Vec::new();
    let Some(err) = err else {
        return Ok(last_lines);
    };
    let mut log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut lines = BufReader::new(err).lines();
    while let Some(line) = lines.next_line().await? {
        writeln!(log, "{command}: {line}")?;
        if last_lines.len() == MAX_LAST_LINES {
            last_lines.remove(0);
        }
        last_lines.push(line);
    }
    Ok(last_lines)
}

/// The last lines of standard error that are kept for the message of a failure.
const MAX_LAST_LINES: usize = 6;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{DrillError, Hands, Line, LineState, Operator, Target};

    /// A `backstay` that says what the real one says, in lines of shell.
    fn operator(folder: &std::path::Path, script: &str, target: Option<Target>) -> Operator {
        let program = folder.join("backstay");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        Operator {
            hands: Hands {
                program,
                secluded: true,
                variables: BTreeMap::new(),
            },
            log: folder.join("runbook.log"),
            target,
        }
    }

    fn begins(step: &str) -> String {
        format!(r#"echo '{{"event":"step","step":"{step}","state":"begins"}}'"#)
    }

    const DONE: &str = r#"echo '{"command":"promote","run":"promote-1","ok":true,"no_writes_ms":null,"steps":[]}'"#;

    #[test]
    fn progress_is_told_from_the_report() {
        let line = |text: &str| serde_json::from_str::<Line>(text).ok();
        let step = |state| {
            Some(Line::Step {
                step: "pools".to_owned(),
                state,
            })
        };
        let of = |state| {
            line(&format!(
                r#"{{"event":"step","run":"promote-1","step":"pools","state":"{state}","detail":""}}"#
            ))
        };
        assert_eq!(of("begins"), step(LineState::Begins));
        assert_eq!(of("already"), step(LineState::Already));
        assert_eq!(of("done"), step(LineState::Other));
        assert!(matches!(
            line(r#"{"event":"run","run":"promote-1","command":"promote"}"#),
            Some(Line::Run { run }) if run == "promote-1"
        ));
        assert_eq!(line(r#"{"command":"promote","ok":true}"#), None);
    }

    #[tokio::test]
    async fn a_command_that_is_killed_at_a_step_is_resumed_by_the_runs_name() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "echo \"$@\" >> {0}/typed\n\
             case $2 in runs) {DONE};; *) echo '{{\"event\":\"run\",\"run\":\"promote-1\"}}'\n\
             {begins_ready}; {begins}; sleep 60 >/dev/null 2>&1; echo too late >> {0}/typed;; esac",
            folder.path().display(),
            begins_ready = begins("pools-ready"),
            begins = begins("pools"),
        );
        let target = Target {
            command: "promote".to_owned(),
            step: "pools".to_owned(),
        };
        let operator = operator(folder.path(), &script, Some(target));
        let run = operator.run("promote", &[], &|_| {}).await.unwrap();
        assert_eq!(run.killed_at.as_deref(), Some("pools"));
        let typed = std::fs::read_to_string(folder.path().join("typed")).unwrap();
        let lines: Vec<&str> = typed.lines().collect();
        assert_eq!(
            lines,
            [
                "--exit-with-parent promote --yes --output ndjson",
                "--exit-with-parent runs resume promote-1 --yes --output ndjson"
            ]
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why_and_what_to_type_next() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo '{"ok":false,"error":"it refuses","next":"do this"}'; exit 3"#;
        let operator = operator(folder.path(), script, None);
        let error = operator.run("failback", &[], &|_| {}).await.unwrap_err();
        let DrillError::Runbook { code, problem, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(code, 3);
        assert!(
            problem.starts_with("it refuses; next: do this"),
            "{problem}"
        );
    }

    #[tokio::test]
    async fn what_verify_finds_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo '{"findings":[{"check":"a","outcome":"ok"},{"check":"snapshot","outcome":"fails","sentence":"none"}]}'; exit 3"#;
        let verified = operator(folder.path(), script, None)
            .verify()
            .await
            .unwrap();
        assert_eq!(verified.exit_code, 3);
        assert_eq!(verified.problems, ["snapshot: none"]);
    }
}
