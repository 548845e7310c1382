//! How far the standby's nodes have come with their recovery, by their logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstay_cluster::loader::{Recovery, Stage};
use backstay_cluster::{Pod, Region};
use backstay_retry::Deadline;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// The container that has the log.
const CONTAINER: &str = "humio";
/// A log that is silent for so long is asked for again.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Follows the logs of pods, each in a task of its own.
#[derive(Debug)]
pub struct Recoveries {
    region: Region,
    followed: Mutex<BTreeMap<String, Followed>>,
    running: AtomicBool,
}

#[derive(Debug)]
struct Followed {
    recovery: Arc<Mutex<Recovery>>,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recoveries {
    /// Follows nobody yet.
    pub fn new(region: Region) -> Self {
        Self {
            region,
            followed: Mutex::default(),
            running: AtomicBool::new(false),
        }
    }

    /// Whether a node's container was seen running.
    pub(crate) fn running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Follows these pods, and no others any more; says how far the one is that is furthest.
    pub fn follow(&self, pods: &[Pod]) -> Recovery {
        if pods.iter().any(|pod| pod.ready || pod.phase == "Running") {
            self.running.store(true, Ordering::Release);
        }
        let mut followed = self.followed.lock();
        followed.retain(|uid, _| pods.iter().any(|pod| pod.uid == *uid));
        for pod in pods {
            followed.entry(pod.uid.clone()).or_insert_with(|| {
                let recovery = Arc::new(Mutex::new(Recovery::default()));
                let task = tokio::spawn(read(
                    self.region.clone(),
                    pod.name.clone(),
                    recovery.clone(),
                ));
                Followed { recovery, task }
            });
        }
        let all = followed.values().map(|it| it.recovery.lock().clone());
        all.max_by_key(Recovery::stage).unwrap_or_default()
    }
}

async fn read(region: Region, pod: String, recovery: Arc<Mutex<Recovery>>) {
    let mut log = region.follow_log(&pod, CONTAINER);
    loop {
        match log.next(Deadline::after(MAX_SILENCE)).await {
            Ok(Some(line)) => {
                let mut recovery = recovery.lock();
                if recovery.take(&line).is_some() {
                    tracing::info!(pod, line, "recovery");
                }
                if recovery.stage() == Stage::Patched {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(pod, %error, "the log");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
