//! How an agent is set up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::back_off::BackOff;
use crate::network::Network;

/// How an agent is set up.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Its own folder: pods, claims, records. Made where it is missing. Its path stands for mount
    /// paths, also within lines of shell, so it is of letters, digits and `/._-` only.
    pub folder: PathBuf,
    /// Where pods get their addresses from.
    pub network: Network,
    /// What stands for an image, without its tag: a program and its first arguments.
    pub images: BTreeMap<String, Vec<String>>,
    /// The kubeconfig that pods of a service account get, in `KUBECONFIG`.
    pub kubeconfigs: BTreeMap<String, PathBuf>,
    /// How long containers that end wait to be started again.
    pub back_off: BackOff,
    /// What the processes get to end when the agent is stopped, if their pods do not want less.
    pub stop_grace: Duration,
    /// How often the nodes are said to be well.
    pub heartbeat: Duration,
}

impl AgentOptions {
    /// No images, no kubeconfigs; back-off as the kubelet's, five seconds to stop, heartbeats every
    /// five minutes, which is the kubelet's too (`nodeStatusReportFrequency`).
    pub fn new(folder: PathBuf, network: Network) -> Self {
        Self {
            folder,
            network,
            images: BTreeMap::new(),
            kubeconfigs: BTreeMap::new(),
            back_off: BackOff::KUBELET,
            stop_grace: Duration::from_secs(5),
            heartbeat: Duration::from_secs(300),
        }
    }
}
