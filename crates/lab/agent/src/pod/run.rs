//! One run of a container: from the start of its process until nothing of it is left.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Probe;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::Worker;
use super::container::Prepared;
use crate::exec::exit_code;
use crate::groups::Group;
use crate::launch::{self, Started, start_error};
use crate::log::Log;
use crate::probe::{Plan, ProbeFailure, Streak};
use crate::status::{Ended, State};

/// After the end of a container, how long its log may stay open (another process may hold it) before it is
/// taken to be complete.
const LOG_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a container is ended that has not ended itself.
struct Unhealthy {
    why: String,
    grace: Option<Duration>,
}

impl Worker {
    /// Starts the container and stays until it has ended. Answers with how, and how long it ran.
    pub(super) async fn run_once(
        &self,
        prepared: &Prepared,
        run: u32,
        last: Option<Ended>,
    ) -> (Ended, Duration) {
        let name = &prepared.container.name;
        let (began, started) = (Instant::now(), Utc::now());
        let (mut process, group, log) = match self.start(prepared, run) {
            Ok(running) => running,
            Err(error) => {
                let ended = Ended {
                    exit_code: 128,
                    reason: "StartError".to_owned(),
                    message: error.to_string(),
                    started: Some(started),
                    finished: Utc::now(),
                    id: String::new(),
                };
                self.record_end(name, run, last, &ended);
                return (ended, Duration::ZERO);
            }
        };
        let id = format!("process://{}", process.pid().unwrap_or_default());
        let probed = |probe: &Option<Probe>| probe.is_some();
        let container = &prepared.container;
        self.change_container(name, |state| {
            state.image = container.image.clone().unwrap_or_default();
            state.state = State::Running { started };
            state.last = last.clone();
            state.starts = run + 1;
            state.started = !probed(&container.startup_probe);
            state.ready = state.started && !probed(&container.readiness_probe);
            state.id = id.clone();
        });

        let mut message = String::new();
        let status = tokio::select! {
            status = process.wait() => status,
            unhealthy = self.watch_over(prepared) => {
                message = unhealthy.why;
                let by = Instant::now() + unhealthy.grace.unwrap_or_else(|| self.grace());
                self.end_process(&mut process, &group, by).await
            }
            () = self.ending() => {
                let by = Instant::now() + Duration::from_secs(1 << 31);
                self.end_process(&mut process, &group, by).await
            }
        };
        // Whatever it has started goes with it, as in a container.
        drop(group);
        let mark = prepared.surroundings.folder.display().to_string();
        self.context.runtime.groups.sweep(mark).await;
        if tokio::time::timeout(LOG_DRAIN_TIMEOUT, log).await.is_err() {
            tracing::warn!(pod = %self.about.pod, "the output of a container that has ended is held");
        }
        self.places.ended(name);
        let ended = ended(status, message, started, id);
        self.record_end(name, run, last, &ended);
        (ended, began.elapsed())
    }

    fn start(
        &self,
        prepared: &Prepared,
        run: u32,
    ) -> Result<(Started, Group, tokio::task::JoinHandle<()>), StartError> {
        let surroundings = &prepared.surroundings;
        let name = &prepared.container.name;
        let log = Log::new(&self.logs(name), run).map_err(StartError::Log)?;
        let program = prepared.arguments.first().map_or("", String::as_str);
        let (process, output) = launch::start(surroundings, &prepared.arguments)
            .map_err(|error| StartError::of(program, &surroundings.directory, error))?;
        let pid = process.pid().ok_or(StartError::NoId)?;
        let group = self.context.runtime.groups.adopt(pid);
        let group = group.map_err(StartError::Group)?;
        self.places.started(name, surroundings.clone(), log.clone());
        let writing = tokio::spawn(async move { log.write(output).await });
        Ok((process, group, writing))
    }

    fn record_end(&self, name: &str, run: u32, last: Option<Ended>, ended: &Ended) {
        self.change_container(name, |state| {
            state.state = State::Ended(ended.clone());
            state.last = last;
            state.starts = run + 1;
            state.ready = false;
            state.started = false;
        });
    }

    /// SIGTERM, then SIGKILL by `by`, or sooner where the pod is to end sooner.
    async fn end_process(
        &self,
        process: &mut Started,
        group: &Group,
        by: Instant,
    ) -> std::io::Result<ExitStatus> {
        group.signal_leader(Signal::SIGTERM);
        let mut end = self.end.subscribe();
        loop {
            let granted = *end.borrow_and_update();
            let by = granted.map_or(by, |granted| granted.min(by));
            tokio::select! {
                status = process.wait() => return status,
                () = tokio::time::sleep_until(by) => break,
                _ = end.changed() => {}
            }
        }
        group.signal(Signal::SIGKILL);
        process.wait().await
    }

    /// Probes the container. Done when it has to be ended.
    async fn watch_over(&self, prepared: &Prepared) -> Unhealthy {
        let container = &prepared.container;
        let name = &container.name;
        if let Some(probe) = &container.startup_probe {
            if let Err(unhealthy) = self.until_decided(prepared, probe, "startup", true).await {
                return unhealthy;
            }
            let ready = container.readiness_probe.is_none();
            self.change_container(name, |state| {
                state.started = true;
                state.ready = ready;
            });
        }
        let readiness = async {
            if let Some(probe) = &container.readiness_probe {
                self.readiness(prepared, probe).await;
            }
            std::future::pending::<Unhealthy>().await
        };
        let liveness = async {
            if let Some(probe) = &container.liveness_probe {
                let alive = self.until_decided(prepared, probe, "liveness", false).await;
                if let Err(unhealthy) = alive {
                    return unhealthy;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            unhealthy = readiness => unhealthy,
            unhealthy = liveness => unhealthy,
        }
    }

    async fn readiness(&self, prepared: &Prepared, probe: &Probe) {
        let plan = Plan::of(probe);
        let (mut streak, mut asked, mut was_ready) = (Streak::default(), 0, false);
        tokio::time::sleep(plan.delay).await;
        loop {
            let answer = self.ask(&plan, prepared, "readiness").await;
            if let Some(ready) = streak.take(answer.is_ok(), &plan) {
                was_ready |= ready;
                let name = &prepared.container.name;
                let changed = self.change_container(name, |state| state.ready = ready);
                if let Err(why) = answer
                    && changed
                {
                    let message = format!("Readiness probe failed: {why}");
                    self.warn(Some(name), "Unhealthy", &message);
                }
            }
            let wait = if was_ready {
                plan.period
            } else {
                plan.eager(asked)
            };
            asked += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks until the answer is no often enough; or until it is yes, where that is enough.
    async fn until_decided(
        &self,
        prepared: &Prepared,
        probe: &Probe,
        kind: &str,
        once: bool,
    ) -> Result<(), Unhealthy> {
        let plan = Plan::of(probe);
        let mut streak = Streak::default();
        let mut frozen = self.context.runtime.groups.frozen();
        tokio::time::sleep(plan.delay).await;
        loop {
            // What is frozen cannot answer, and is not to be ended for that.
            let _ = frozen.wait_for(|frozen| !frozen).await;
            let answer = self.ask(&plan, prepared, kind).await;
            if *frozen.borrow() || frozen.has_changed().unwrap_or(false) {
                frozen.mark_unchanged();
                streak = Streak::default();
                continue;
            }
            match streak.take(answer.is_ok(), &plan) {
                Some(true) if once => return Ok(()),
                Some(false) => {
                    let why = answer.err().map(|it| it.to_string()).unwrap_or_default();
                    let name = &prepared.container.name;
                    let grace = probe.termination_grace_period_seconds;
                    let why = format!("Container {name} failed {kind} probe: {why}");
                    self.warn(Some(name), "Unhealthy", &why);
                    return Err(Unhealthy {
                        why,
                        grace: grace
                            .and_then(|s| u64::try_from(s).ok())
                            .map(Duration::from_secs),
                    });
                }
                _ => {}
            }
            tokio::time::sleep(plan.period).await;
        }
    }

    async fn ask(&self, plan: &Plan, prepared: &Prepared, kind: &str) -> Result<(), ProbeFailure> {
        let prober = &self.context.prober;
        let asked = prober.ask(plan, &prepared.container, &prepared.surroundings);
        let answer = asked.await;
        if let Err(why) = &answer {
            tracing::debug!(pod = %self.about.pod, kind, %why, "a probe fails");
        }
        answer
    }
}

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot keep a log: {0}")]
    Log(#[source] std::io::Error),
    #[error("{}", start_error(.program, .directory, .source))]
    Program {
        program: String,
        directory: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("it has no id")]
    NoId,
    #[error("its process group cannot be recorded: {0}")]
    Group(#[source] std::io::Error),
}

impl StartError {
    fn of(program: &str, directory: &Path, source: std::io::Error) -> Self {
        Self::Program {
            program: program.to_owned(),
            directory: directory.to_owned(),
            source,
        }
    }
}

fn ended(
    status: std::io::Result<ExitStatus>,
    message: String,
    started: DateTime<Utc>,
    id: String,
) -> Ended {
    let (exit_code, message) = match status {
        Ok(status) => (exit_code(status), message),
        Err(error) => (255, format!("its end was not seen: {error}")),
    };
    Ended {
        exit_code,
        reason: if exit_code == 0 { "Completed" } else { "Error" }.to_owned(),
        message,
        started: Some(started),
        finished: Utc::now(),
        id,
    }
}
