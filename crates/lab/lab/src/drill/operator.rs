//! Whoever types the runbook's commands; and, where it is told, dies of SIGKILL during one
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
    /// The command.
    pub command: String,
    /// The step of it.
    pub step: String,
}

/// A step of the runbook, as its command tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its id.
    pub id: String,
    /// The phase of the manual that it belongs to.
    pub phase: u8,
    /// What it is.
    pub name: String,
    /// How it went.
    pub state: String,
    /// When it began, in milliseconds since 1970.
    pub began_ms: Option<i64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// How often it has acted.
    pub attempts: u32,
}

/// A run of one of the runbook's commands, as that tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The command.
    pub command: String,
    /// The run's name.
    pub run: Option<String>,
    /// Whether all of it is done.
    pub ok: bool,
    /// For how long no region took writes.
    pub no_writes_ms: Option<u64>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The step at which whoever ran it was killed.
    #[serde(default)]
    pub killed_at: Option<String>,
}

/// Whoever types the commands.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) hands: Hands,
    /// What the commands say while they go on.
    pub(super) log: PathBuf,
    pub(super) target: Option<Target>,
}

/// How a command ended.
struct Ended {
    status: ExitStatus,
    /// The object on its standard output.
    told: Option<Value>,
    /// The run's name.
    run: Option<String>,
    killed: bool,
    /// The last lines that it has said.
    said: Vec<String>,
}

impl Operator {
    /// Runs a command to its end. Says what came of it; `tell` is told what it is at.
    ///
    /// # Errors
    /// When it does not do what it is for.
    pub(super) async fn run(
        &self,
        command: &str,
        flags: &[&str],
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Run, DrillError> {
        let target = self.target.as_ref().filter(|it| it.command == command);
        let target = target.map(|it| it.step.as_str());
        let mut arguments = vec![command, "--yes", "--output", "ndjson"];
        arguments.extend(flags);
        let mut ended = self.typed(command, &arguments, target, tell).await?;
        let mut killed_at = None;
        if ended.killed {
            killed_at = target.map(str::to_owned);
            let run = ended.run.clone().ok_or_else(|| {
                self.failed(command, &ended, "it was killed before it said its name")
            })?;
            tell(&format!("killed; `backstay runs resume {run}`"));
            let arguments = ["runs", "resume", &run, "--yes", "--output", "ndjson"];
            ended = self.typed(command, &arguments, None, tell).await?;
        }
        let told = ended.told.clone().unwrap_or_default();
        if !ended.status.success() {
            let problem = match (told["error"].as_str(), told["next"].as_str()) {
                (Some(error), Some(next)) => format!("{error}; next: {next}"),
                (Some(error), None) => error.to_owned(),
                _ => ended.said.join("\n"),
            };
            return Err(self.failed(command, &ended, &problem));
        }
        let run: Run = serde_json::from_value(told)
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
        tell: &(dyn Fn(&str) + Sync),
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
        let follow = follow(&mut child, command, target, tell);
        let (said, followed) = tokio::try_join!(keep, follow).map_err(failed)?;
        let status = child.wait().await.map_err(failed)?;
        Ok(Ended {
            status,
            told: followed.report,
            run: followed.run,
            killed: followed.killed,
            said,
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
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut problems: Vec<String> = told["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|it| it["outcome"] == "fails")
            .map(|it| {
                let text = |name: &str| it[name].as_str().unwrap_or_default();
                format!("{}: {}", text("check"), text("sentence"))
            })
            .collect();
        if !told.is_object() {
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
    /// Its exit code.
    pub exit_code: i32,
    /// What is wrong.
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
    tell: &(dyn Fn(&str) + Sync),
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
                tell(&format!("{command}: {step}"));
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
    let mut said = Vec::new();
    let Some(err) = err else {
        return Ok(said);
    };
    let mut log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut lines = BufReader::new(err).lines();
    while let Some(line) = lines.next_line().await? {
        writeln!(log, "{command}: {line}")?;
        if said.len() == LAST {
            said.remove(0);
        }
        said.push(line);
    }
    Ok(said)
}

/// So many of the last lines are told when it fails.
const LAST: usize = 6;

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
