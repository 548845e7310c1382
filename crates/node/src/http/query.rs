//! Searches, streamed or as jobs that are polled.
//!
//! Both spellings of the path are served, `/repositories/` and the older `/dataspaces/`: Humio's
//! own clients still use the latter.

pub(super) mod access;
mod jobs;
mod poll;
mod request;
mod stream;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use backstay_search::Limits;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::http::error::ApiError;
use crate::{Engine, RepositoryName};
use jobs::{Jobs, NewJob};
use request::Request;
use stream::Format;

/// Streamed searches that run at once; each may hold [`STREAM_LIMITS`].
const STREAMS: usize = 16;

/// Only the memory bounds what a stream may give.
const STREAM_LIMITS: Limits = Limits {
    memory: 256 << 20,
    rows: 10_000_000,
};

/// What the searches of one node share.
struct Searches {
    jobs: Arc<Jobs>,
    streams: Arc<Semaphore>,
}

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    let searches = Arc::new(Searches {
        jobs: Arc::new(Jobs::default()),
        streams: Arc::new(Semaphore::new(STREAMS)),
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
    router.layer(Extension(searches))
}

/// `POST …/query`: the rows as they are found.
async fn stream_query(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path(repository): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, &headers)?;
    let format = Format::accepted(&headers)?;
    let request = Request::parse(&body, now_ms())?;
    let permit = searches.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::too_many(format!(
            "{STREAMS} streamed searches run on this node already; try again when one has ended"
        ))
    })?;
    let rows = engine
        .search_stream(
            &RepositoryName::new(repository),
            request.query,
            request.range,
            STREAM_LIMITS,
        )
        .await?;
    stream::respond(format, rows, permit).await
}

/// `POST …/queryjobs`: begins a search; answers with its id at once.
async fn create_job(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path(repository): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, &headers)?;
    let now_ms = now_ms();
    let request = Request::parse(&body, now_ms)?;
    let repository = RepositoryName::new(repository);
    access::known_repository(&engine, &repository).await?;
    let job = NewJob {
        repository,
        query: request.query,
        range: request.range,
        now_ms,
    };
    let id = jobs::start(&searches.jobs, &engine, job)?;
    Ok(Json(serde_json::json!({ "id": id })).into_response())
}

/// `GET …/queryjobs/{id}`: how far it is, and the rows once it is done.
async fn poll_job(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path((repository, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, &headers)?;
    let polled = searches
        .jobs
        .poll(&RepositoryName::new(repository), &id, Instant::now())
        .ok_or_else(no_job)?;
    poll::respond(&polled)
}

/// `DELETE …/queryjobs/{id}`: stops the search and forgets the job.
async fn cancel_job(
    State(engine): State<Engine>,
    Extension(searches): Extension<Arc<Searches>>,
    Path((repository, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    access::require_admin(&engine, &headers)?;
    if searches.jobs.remove(&RepositoryName::new(repository), &id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_job())
    }
}

fn no_job() -> ApiError {
    ApiError::not_found(format!(
        "there is no such query job in this repository on this node; jobs end when they are not polled for {} s: create it again",
        jobs::IDLE.as_secs()
    ))
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
