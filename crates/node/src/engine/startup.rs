//! From nothing to a node that knows the state: load or recover it, join the cluster, write a new
//! cluster's first snapshot. What a recovered cluster had acknowledged and not put into segments is
//! taken in later, while the node serves (see `import`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use backstay_bucket::Bucket;
use backstay_failpoint::hit;
use backstay_global::recovery::{LoadError, LoadOptions, Loaded, Origin, Place, RecoverFrom, load};
use backstay_global::{Event, Repository, RepositoryId, State};
use backstay_journal::WriterId;
use backstay_search::cache::DiskCache;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};

use super::buckets::Buckets;
use super::recovered::RecoveredTails;
use super::running::{GlobalError, Rotation, Running, signature};
use super::snapshots::SnapshotError;
use super::tails::Tails;
use super::troubles::Troubles;
use crate::config::NodeConfig;
use crate::memory::MemoryBudget;
use crate::metrics::Metrics;
use crate::own_log::REPOSITORY as DEFAULT_REPOSITORY;

/// Where a host's lasting name is kept in the data folder.
const HOST_FILE: &str = "host-id";

/// Why a node does not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This cluster's own bucket cannot be opened.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// The state cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// `global` cannot be written.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// The first snapshot cannot be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file of the data folder cannot be used.
    #[error("{path}: {source}; check the data folder's space and permissions (DIRECTORY)")]
    File {
        /// Path of the file in the data folder.
        path: std::path::PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The loaded state has no bucket to write to, or not this cluster's own.
    #[error(
        "the state of cluster {cluster} names no writable bucket; restore its newest snapshot or recover it again"
    )]
    NoWritableBucket {
        /// Id of the cluster that was loaded.
        cluster: String,
    },
}

impl StartError {
    /// Whether the same may succeed later without anybody's help.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Bucket(error) => error.is_retryable(),
            Self::Load(error) => error.is_retryable(),
            Self::Global(error) => {
                error.is_retryable() || matches!(error, GlobalError::Stale { .. })
            }
            Self::Snapshot(error) => error.is_retryable(),
            Self::File { .. } | Self::NoWritableBucket { .. } => false,
        }
    }

    /// Who holds the journal, if that is why.
    pub(crate) fn fence(&self) -> Option<(&str, u64)> {
        match self {
            Self::Load(LoadError::Fenced { by, term, .. })
            | Self::Global(GlobalError::Fenced { by, term }) => Some((by, *term)),
            _ => None,
        }
    }
}

/// Comes up as far as owning partitions, which the keeper's first round does.
pub(crate) async fn start(
    config: &Arc<NodeConfig>,
    metrics: &Arc<Metrics>,
    memory: &MemoryBudget,
    say: &(dyn Fn(String) + Sync),
) -> Result<Running, StartError> {
    let host = host_id(&config.data_dir)?;
    let incarnation = uuid::Uuid::new_v4().simple().to_string();
    say("opening the bucket".to_owned());
    let bucket = Bucket::open(config.bucket.clone()).await?;
    say(match &config.recover_from {
        None => "loading the state".to_owned(),
        Some(from) => format!(
            "loading the state, from container {} if there is none here",
            from.container
        ),
    });
    let loaded = load(&LoadOptions {
        own: bucket.clone(),
        recover_from: config.recover_from.clone().map(|bucket| RecoverFrom {
            bucket,
            replace_region: config.replace_region.clone(),
            replace_bucket: config.replace_bucket.clone(),
            without_seal: config.recover_without_seal,
        }),
        data_dir: config.data_dir.clone(),
        writer: WriterId(signature(&host, &incarnation)),
        partitions: config.tuning.partitions,
        multiple_endpoints: config.multiple_endpoints,
        source_reading: memory.source_reading().clone(),
    })
    .await?;
    hit("node.start.after_load");
    let origin = loaded.origin.clone();
    if config.recover_without_seal && matches!(origin, Origin::Recovered { .. }) {
        tracing::warn!(
            "the source is not sealed: if it is alive, it can still acknowledge events that are not recovered"
        );
    }
    let running = assemble(config, metrics, memory, bucket, loaded, host, incarnation).await?;
    say("joining the cluster".to_owned());
    running.join().await?;
    hit("node.start.after_join");
    running.keep_given().await?;
    match origin {
        Origin::Local | Origin::Own => running.mirror().await?,
        Origin::Created | Origin::Journal => {
            say("writing the first snapshot".to_owned());
            running.snapshot().await?;
        }
        // The recovery has just written both, and the journal leads on from there: with many
        // segments, writing them again would keep the first search waiting.
        Origin::Recovered { .. } => {}
    }
    hit("node.start.after_snapshot");
    Ok(running)
}

async fn assemble(
    config: &Arc<NodeConfig>,
    metrics: &Arc<Metrics>,
    memory: &MemoryBudget,
    bucket: Bucket,
    loaded: Loaded,
    host: String,
    incarnation: String,
) -> Result<Running, StartError> {
    let own = loaded.log.read(|state| {
        let own = state.writable_bucket().map(|own| own.id);
        own.ok_or_else(|| StartError::NoWritableBucket {
            cluster: state.cluster_id.clone(),
        })
    })?;
    let folder = config.data_dir.join("segment-cache");
    let resources = memory.for_searches(config.tuning.search_threads);
    let cache = match config.tuning.cache_bytes {
        0 => None,
        bytes => {
            let opened = DiskCache::new(folder.clone(), bytes, resources.columns.clone()).await;
            Some(opened.map_err(|source| StartError::File {
                path: folder,
                source,
            })?)
        }
    };
    let known = loaded.log.state();
    let journal = loaded.journal.reading_as(memory.reading().clone());
    let given = config.recover_from.clone();
    let buckets = Buckets::new(own, bucket.clone(), given, &known.buckets);
    Ok(Running {
        config: Arc::clone(config),
        metrics: Arc::clone(metrics),
        bucket,
        buckets,
        tails: Tails::new(journal.clone(), memory.clone()),
        recovered: RecoveredTails::new(memory.clone()),
        memory: memory.clone(),
        journal,
        global: loaded.log,
        host,
        incarnation,
        resources,
        cache,
        owned: RwLock::new(BTreeMap::new()),
        announced: Mutex::new(BTreeMap::new()),
        proof: Mutex::new(Instant::now()),
        alive: RwLock::default(),
        dead: RwLock::default(),
        looked_for_tokens: tokio::sync::Mutex::new(None),
        took: Notify::new(),
        ended: AtomicBool::new(false),
        asked_to_look: Mutex::new(None),
        look: Notify::new(),
        started_ms: chrono::Utc::now().timestamp_millis(),
        troubles: Troubles::default(),
        next_partition: Rotation::default(),
        next_peer: Rotation::default(),
        building: Semaphore::new(super::publish::PARALLEL_BUILDS),
    })
}

impl Running {
    /// Says that this host is up; the first one also makes the default repository, and the
    /// entity of the cluster's own bucket follows the environment.
    async fn join(&self) -> Result<(), GlobalError> {
        let committed = self
            .global
            .commit(|state| {
                let mut events = vec![self.host_up(state, 0)];
                events.extend(self.bucket_changed(state));
                if state.repository_named(DEFAULT_REPOSITORY).is_none()
                    && state.view_named(DEFAULT_REPOSITORY).is_none()
                {
                    events.push(Event::RepositoryCreated {
                        repository: Repository {
                            id: RepositoryId::from(uuid::Uuid::now_v7().simple().to_string()),
                            name: DEFAULT_REPOSITORY.to_owned(),
                            description: Some("The cluster's own events".to_owned()),
                            retention_days: None,
                            retention_bytes: None,
                            created_ms: self.started_ms,
                            extra: Default::default(),
                        },
                    });
                }
                Ok(events)
            })
            .await?;
        tracing::info!(host = self.host, incarnation = self.incarnation, seq = ?committed.seq, "joined the cluster");
        self.prove();
        Ok(())
    }

    /// This cluster's own bucket may be reached in another way than when its entity was written.
    fn bucket_changed(&self, state: &State) -> Option<Event> {
        let known = state.bucket(self.buckets.own())?;
        let place = Place::of(self.bucket.config());
        let mut now = place.entity(known.id, &state.cluster_id, false);
        if now.region.is_empty() {
            // Azure's variables name none.
            let region = self.config.region.as_ref().unwrap_or(&known.region);
            now.region.clone_from(region);
        }
        now.extra = known.extra.clone();
        (now != *known).then_some(Event::BucketChanged { bucket: now })
    }
}

/// The host's lasting name, made at the first start on this data folder.
fn host_id(data_dir: &Path) -> Result<String, StartError> {
    let path = data_dir.join(HOST_FILE);
    let failed = |source| StartError::File {
        path: path.clone(),
        source,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        // A crash while it was first written leaves it empty: nobody knows that name yet.
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let id = uuid::Uuid::now_v7().simple().to_string();
    std::fs::write(&path, &id).map_err(failed)?;
    Ok(id)
}
