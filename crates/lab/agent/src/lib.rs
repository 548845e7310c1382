//! The node agent of a region of the lab: it turns pods into processes of this machine, each pod
//! with its own loopback address, and reports what becomes of them as a kubelet does. It is a
//! client of the API server like any other; what the server asks of it in turn (logs, exec,
//! port-forward) goes through [`Runtime`].
//!
//! # What stands for what
//! - A container is a process group; the image names a program, by a table.
//! - The pod's network is an address of loopback. `curl` in a pod takes localhost for it.
//! - There are no mount namespaces, so mount paths are replaced by folders of this machine: in the
//!   values of variables, in commands and in what is run by `kubectl exec` (`paths`).
//!
//! # Nothing is left behind
//! A process has three watchdogs. Its standard input is a pipe from the agent, whose end a program
//! of this project takes for its own. Its group is recorded in the agent's folder, with what tells
//! it from a later one of the same id. And it carries a variable that names its container's
//! folder. The agent ends what is left of a container when its process has ended, and the next
//! agent what was left by one that was killed (`groups`).
//!
//! # What is as in Kubernetes
//! Phases, conditions, reasons and messages of a pod's status; restarts and their back-off; probes
//! (readiness, liveness, startup; http, tcp, exec); environment with references and expansion;
//! the grace of a deletion; logs of the present run and the one before it.
//!
//! # What is left out
//! Init containers (such a pod is refused, with the reason), container hooks, resource limits,
//! security contexts, grpc probes, the kinds of volumes other than emptyDir,
//! persistentVolumeClaim, secret and configMap; a mounted secret does not follow the secret's
//! changes; events other than warnings. Linux only: it reads `/proc`.
//!
//! # Layout
//! Pure: `environment`, `paths`, `back_off`, `status`, `network`, and the deciding parts of
//! `probe`, `log`, `claims`, `groups`, `launch`. Around them: `agent` hears of pods, `pod` runs
//! one, `sources`, `volumes`, `claims`, `nodes` and `warnings` talk to the API server, `exec` and `pty` run
//! commands, [`Runtime`] answers the API server. Nothing polls: only probes, back-off, grace and
//! heartbeats have timers.

mod agent;
mod back_off;
mod claims;
mod environment;
mod exec;
mod groups;
mod launch;
mod log;
mod network;
mod nodes;
mod options;
mod paths;
mod pod;
mod probe;
pub mod proc;
mod pty;
mod runtime;
mod sources;
mod status;
mod volumes;
mod warnings;

pub use agent::Agent;
pub use back_off::BackOff;
pub use groups::MARK;
pub use launch::INHERITED;
pub use network::{Network, NetworkError};
pub use options::AgentOptions;
pub use runtime::{AgentError, Runtime};
