//! The run log: a ConfigMap for each run, in the standby's cluster.
//!
//! In Kubernetes and not in the bucket, because that is where the marks and the lock are: one
//! authority that compares and sets, which whoever may run the runbook reaches (a storage account is
//! often closed to everybody outside its region's network), and which outlives the deletion of either
//! bucket's snapshots. `kubectl get configmap -l logscale.dr/run` lists it.

use std::collections::BTreeMap;
use std::time::Duration;

use backstay_cluster::{ClusterError, Recorded, Region};
use backstay_kinds::label;
use backstay_retry::{Deadline, WriteGuard};
use tokio::time::sleep;

use crate::engine::{self, LogError};
use crate::lock::{Held, NotHeld};
use crate::record::Record;

/// Runs that are kept; older ones that are over are deleted when one begins.
const MAX_KEPT_RUNS: usize = 10;
/// Longest wait for one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// For so long it is tried to write something down.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two tries.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Why a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cluster does not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// There is none of this name.
    #[error("there is no run {0}; `backstay runs list` shows those that there are")]
    NotFound(String),
    /// It is not a record.
    #[error("configmap {name} is no record of a run: {problem}; kubectl delete configmap {name}")]
    NoRecord {
        /// The ConfigMap's name.
        name: String,
        /// What is wrong with what it holds.
        problem: String,
    },
}

/// The runs of a pair.
#[derive(Clone, Debug)]
pub struct Runs {
    region: Region,
}

/// The ConfigMap of a run.
fn name_of(run: &str) -> String {
    format!("backstay-{run}")
}

impl Runs {
    /// Those that the standby's cluster has.
    pub fn new(region: Region) -> Self {
        Self { region }
    }

    fn soon() -> Deadline {
        Deadline::after(CALL_TIMEOUT)
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn list(&self) -> Result<Vec<Record>, RunError> {
        let mut all = Vec::new();
        for found in self.region.records(label::RUN, Self::soon()).await? {
            all.push(read(&found.name, &found.text)?);
        }
        all.sort_by(|a: &Record, b| (b.began_ms, &b.run).cmp(&(a.began_ms, &a.run)));
        Ok(all)
    }

    /// One, with the version that it was read at.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn show(&self, run: &str) -> Result<(Record, String), RunError> {
        let found = self.region.read_record(&name_of(run), Self::soon()).await?;
        let found = found.ok_or_else(|| RunError::NotFound(run.to_owned()))?;
        Ok((read(&found.name, &found.text)?, found.version))
    }

    /// Deletes what of these, the newest first, is over and old.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn prune(&self, all: &[Record]) -> Result<(), RunError> {
        for old in all.iter().skip(MAX_KEPT_RUNS).filter(|it| it.is_over()) {
            let name = name_of(&old.run);
            self.region.delete_record(&name, Self::soon()).await?;
        }
        Ok(())
    }

    /// Where a run of this name is written down, from the version that it was read at; `None` begins
    /// it.
    pub fn log(&self, version: Option<String>, held: Held) -> RunLog {
        RunLog {
            region: self.region.clone(),
            version,
            held,
        }
    }
}

fn read(name: &str, text: &str) -> Result<Record, RunError> {
    serde_json::from_str(text).map_err(|error| RunError::NoRecord {
        name: name.to_owned(),
        problem: error.to_string(),
    })
}

/// A run's record, and the lock.
#[derive(Debug)]
pub struct RunLog {
    region: Region,
    version: Option<String>,
    held: Held,
}

impl RunLog {
    /// Authorizes changes while the run is ours.
    pub fn guard(&self) -> WriteGuard {
        self.held.guard()
    }

    /// Gives the lock back.
    pub async fn end(self) {
        self.held.release().await;
    }
}

impl engine::Log for RunLog {
    async fn write(&mut self, record: &Record) -> Result<(), LogError> {
        let text =
            serde_json::to_string(record).map_err(|error| LogError::Unwritten(error.into()))?;
        let name = name_of(&record.run);
        let labels = BTreeMap::from([
            (label::MANAGED_BY, "backstay"),
            (label::COMPONENT, record.command.as_str()),
            (label::RUN, "true"),
        ]);
        let until = Deadline::after(WRITE_TIMEOUT);
        let mut unknown = false;
        loop {
            let version = self.version.as_deref();
            let written = self
                .region
                .write_record(
                    &name,
                    version,
                    &labels,
                    &text,
                    Deadline::after(CALL_TIMEOUT),
                )
                .await;
            match written {
                Ok(Recorded::Written { version }) => {
                    self.version = Some(version);
                    return Ok(());
                }
                Ok(Recorded::Changed) => {
                    // A try whose answer was lost may have been ours.
                    let found = self
                        .region
                        .read_record(&name, Deadline::after(CALL_TIMEOUT))
                        .await;
                    match found {
                        Ok(Some(found)) if unknown && found.text == text => {
                            self.version = Some(found.version);
                            return Ok(());
                        }
                        Ok(_) => {
                            let why = format!("somebody else has gone on with run {}", record.run);
                            return Err(LogError::Lost(why.into()));
                        }
                        Err(error) if until.passed() => {
                            return Err(LogError::Unwritten(error.into()));
                        }
                        Err(_) => {}
                    }
                }
                Err(error) if error.is_unreachable() && !until.passed() => {
                    tracing::warn!(%error, "the run is not written down yet");
                    unknown = true;
                }
                Err(error) => return Err(LogError::Unwritten(error.into())),
            }
            sleep(RETRY_DELAY).await;
        }
    }

    async fn hold(&mut self) -> Result<(), LogError> {
        let until = Deadline::after(WRITE_TIMEOUT);
        loop {
            match self.held.hold().await {
                Ok(()) => return Ok(()),
                Err(error @ NotHeld::By { .. }) => return Err(LogError::Lost(error.into())),
                Err(NotHeld::Cluster(error)) if error.is_unreachable() && !until.passed() => {
                    tracing::warn!(%error, "whether the lock is ours is not known yet");
                }
                Err(error) => return Err(LogError::Unwritten(error.into())),
            }
            sleep(RETRY_DELAY).await;
        }
    }
}
