//! The status of a pod, from what its containers do. Follows the kubelet (`getPhase` in
//! `pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/status/generate.go`), so that `kubectl get pods`
//! shows what one knows.

use std::net::Ipv4Addr;

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Value, json};

pub(crate) const CREATING: &str = "ContainerCreating";
pub(crate) const CRASH_LOOP: &str = "CrashLoopBackOff";
pub(crate) const CONFIG_ERROR: &str = "CreateContainerConfigError";

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    pub fn of(text: Option<&str>) -> Self {
        match text {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }

    pub fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// A run of a container that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub exit_code: i32,
    pub reason: String,
    pub message: String,
    /// Not known where an agent before this one started it and did not come to say so.
    pub started: Option<DateTime<Utc>>,
    pub finished: DateTime<Utc>,
    pub id: String,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Waiting { reason: String, message: String },
    Running { started: DateTime<Utc> },
    Ended(Ended),
}

impl State {
    pub fn waiting(reason: &str, message: impl Into<String>) -> Self {
        Self::Waiting {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// A container as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerState {
    pub name: String,
    pub image: String,
    pub state: State,
    /// The run before the present one.
    pub last: Option<Ended>,
    /// How often it has been started.
    pub starts: u32,
    pub ready: bool,
    /// Past its startup probe.
    pub started: bool,
    /// Which process it is.
    pub id: String,
}

impl ContainerState {
    pub fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            state: State::waiting(CREATING, ""),
            last: None,
            starts: 0,
            ready: false,
            started: false,
            id: String::new(),
        }
    }

    pub fn restarts(&self) -> u32 {
        self.starts.saturating_sub(1)
    }

    /// What an agent before this one has reported of the container. What ran then has ended since,
    /// nobody saw how.
    pub fn recovered(
        name: &str,
        image: &str,
        status: Option<&PodStatus>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut recovered = Self::new(name, image);
        let statuses = status.and_then(|status| status.container_statuses.as_ref());
        let known = statuses.and_then(|all| all.iter().find(|known| known.name == name));
        let Some(known) = known else {
            return recovered;
        };
        let moment = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            let millis = time.map(|time| time.0.as_millisecond());
            millis.and_then(DateTime::from_timestamp_millis)
        };
        let ended = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
            let ended = state?.terminated.as_ref()?;
            Some(Ended {
                exit_code: ended.exit_code,
                reason: ended.reason.clone().unwrap_or_default(),
                message: ended.message.clone().unwrap_or_default(),
                started: moment(ended.started_at.as_ref()),
                finished: moment(ended.finished_at.as_ref()).unwrap_or(now),
                id: ended.container_id.clone().unwrap_or_default(),
            })
        };
        recovered.last = ended(known.last_state.as_ref());
        let running = known
            .state
            .as_ref()
            .and_then(|state| state.running.as_ref());
        if let Some(running) = running {
            recovered.state = State::Ended(Ended {
                exit_code: 137,
                reason: "Error".to_owned(),
                message: "The node agent that had started the container has ended, and with it the container".to_owned(),
                started: moment(running.started_at.as_ref()),
                finished: now,
                id: known.container_id.clone().unwrap_or_default(),
            });
        } else if let Some(ended) = ended(known.state.as_ref()) {
            recovered.state = State::Ended(ended);
        } else if let Some(last) = recovered.last.clone() {
            // It waited to be started again.
            recovered.state = State::Ended(last);
        }
        let has_run = matches!(recovered.state, State::Ended(_));
        let restarts = u32::try_from(known.restart_count).unwrap_or(0);
        recovered.starts = restarts.saturating_add(u32::from(has_run));
        recovered
    }
}

/// A pod as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodState {
    pub policy: RestartPolicy,
    pub address: Option<Ipv4Addr>,
    pub host: Ipv4Addr,
    pub started: DateTime<Utc>,
    pub deleting: bool,
    pub containers: Vec<ContainerState>,
}

impl PodState {
    /// Where in its life it is.
    pub fn phase(&self) -> &'static str {
        let (mut waiting, mut running, mut stopped, mut succeeded) = (0, 0, 0, 0);
        for container in &self.containers {
            match &container.state {
                State::Running { .. } => running += 1,
                State::Ended(ended) => {
                    stopped += 1;
                    succeeded += usize::from(ended.exit_code == 0);
                }
                State::Waiting { .. } if container.last.is_some() => stopped += 1,
                State::Waiting { .. } => waiting += 1,
            }
        }
        match () {
            () if waiting > 0 || self.containers.is_empty() => "Pending",
            () if running > 0 => "Running",
            () if self.policy == RestartPolicy::Always && !self.deleting => "Running",
            () if stopped == succeeded => "Succeeded",
            () if self.policy == RestartPolicy::OnFailure && !self.deleting => "Running",
            () => "Failed",
        }
    }

    /// The document, which is the whole `status`. A condition that is as in `before`, the status
    /// before this one, keeps the moment since when it is.
    pub fn document(&self, before: &Value, now: DateTime<Utc>) -> Value {
        let phase = self.phase();
        let unready: Vec<&str> = self
            .containers
            .iter()
            .filter(|container| !self.is_ready(container))
            .map(|container| container.name.as_str())
            .collect();
        let ready = match phase {
            "Succeeded" => Err(("PodCompleted", String::new())),
            "Failed" => Err(("PodFailed", String::new())),
            _ if unready.is_empty() => Ok(()),
            _ => Err((
                "ContainersNotReady",
                format!("containers with unready status: [{}]", unready.join(" ")),
            )),
        };
        let conditions: Vec<Value> = [
            ("PodReadyToStartContainers", &Ok(())),
            ("Initialized", &Ok(())),
            ("Ready", &ready),
            ("ContainersReady", &ready),
            ("PodScheduled", &Ok(())),
        ]
        .into_iter()
        .map(|(kind, so)| condition(kind, so, before, now))
        .collect();
        let statuses: Vec<Value> = self
            .containers
            .iter()
            .map(|container| self.container(container))
            .collect();
        let mut document = json!({
            "phase": phase,
            "hostIP": self.host,
            "hostIPs": [{ "ip": self.host }],
            "startTime": seconds(self.started),
            "qosClass": "BestEffort",
            "conditions": conditions,
            "containerStatuses": statuses,
            // What another has written here once is not so any more.
            "reason": null,
            "message": null,
        });
        if let Some(address) = self.address {
            document["podIP"] = json!(address);
            document["podIPs"] = json!([{ "ip": address }]);
        }
        document
    }

    fn is_ready(&self, container: &ContainerState) -> bool {
        // Whoever is asked to end gets no new work.
        let running = matches!(container.state, State::Running { .. });
        running && container.ready && !self.deleting
    }

    fn container(&self, container: &ContainerState) -> Value {
        let state = match &container.state {
            State::Waiting { reason, message } if message.is_empty() => {
                json!({ "waiting": { "reason": reason } })
            }
            State::Waiting { reason, message } => {
                json!({ "waiting": { "reason": reason, "message": message } })
            }
            State::Running { started } => {
                json!({ "running": { "startedAt": seconds(*started) } })
            }
            State::Ended(ended) => over(ended),
        };
        let mut status = json!({
            "name": container.name,
            "image": container.image,
            "imageID": container.image,
            "ready": self.is_ready(container),
            "started": container.started && matches!(container.state, State::Running { .. }),
            "restartCount": container.restarts(),
            "state": state,
            "lastState": container.last.as_ref().map_or_else(|| json!({}), over),
        });
        if !container.id.is_empty() {
            status["containerID"] = json!(container.id);
        }
        status
    }
}

fn over(ended: &Ended) -> Value {
    let mut over = json!({
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "finishedAt": seconds(ended.finished),
        "containerID": ended.id,
    });
    if let Some(started) = ended.started {
        over["startedAt"] = json!(seconds(started));
    }
    if !ended.message.is_empty() {
        over["message"] = json!(ended.message);
    }
    json!({ "terminated": over })
}

/// A condition of an object: true, or why not; since when, if it was so in `before`.
pub(crate) fn condition(
    kind: &str,
    so: &Result<(), (&str, String)>,
    before: &Value,
    now: DateTime<Utc>,
) -> Value {
    let status = if so.is_ok() { "True" } else { "False" };
    let known = before["conditions"].as_array().and_then(|all| {
        all.iter()
            .find(|known| known["type"] == kind && known["status"] == status)
    });
    let since = known.and_then(|known| known["lastTransitionTime"].as_str());
    let since = since.map_or_else(|| seconds(now), str::to_owned);
    let mut condition = json!({
        "type": kind,
        "status": status,
        "lastProbeTime": null,
        "lastTransitionTime": since,
    });
    if let Err((reason, message)) = so {
        condition["reason"] = json!(reason);
        if !message.is_empty() {
            condition["message"] = json!(message);
        }
    }
    condition
}

/// A moment as Kubernetes writes it.
pub(crate) fn seconds(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
