//! Query jobs: searches that go on while the client is away, and answers that wait for it.
//!
//! A job belongs to the node that began it. It ends when it was not polled for [`JOB_IDLE_TIMEOUT`], so that
//! clients that are gone hold nothing; how many jobs there are and how many bytes of answers wait are
//! bounded, and how many run at once is the engine's. Times come in as arguments, so that nothing here
//! looks at a clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_search::SearchError as ExecutionError;
use backstay_search::{Limits, Progress, Query, QueryResult, Stats, TimeRange, allocated};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::engine::Row;
use crate::http::error::ApiError;
use crate::memory::{MemoryBudget, MemoryPermit, MemoryUse};
use crate::{Engine, RepositoryName, SearchError};

/// A job that was not polled for so long ends.
pub(super) const JOB_IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// How often idle jobs are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Jobs on one node, running, waiting or done.
const MAX_JOBS: usize = 100;

/// What one job may use. Ten thousand rows is what LogScale gives at most.
const LIMITS: Limits = Limits {
    memory: 128 << 20,
    rows: 10_000,
    time: Duration::MAX,
};

/// A job to begin.
pub(super) struct NewJob {
    pub(super) repository: RepositoryName,
    pub(super) query: Query,
    pub(super) range: TimeRange,
    /// Now, in ms since 1970.
    pub(super) now_ms: i64,
    /// The memory of the query, once it is taken.
    pub(super) held: Option<MemoryPermit>,
}

/// The jobs of a node.
pub(super) struct Jobs {
    table: Mutex<Table>,
    /// Bytes that answers may have together.
    room: usize,
}

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Job>,
    kept_bytes: usize,
    /// Somebody looks for idle jobs.
    is_swept: bool,
}

struct Job {
    polled: Polled,
    polled_at: Instant,
    begun_at: Instant,
    progress: watch::Receiver<Progress>,
    /// Ends the search when the job is dropped.
    _stop: DropGuard,
}

/// What a poll sees.
#[derive(Clone)]
pub(super) struct Polled {
    pub(super) repository: RepositoryName,
    pub(super) is_aggregate: bool,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) state: State,
    pub(super) progress: Progress,
    /// Since the job began; up to its end, once it is done.
    pub(super) took: Duration,
}

/// How a job stands.
#[derive(Clone)]
pub(super) enum State {
    /// It searches, or waits for its turn.
    Running,
    /// It has found everything.
    Done(Arc<Answer>),
    /// It has no answer.
    Failed(Arc<SearchError>),
    /// It had an answer that did not fit in addition to those of others.
    TooLarge {
        /// Length of the answer in bytes.
        bytes: usize,
    },
}

/// An answer that waits.
pub(super) struct Answer {
    /// The rows as JSON.
    pub(super) rows: Vec<Box<RawValue>>,
    /// The names of all fields, in alphabetical order.
    pub(super) fields: Vec<String>,
    /// How much was read for it, and skipped.
    pub(super) stats: Stats,
    /// What the rows leave out.
    pub(super) warnings: Vec<String>,
    /// Bytes of the rows.
    pub(super) bytes: usize,
    /// The memory of all this, as long as a job or a poll has it.
    held: MemoryPermit,
}

impl Answer {
    /// Writes down what was found; takes the memory for it. Computes for long.
    fn new(result: QueryResult, mut held: MemoryPermit) -> Result<Self, SearchError> {
        let mut fields = HashSet::new();
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in result.events {
            let mut more = 0;
            for name in row.keys() {
                if !fields.contains(name) {
                    more += NAME_OVERHEAD_BYTES + allocated(name.len());
                    fields.insert(name.clone());
                }
            }
            let Some(row) = raw(&row) else { continue };
            bytes += row.get().len();
            more += size_of::<Box<RawValue>>() + allocated(row.get().len());
            held.grow(more).map_err(|_| ExecutionError::NoMemory {
                what: "the answer",
                bytes: more,
            })?;
            rows.push(row);
        }
        let mut fields: Vec<String> = fields.into_iter().collect();
        fields.sort_unstable();
        Ok(Self {
            rows,
            fields,
            stats: result.stats,
            warnings: result.warnings,
            bytes,
            held,
        })
    }
}

/// What a name takes in addition to its text.
const NAME_OVERHEAD_BYTES: usize = 64;

/// A row as JSON; a map of texts and numbers always is.
fn raw(row: &Row) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(row).ok()
}

/// What a job's search works with.
struct Begun {
    id: String,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
    /// Nobody looks for idle jobs yet: the caller must.
    must_sweep: bool,
}

/// Begins a job; answers with its id.
pub(super) fn start(jobs: &Arc<Jobs>, engine: &Engine, job: NewJob) -> Result<String, ApiError> {
    start_as(new_id(), jobs, engine, job)
}

/// Begins a job that another node has begun under this id.
pub(super) fn start_as(
    id: String,
    jobs: &Arc<Jobs>,
    engine: &Engine,
    job: NewJob,
) -> Result<String, ApiError> {
    let Some(begun) = jobs.begin_as(id, &job, Instant::now()) else {
        return Err(ApiError::too_many(format!(
            "this node has {MAX_JOBS} query jobs already; end some with DELETE, or wait for {} s",
            JOB_IDLE_TIMEOUT.as_secs()
        )));
    };
    if begun.must_sweep {
        tokio::spawn(sweep(jobs.clone()));
    }
    let id = begun.id.clone();
    let engine = engine.clone();
    let jobs = jobs.clone();
    tokio::spawn(async move {
        let work = answer(&engine, job, begun.progress);
        tokio::select! {
            biased;
            () = begun.stop.cancelled() => {}
            answer = work => jobs.finish(&begun.id, answer, Instant::now()),
        }
    });
    Ok(id)
}

/// Searches, and writes down what was found.
async fn answer(
    engine: &Engine,
    job: NewJob,
    progress: watch::Sender<Progress>,
) -> Result<Answer, SearchError> {
    let result = engine
        .search_watched(&job.repository, job.query, job.range, LIMITS, progress)
        .await?;
    drop(job.held);
    let held = engine.memory().nothing(MemoryUse::Searches);
    let written = tokio::task::spawn_blocking(move || Answer::new(result, held)).await;
    written.unwrap_or_else(|error| {
        Err(SearchError::Execution(ExecutionError::Stopped {
            detail: error.to_string(),
        }))
    })
}

fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Ends idle jobs, until there are none.
async fn sweep(jobs: Arc<Jobs>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        if jobs.sweep(Instant::now()) == 0 {
            return;
        }
    }
}

impl Jobs {
    /// No jobs; the answers of those to come may have half of the memory of searches.
    pub(super) fn new(memory: &MemoryBudget) -> Self {
        Self {
            table: Mutex::default(),
            room: memory.share(MemoryUse::Searches) / 2,
        }
    }

    /// Whether there is a job of this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.table.lock().jobs.contains_key(id)
    }

    #[cfg(test)]
    fn begin(&self, job: &NewJob, now: Instant) -> Option<Begun> {
        self.begin_as(new_id(), job, now)
    }

    /// Makes an entry for a job; `None` when there are too many.
    fn begin_as(&self, id: String, job: &NewJob, now: Instant) -> Option<Begun> {
        let mut table = self.table.lock();
        table.drop_idle(now);
        if table.jobs.len() >= MAX_JOBS {
            return None;
        }
        let stop = CancellationToken::new();
        let (progress, watched) = watch::channel(Progress::default());
        let end_ms = match job.range.end_ms {
            i64::MAX => job.now_ms,
            end_ms => end_ms,
        };
        let entry = Job {
            polled: Polled {
                repository: job.repository.clone(),
                is_aggregate: job.query.is_aggregate(),
                start_ms: job.range.start_ms,
                end_ms,
                state: State::Running,
                progress: Progress::default(),
                took: Duration::ZERO,
            },
            polled_at: now,
            begun_at: now,
            progress: watched,
            _stop: stop.clone().drop_guard(),
        };
        table.jobs.insert(id.clone(), entry);
        let must_sweep = !std::mem::replace(&mut table.is_swept, true);
        Some(Begun {
            id,
            progress,
            stop,
            must_sweep,
        })
    }

    /// How a job stands; keeps it alive.
    pub(super) fn poll(
        &self,
        repository: &RepositoryName,
        id: &str,
        now: Instant,
    ) -> Option<Polled> {
        let mut table = self.table.lock();
        table.drop_idle(now);
        let job = table.of(repository, id)?;
        job.polled_at = now;
        let mut polled = job.polled.clone();
        if matches!(polled.state, State::Running) {
            polled.progress = *job.progress.borrow();
            polled.took = now.saturating_duration_since(job.begun_at);
        }
        Some(polled)
    }

    /// Ends a job; whether there was one.
    pub(super) fn remove(&self, repository: &RepositoryName, id: &str) -> bool {
        let mut table = self.table.lock();
        let is_there = table.of(repository, id).is_some();
        if is_there {
            table.remove(id);
        }
        is_there
    }

    /// Takes a search's outcome.
    fn finish(&self, id: &str, answer: Result<Answer, SearchError>, now: Instant) {
        let mut table = self.table.lock();
        let room = self.room.saturating_sub(table.kept_bytes);
        let Some(job) = table.jobs.get_mut(id) else {
            return;
        };
        job.polled.progress = *job.progress.borrow();
        job.polled.took = now.saturating_duration_since(job.begun_at);
        let mut kept = 0;
        job.polled.state = match answer {
            Ok(answer) if answer.held.bytes() > room => State::TooLarge {
                bytes: answer.bytes,
            },
            Ok(answer) => {
                kept = answer.held.bytes();
                State::Done(Arc::new(answer))
            }
            Err(error) => State::Failed(Arc::new(error)),
        };
        table.kept_bytes += kept;
    }

    /// Ends jobs that nobody polls; how many are left. With none left, the next job's start says
    /// that it must be called again.
    fn sweep(&self, now: Instant) -> usize {
        let mut table = self.table.lock();
        table.drop_idle(now);
        table.is_swept = !table.jobs.is_empty();
        table.jobs.len()
    }
}

impl Table {
    fn of(&mut self, repository: &RepositoryName, id: &str) -> Option<&mut Job> {
        let job = self.jobs.get_mut(id);
        job.filter(|job| job.polled.repository == *repository)
    }

    fn remove(&mut self, id: &str) {
        if let Some(job) = self.jobs.remove(id)
            && let State::Done(answer) = &job.polled.state
        {
            self.kept_bytes = self.kept_bytes.saturating_sub(answer.held.bytes());
        }
    }

    fn drop_idle(&mut self, now: Instant) {
        let idle: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, job)| now.saturating_duration_since(job.polled_at) >= JOB_IDLE_TIMEOUT)
            .map(|(id, _)| id.clone())
            .collect();
        for id in idle {
            self.remove(&id);
        }
    }
}

#[cfg(test)]
pub(super) use tests::written_for_tests;

#[cfg(test)]
mod tests;
