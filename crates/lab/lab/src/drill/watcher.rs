//! A `backstay watch` beside the drill, as one runs beside every pair.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backstay_failover::timing::{PhaseName, Report};
use chrono::DateTime;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin};

use super::DrillError;
use super::clock::{SLOW_POLL_INTERVAL, Wait};
use super::hands::Hands;
use crate::child::log_tail;
use crate::client::http_client;

/// Longest wait for its status.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What it writes when a run begins.
const BEGINS: &str = "the failover begins";

/// A watch that runs. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Watch {
    child: Child,
    log: PathBuf,
    url: String,
    http: reqwest::Client,
    /// Held open: its end is the child's end.
    _parent_pipe: Option<ChildStdin>,
}

/// How long its failover took.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timing {
    /// When the run began, by the wall clock.
    pub(super) began_ms: i64,
    report: Report,
}

impl Timing {
    /// A phase: from when to when, by the wall clock.
    pub(super) fn phase(&self, name: PhaseName) -> Option<(i64, i64)> {
        let find = |name| self.report.phases.iter().find(|it| it.name == name);
        let millis = |ms: u64| i64::try_from(ms).unwrap_or_default();
        // The act begins with the run, of which the log says when that was.
        let origin = self.began_ms - millis(find(PhaseName::Act)?.start_ms);
        let phase = find(name)?;
        let start = origin + millis(phase.start_ms);
        Some((start, start + millis(phase.duration_ms)))
    }
}

impl Watch {
    /// Starts `backstay watch` and waits until it listens.
    pub(super) async fn start(hands: &Hands, log: &Path) -> Result<Self, DrillError> {
        let failed = |source| DrillError::Command {
            command: "watch".to_owned(),
            source,
        };
        let output = OpenOptions::new().create(true).append(true).open(log);
        let mut child = hands
            .command(&["watch", "--listen=127.0.0.1:0", "--verify-every=0"])
            .args(["--output=json", "--log-format=json"])
            .env("BACKSTAY_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(output.map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let watchdog = child.stdin.take();
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out)
                .read_line(&mut line)
                .await
                .map_err(failed)?;
        }
        let listening: Value = serde_json::from_str(&line).unwrap_or_default();
        let watch = Self {
            child,
            log: log.to_owned(),
            url: format!(
                "http://{}/status",
                listening["listen"].as_str().unwrap_or_default()
            ),
            http: http_client().map_err(|error| failed(std::io::Error::other(error)))?,
            _parent_pipe: watchdog,
        };
        if listening["listen"].is_string() {
            Ok(watch)
        } else {
            Err(watch.broken("does not say where it listens"))
        }
    }

    fn broken(&self, how: &str) -> DrillError {
        DrillError::Watch {
            how: how.to_owned(),
            log: self.log.clone(),
            end: log_tail(&self.log, 12),
        }
    }

    /// What its last round saw; nothing, when it is too busy to say.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) async fn status(&mut self) -> Result<Value, DrillError> {
        match self.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return Err(self.broken(&format!("ended ({status})"))),
            Err(error) => return Err(self.broken(&error.to_string())),
        }
        let asked = self
            .http
            .get(&self.url)
            .timeout(REQUEST_TIMEOUT)
            .send()
            .await;
        match asked {
            Ok(answer) => Ok(answer.json().await.unwrap_or_default()),
            Err(_) => Ok(Value::Null),
        }
    }

    /// Waits until it sees a primary that answers, and a standby that nothing keeps from taking over.
    pub(super) async fn on_guard(&mut self) -> Result<(), DrillError> {
        let wait = Wait::new("the watch's word that all is well");
        loop {
            let status = self.status().await?;
            if on_guard(&status) {
                return Ok(());
            }
            wait.tick(SLOW_POLL_INTERVAL, || status.to_string()).await?;
        }
    }

    /// How long its failover took, once it has written that down.
    pub(super) fn timing(&self) -> Option<Timing> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut began = None;
        let mut timing = None;
        for line in text.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if line["message"] == BEGINS {
                let at = line["timestamp"].as_str().unwrap_or_default();
                began = DateTime::parse_from_rfc3339(at).ok();
            }
            if let Some(report) = line["timing"].as_str() {
                timing = serde_json::from_str(report).ok();
            }
        }
        Some(Timing {
            began_ms: began?.timestamp_millis(),
            report: timing?,
        })
    }
}

fn on_guard(status: &Value) -> bool {
    let none = |name: &str| status[name].as_array().is_some_and(Vec::is_empty);
    let sees = status["observations"].as_array().into_iter().flatten();
    status["state"] == "healthy"
        && none("readiness_blockers")
        && none("pending_failures")
        && sees.into_iter().any(|it| it["saw"] == "answers")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use backstay_failover::timing::{Moments, PhaseName, Report};
    use serde_json::json;

    use super::{Timing, on_guard};

    #[test]
    fn phases_are_told_by_the_wall_clock() {
        let moments = Moments {
            failed: Some(1_000),
            degraded: Some(3_000),
            began: Some(6_000),
            operator: Some(6_100),
            ..Moments::default()
        };
        let timing = Timing {
            // Its log and its report need not have the same clock.
            began_ms: 106_000,
            report: Report::new("run", &moments).unwrap(),
        };
        let phase = |name| timing.phase(name);
        assert_eq!(phase(PhaseName::Detection), Some((101_000, 103_000)));
        assert_eq!(phase(PhaseName::Holdoff), Some((103_000, 106_000)));
        assert_eq!(phase(PhaseName::Act), Some((106_000, 106_100)));
        assert_eq!(phase(PhaseName::Recovery), None);
    }

    #[test]
    fn a_watch_that_has_seen_nothing_yet_is_not_on_guard() {
        let seen = json!({ "state": "healthy", "readiness_blockers": [], "pending_failures": [],
            "observations": [{ "from": "our own probe", "saw": "answers" }] });
        assert!(on_guard(&seen));
        for (name, value) in [
            ("state", json!("failed-over")),
            ("observations", json!([])),
            ("observations", json!([{ "from": "a", "saw": "refused" }])),
            ("readiness_blockers", json!(["no node is declared"])),
            (
                "pending_failures",
                json!([{ "step": "seal", "why": "denied" }]),
            ),
        ] {
            let mut other = seen.clone();
            other[name] = value;
            assert!(!on_guard(&other), "{other}");
        }
        assert!(!on_guard(&serde_json::Value::Null));
    }
}
