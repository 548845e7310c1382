//! Searches, streamed or as jobs that are polled.
//!
//! Both spellings of the path are served, `/repositories/` and the older `/dataspaces/`: Humio's
//! own clients still use the latter.
//!
//! A node that does not search, by its role or because it ends, passes them on to one that does; and
//! what is asked of a job, to the node that has it.

pub(super) mod access;
mod jobs;
mod poll;
mod request;
mod stream;
mod ticket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use backstay_search::Limits;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::http::error::ApiError;
use crate::http::peers::{self, NotAnswered, Peers};
use crate::http::{auth, small};
use crate::memory::{MemoryPermit, MemoryUse};
use crate::{Engine, Phase, RepositoryName};
use jobs::{Jobs, NewJob};
use request::Request;
use stream::Format;
use ticket::{Asked, Ticket};

/// Only the memory bounds what a stream may give.
const STREAM_LIMITS: Limits = Limits {
    memory: 256 << 20,
    rows: 10_000_000,
    time: Duration::MAX,
};

/// Queries that are compiled at the same time: that may take a while, and all that waits for it is
/// bounded.
const PARALLEL_COMPILATIONS: usize = 2;

/// What the searches of one node share.
struct Searches {
    jobs: Arc<Jobs>,
    compiling: Semaphore,
}

/// The routes of this part.
pub(super) fn routes(engine: &Engine) -> Router<Engine> {
    let searches = Arc::new(Searches {
        jobs: Arc::new(Jobs::new(engine.memory())),
        compiling: Semaphore::new(PARALLEL_COMPILATIONS),
    });
    let mut router = Router::new();
    for spelling in ["repositories", "dataspaces"] {
        let base = format!("/api/v1/{spelling}/{{repository}}");
        router = router
            .route(&format!("{base}/query"), post(stream_query))
            .route(&format!("{base}/queryjobs"), post(create_job))
            .route(
                &format!("{base}/queryjobs/{{id}}"),
                get(poll_job).delete(cancel_job),
            );
    }
    router
        .layer(from_fn_with_state(engine.clone(), here_or_elsewhere))
        .layer(Extension(searches))
}

/// Longest request of a search.
const MAX_REQUEST_BYTES: usize = 2 << 20;
/// Between two rounds over the nodes that may search.
const ROUND_DELAY: Duration = Duration::from_millis(50);

/// Passes a request on to a node that searches, where this one does not. Searches change nothing,
/// so one that is not answered is asked for elsewhere.
async fn here_or_elsewhere(
    State(engine): State<Engine>,
    Extension(peers): Extension<Peers>,
    Extension(searches): Extension<Arc<Searches>>,
    request: axum::extract::Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let home = Ticket::of_path(parts.uri.path())
        .filter(|ticket| !searches.jobs.has(&ticket.job))
        .and_then(|ticket| engine.home(&ticket.host));
    let starts = matches!(engine.phase(), Phase::Starting(_) | Phase::Failed(_));
    let is_here = engine.searches() && home.is_none();
    let is_answered_here = is_here || starts || peers::is_forwarded(&parts);
    // Another node knows its own administrator. Whoever has no token at all is refused anywhere, and
    // nobody has to read what such a one sends.
    if is_answered_here || auth::token(&parts.headers).is_none() {
        access::require_admin(&engine, &parts.headers).await?;
    }
    let (body, _held) = small::read(&engine, MemoryUse::Searches, MAX_REQUEST_BYTES, body).await?;
    if is_answered_here {
        let request = axum::extract::Request::from_parts(parts, body.into());
        return Ok(next.run(request).await);
    }
    if let Some(url) = home {
        match peers.forward(&url, &parts, body.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => tracing::debug!(?error, "a job is out of reach"),
        }
        if engine.searches() {
            let request = axum::extract::Request::from_parts(parts, body.into());
            return Ok(next.run(request).await);
        }
    }
    let deadline = Instant::now() + engine.hand_over();
    let mut last = None;
    loop {
        for url in engine.searchers() {
            match peers.forward(&url, &parts, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(NotAnswered::NotStored(error) | NotAnswered::Perhaps(error)) => {
                    last = Some(error);
                }
            }
        }
        if Instant::now() >= deadline || engine.phase() != Phase::Ready {
            return Err(last.unwrap_or_else(|| {
                ApiError::not_ready("no node that searches is known here; see NODE_ROLES")
            }));
        }
        engine.look_again().await;
        tokio::time::sleep(ROUND_DELAY).await;
    }
}

/// Does what compiles a query, off the threads that serve.
async fn compiled<T: Send + 'static>(
    searches: &Searches,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    // The semaphore is never closed.
    let _turn = searches.compiling.acquire().await;
    let compiled = tokio::task::spawn_blocking(work).await;
    compiled.map_err(|error| ApiError::internal(format!("the query cannot be compiled: {error}")))
}

/// Understands a request, and takes the memory of its query.
async fn understood(
    engine: &Engine,
    searches: &Searches,
    body: Bytes,
    now_ms: i64,
) -> Result<(Request, MemoryPermit), ApiError> {
    let request = compiled(searches, move || Request::parse(&body, now_ms)).await??;
    let memory = request.query.memory();
    let held = engine.memory().try_take(MemoryUse::Searches, memory)?;
    Ok((request, held))
}

/// `POST …/query`: the rows as they are found.
async fn stream_query(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path(repository): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, &headers).await?;
    let format = Format::accepted(&headers)?;
    let (request, held) = understood(&engine, &searches, body, now_ms()).await?;
    let rows = engine
        .search_stream(
            &RepositoryName::new(repository),
            request.query,
            request.range,
            STREAM_LIMITS,
        )
        .await?;
    stream::respond(format, rows, held).await
}

/// `POST …/queryjobs`: begins a search; answers with its id at once.
async fn create_job(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path(repository): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, &headers).await?;
    let now_ms = now_ms();
    let (request, held) = understood(&engine, &searches, body, now_ms).await?;
    let repository = RepositoryName::new(repository);
    access::known_repository(&engine, &repository).await?;
    let job = NewJob {
        repository,
        query: request.query,
        range: request.range,
        now_ms,
        held: Some(held),
    };
    let asked = Asked {
        query: request.text,
        start_ms: job.range.start_ms,
        end_ms: job.range.end_ms,
        now_ms,
    };
    let job = jobs::start(&searches.jobs, &engine, job)?;
    let (host, incarnation) = engine.identity().unwrap_or_default();
    let ticket = Ticket {
        job,
        host,
        incarnation,
        asked: Some(asked),
    };
    Ok(Json(serde_json::json!({ "id": ticket.name() })).into_response())
}

/// `GET …/queryjobs/{id}`: how far it is, and the rows once it is done.
async fn poll_job(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path((repository, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, &headers).await?;
    let repository = RepositoryName::new(repository);
    let ticket = Ticket::read(&id).ok_or_else(no_job)?;
    let poll = || searches.jobs.poll(&repository, &ticket.job, Instant::now());
    if poll().is_none() {
        begin_again(&engine, &searches, &repository, &ticket).await?;
    }
    poll::respond(&poll().ok_or_else(no_job)?)
}

/// Begins a job again whose node is gone. One of this very node has ended.
async fn begin_again(
    engine: &Engine,
    searches: &Searches,
    repository: &RepositoryName,
    ticket: &Ticket,
) -> Result<(), ApiError> {
    let asked = ticket.asked.clone().filter(|_| !is_own(engine, ticket));
    // One of another repository is there under this id: that is nobody's name.
    let asked = asked.filter(|_| !searches.jobs.has(&ticket.job));
    let asked = asked.ok_or_else(no_job)?;
    let of = repository.clone();
    let job = compiled(searches, move || asked.again(of)).await?;
    let mut job = job.ok_or_else(no_job)?;
    let memory = job.query.memory();
    job.held = Some(engine.memory().try_take(MemoryUse::Searches, memory)?);
    jobs::start_as(ticket.job.clone(), &searches.jobs, engine, job)?;
    Ok(())
}

/// Whether this very start of this node has begun a job.
fn is_own(engine: &Engine, ticket: &Ticket) -> bool {
    let own = engine.identity();
    own.is_none_or(|(host, start)| host == ticket.host && start == ticket.incarnation)
}

/// `DELETE …/queryjobs/{id}`: stops the search and forgets the job.
async fn cancel_job(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path((repository, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    access::require_admin(&engine, &headers).await?;
    let ticket = Ticket::read(&id).ok_or_else(no_job)?;
    let repository = RepositoryName::new(repository);
    let was_here = searches.jobs.remove(&repository, &ticket.job);
    // Another node's has ended with its node.
    if was_here || !is_own(&engine, &ticket) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_job())
    }
}

fn no_job() -> ApiError {
    ApiError::not_found(format!(
        "there is no such query job in this repository on this node; jobs end when they are not polled for {} s: create it again",
        jobs::JOB_IDLE_TIMEOUT.as_secs()
    ))
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
