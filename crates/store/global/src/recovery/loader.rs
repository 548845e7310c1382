//! Finding, reading and, for a standby, recovering the state to start from.

mod from_source;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use backstay_bucket::{Bucket, BucketConfig};
use backstay_journal::{Journal, Reading, StreamId, TryAppend, WriterId};
use rand::RngExt;
use uuid::Uuid;

use crate::event::Event;
use crate::identity;
use crate::log::{CommitError, GlobalLog, encode};
use crate::recovery::choose::{Choice, Findings, Found, OwnJournal, Refusal, choose};
use crate::recovery::error::LoadError;
use crate::recovery::probe::{self, Probe};
use crate::recovery::{LossReport, Place, Replace};
use crate::snapshot::{self, SnapshotRef};
use crate::state::{EpochOffset, State};
use crate::store::journal_over;
pub(super) use from_source::source_state;

/// How often loading begins again because another node of the cluster was faster.
const MAX_ROUNDS: u32 = 5;
/// The longest first wait for the snapshot of another node's recovery; it doubles each time.
const MAX_FIRST_WAIT: Duration = Duration::from_secs(2);
/// How often that snapshot is looked for.
const SNAPSHOT_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Where to recover from.
#[derive(Clone, Debug)]
pub struct RecoverFrom {
    /// The source's bucket. It is opened only when it is needed: a node that has a state of its
    /// own starts although the other region is dead.
    pub bucket: BucketConfig,
    /// What to replace in the regions of buckets (`…_RECOVER_FROM_REPLACE_REGION`).
    pub replace_region: Option<Replace>,
    /// What to replace in the names of containers (`…_RECOVER_FROM_REPLACE_BUCKET`).
    pub replace_bucket: Option<Replace>,
    /// Recover although the source cannot be sealed; nothing at all is written to it. Only when it
    /// is surely dead, because what it acknowledges afterwards is lost; or to rehearse.
    pub without_seal: bool,
}

/// What a start needs to know.
#[derive(Clone)]
pub struct LoadOptions {
    /// This cluster's own bucket, open.
    pub own: Bucket,
    /// The recovery source, if one is configured.
    pub recover_from: Option<RecoverFrom>,
    /// The node's data folder, in which it keeps a copy of the newest snapshot.
    pub data_dir: PathBuf,
    /// In whose name entries are written: new for every process start.
    pub writer: WriterId,
    /// Ingest partitions of a new cluster.
    pub partitions: u32,
    /// Whether each bucket keeps its own endpoint (`BUCKET_STORAGE_MULTIPLE_ENDPOINTS`).
    pub multiple_endpoints: bool,
    /// Bounds and counts what is read of the source's journal.
    pub source_reading: Reading,
}

/// Where a state came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// The snapshot in the data folder.
    Local,
    /// The newest snapshot in the cluster's own bucket.
    Own,
    /// The cluster's own journal, from its beginning.
    Journal,
    /// Nothing: the cluster was created.
    Created,
    /// The state of another cluster, recovered from its bucket.
    Recovered {
        /// The id of its [`crate::RecoveryRecord`].
        recovery: String,
        /// What only the lost hosts had.
        loss: LossReport,
    },
}

/// A state to start from, at the end of the log as it was a moment ago.
pub struct Loaded {
    /// The log, following the state.
    pub log: GlobalLog,
    /// The journal in this cluster's own bucket.
    pub journal: Journal,
    /// Where the state came from.
    pub origin: Origin,
    /// The source's bucket, when it was opened.
    pub source: Option<Bucket>,
    /// The lines of `DataSnapshotLoader`, as they were logged.
    pub lines: Vec<String>,
}

/// Loads the state to start from; recovers it from another cluster's bucket if there is none.
///
/// # Errors
/// See [`LoadError`]. Nothing is loaded in part: either there is a whole state or an error that
/// names the object.
pub async fn load(options: &LoadOptions) -> Result<Loaded, LoadError> {
    let proposal = Uuid::new_v4().simple().to_string();
    let cluster_id = identity::establish(&options.own, &proposal).await?;
    let mut loader = Loader {
        options,
        journal: journal_over(&options.own, options.writer.clone()),
        cluster_id,
        source: None,
        lines: Vec::new(),
        waits: 0,
    };
    for _ in 0..MAX_ROUNDS {
        loader.lines.clear();
        if let Some((log, origin)) = loader.round().await? {
            tracing::info!(cluster_id = loader.cluster_id, position = %log.state().position(), ?origin, "state loaded");
            return Ok(Loaded {
                log,
                journal: loader.journal,
                origin,
                source: loader.source,
                lines: loader.lines,
            });
        }
    }
    Err(LoadError::Raced)
}

struct Loader<'a> {
    options: &'a LoadOptions,
    journal: Journal,
    cluster_id: String,
    source: Option<Bucket>,
    lines: Vec<String>,
    /// How often another node's recovery was waited for.
    waits: u32,
}

/// A state that was chosen, or that another round is needed.
type Round<T> = Result<Option<T>, LoadError>;

impl Loader<'_> {
    fn log_line(&mut self, line: String) {
        tracing::info!(target: "DataSnapshotLoader", "{line}");
        self.lines.push(line);
    }

    fn provider(&self) -> &'static str {
        self.options.own.config().provider_name()
    }

    async fn round(&mut self) -> Round<(GlobalLog, Origin)> {
        let local = self.local().await;
        let have_local = local
            .as_ref()
            .is_some_and(|state| state.cluster_id == self.cluster_id);
        self.log_line(format!(
            "Checking bucket storage localAndHttpWereEmpty={}",
            !have_local
        ));
        // First the journal, then the snapshots: a recovery that another node has completed by the
        // time of the probe has a snapshot to be found.
        let found = probe::probe(&self.journal, &self.cluster_id).await?;
        let own = self.newest_own().await?;
        let replayed = match (&found.sealed_by, found.first) {
            (None, Some(0)) if !have_local && own.is_none() && !found.recovering => {
                self.replay(found.term).await?
            }
            _ => None,
        };
        let findings = Findings {
            cluster_id: &self.cluster_id,
            local: local.as_ref().map(|state| Found {
                cluster_id: state.cluster_id.clone(),
                position: state.position(),
            }),
            own: own.as_ref().map(|snapshot| Found {
                cluster_id: snapshot.key.cluster_id.clone(),
                position: snapshot.position(),
            }),
            journal: own_journal(&found, replayed.is_some()),
            recovery: self.options.recover_from.is_some(),
        };
        let choice = choose(&findings);
        let candidates: Vec<(EpochOffset, &str)> = [
            (own.as_ref().map(SnapshotRef::position), self.provider()),
            (
                local.as_ref().filter(|_| have_local).map(State::position),
                "local",
            ),
        ]
        .into_iter()
        .filter_map(|(position, source)| Some((position?, source)))
        .collect();
        match choice {
            Choice::Local | Choice::Own => {
                self.select(candidates, found.first);
                let (state, origin) = match (choice, local, own) {
                    (Choice::Local, Some(state), _) => (state, Origin::Local),
                    (_, _, Some(snapshot)) => {
                        let state = snapshot::read(&self.options.own, &snapshot.key).await?;
                        (state, Origin::Own)
                    }
                    _ => return Ok(None),
                };
                let log = GlobalLog::open_held(self.journal.clone(), state, found.term);
                self.follow(log, origin, &found).await
            }
            Choice::Replay => Ok(replayed.map(|log| (log, Origin::Journal))),
            Choice::Recover
                if found.sealed_by.is_none()
                    && found.recovered_last
                    && self.finished_by_another(None).await? =>
            {
                Ok(None)
            }
            Choice::Recover => self.recover(&found).await,
            Choice::Create => self.create().await,
            Choice::Refuse(Refusal::Fenced { by, term, .. }) => {
                // The snapshot may be of a recovery that another node has begun since the probe.
                let now = probe::probe(&self.journal, &self.cluster_id).await?;
                if now == found {
                    Err(LoadError::fenced(by, term))
                } else {
                    Ok(None)
                }
            }
            Choice::Refuse(Refusal::SnapshotsGone) => Err(LoadError::SnapshotsGone {
                container: self.options.own.config().container.clone(),
                cluster_id: self.cluster_id.clone(),
            }),
        }
    }

    /// The state in the data folder. The bucket has all that it has, so a damaged one is passed
    /// over.
    async fn local(&mut self) -> Option<State> {
        match snapshot::read_mirror(&self.options.data_dir).await {
            Ok(Some(state)) if state.cluster_id != self.cluster_id => {
                tracing::warn!(
                    found = state.cluster_id,
                    ours = self.cluster_id,
                    "the local snapshot is of another cluster; not used"
                );
                Some(state)
            }
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the local snapshot is not used");
                None
            }
        }
    }

    async fn newest_own(&mut self) -> Result<Option<SnapshotRef>, LoadError> {
        let provider = self.provider();
        let container = self.options.own.config().container.clone();
        self.log_line(format!(
            "Trying to fetch a global snapshot from bucket storage {provider} if one exists in bucket={container}"
        ));
        let newest = snapshot::newest(&self.options.own, Some(&self.cluster_id)).await?;
        self.log_line(match &newest {
            None => format!("Fetching global snapshot from bucket storage {provider} found no snapshot to fetch."),
            Some(found) => fetched(provider, found.position()),
        });
        Ok(newest)
    }

    /// The lines about the choice. The last candidate of the latest position is better.
    fn select(&mut self, mut candidates: Vec<(EpochOffset, &str)>, first: Option<u64>) {
        candidates.sort_by_key(|(position, _)| *position);
        let list: Vec<String> = candidates
            .iter()
            .map(|(position, source)| format!("{position},{source})"))
            .collect();
        let offset = match first {
            Some(first) => format!("Some(KafkaMinOffset({first}))"),
            None => "None".to_owned(),
        };
        // The parentheses are the source's own.
        self.log_line(format!(
            "Snapshots to choose from, last is better...; List({}) using kafkaMinOffsetOpt of {offset}",
            list.join(", (")
        ));
        let (position, source) = candidates.pop().unwrap_or_default();
        self.log_line(format!(
            "Selecting snapshot from source={source} with epochOffset={position}"
        ));
    }

    /// Brings a state of our own to the end of the log.
    async fn follow(
        &mut self,
        log: GlobalLog,
        origin: Origin,
        found: &Probe,
    ) -> Round<(GlobalLog, Origin)> {
        let error = match log.refresh().await {
            Ok(()) => {
                // To append into a hole would be to begin another history.
                let end = log.state().offset;
                self.journal.expect_end(StreamId::Global, end).await?;
                let there = match end.checked_sub(1) {
                    Some(last) => log.expect_entry(last).await,
                    None => Ok(()),
                };
                return match there {
                    Ok(()) => Ok(Some((log, origin))),
                    Err(CommitError::Contradicted { at, object }) => Err(LoadError::Ahead {
                        container: self.options.own.config().container.clone(),
                        at,
                        object,
                        remedy: match origin {
                            Origin::Local => {
                                "to go on from the bucket as it is, move global-data-snapshot.json out of the data folder of each node"
                            }
                            _ => {
                                "to go on from the state before it, delete the newest snapshot below globalsnapshots/"
                            }
                        },
                    }),
                    Err(error) => Err(error.into()),
                };
            }
            Err(error @ CommitError::Stale { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        // The log goes on from a later snapshot: what lies between is trimmed, or the cluster was
        // recovered again.
        let state = log.state();
        if self.newer_than(&state).await? {
            return Ok(None);
        }
        let end = probe::end(&self.journal, StreamId::Global).await?;
        let again = probe::recovered_between(&self.journal, state.offset, end)
            .await
            .map_err(LoadError::Log)?;
        if again && self.options.recover_from.is_some() {
            // A later recovery of this cluster that did not come to its snapshot.
            if self.finished_by_another(Some(&state)).await? {
                return Ok(None);
            }
            return self.recover(found).await;
        }
        if origin == Origin::Local {
            return Err(LoadError::SnapshotsGone {
                container: self.options.own.config().container.clone(),
                cluster_id: self.cluster_id.clone(),
            });
        }
        Err(error.into())
    }

    /// Whether the cluster's own bucket has a snapshot that is newer than `state`.
    async fn newer_than(&self, state: &State) -> Result<bool, LoadError> {
        let newest = snapshot::newest(&self.options.own, Some(&self.cluster_id)).await?;
        Ok(newest.is_some_and(|newest| newest.position() > state.position()))
    }

    /// Gives another node time for the snapshot of a recovery that it has begun; `false` when it
    /// did not come. To start over at once would be safe, but two nodes that start together would
    /// undo each other's recoveries for ever.
    async fn finished_by_another(&mut self, before: Option<&State>) -> Result<bool, LoadError> {
        let longest = MAX_FIRST_WAIT.saturating_mul(1 << self.waits.min(5));
        self.waits += 1;
        let until = Instant::now() + longest.mul_f64(rand::rng().random_range(0.5..1.0));
        let nothing = State::before_creation(&self.cluster_id);
        loop {
            if self.newer_than(before.unwrap_or(&nothing)).await? {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(SNAPSHOT_POLL_INTERVAL).await;
        }
    }

    /// The state from the cluster's own journal alone, if it holds everything since the creation. The
    /// cluster was found to hold it with the term `held`.
    async fn replay(&self, held: u64) -> Result<Option<GlobalLog>, LoadError> {
        let state = State::before_creation(&self.cluster_id);
        let log = GlobalLog::open_held(self.journal.clone(), state, held);
        match log.refresh().await {
            Ok(()) if log.state().is_created() => Ok(Some(log)),
            Ok(()) | Err(CommitError::Stale { .. } | CommitError::Fenced { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A new cluster. Of several nodes that start at once, one creates it.
    async fn create(&mut self) -> Round<(GlobalLog, Origin)> {
        let bucket = Place::of(self.options.own.config()).entity(1, &self.cluster_id, false);
        let created = Event::ClusterCreated {
            cluster_id: self.cluster_id.clone(),
            bucket,
            partitions: self.options.partitions,
        };
        let state = State::before_creation(&self.cluster_id);
        state
            .check(&created)
            .map_err(|reject| LoadError::Log(reject.into()))?;
        let payload = encode(Uuid::new_v4(), &[created]).map_err(LoadError::Log)?;
        backstay_failpoint::hit("global.create.before_append");
        match self
            .journal
            .try_append(StreamId::Global, state.offset, state.term, payload)
            .await?
        {
            TryAppend::Appended { .. } => {}
            TryAppend::Lost(_) | TryAppend::Fenced(_) | TryAppend::TrimmedBehind => {
                return Ok(None);
            }
        }
        backstay_failpoint::hit("global.create.after_append");
        let log = self.replay(0).await?;
        Ok(log.map(|log| (log, Origin::Created)))
    }
}

fn fetched(provider: &str, position: EpochOffset) -> String {
    format!(
        "Fetched global snapshot from bucket storage {provider} found snapshot with epochOffset={position}"
    )
}

fn own_journal(found: &Probe, replayable: bool) -> OwnJournal {
    match (&found.sealed_by, found.first) {
        (Some(by), _) => OwnJournal::Sealed {
            by: by.clone(),
            term: found.term,
        },
        (None, None) => OwnJournal::Empty,
        (None, Some(_)) if found.recovering => OwnJournal::Recovering,
        (None, Some(_)) => OwnJournal::Ours { replayable },
    }
}
