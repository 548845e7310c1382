//! Events in, in each of the formats that shippers speak.
//!
//! All formats go one way: `sender` tells who may send where, `body` reads and unpacks within
//! bounds, [`backstay_ingest`] turns the bytes into events, and the engine acknowledges. A batch
//! that another node must take is passed on as it came. Nothing is answered with success before the
//! journal has acknowledged.
//!
//! `hec` and `elastic` have what these two protocols ask of a server besides events.

mod body;
mod elastic;
mod hec;
mod sender;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use backstay_ingest::{Context, IngestFormat};
use backstay_search::Event;
use bytes::Bytes;
use uuid::Uuid;

use crate::engine::parcel::Parcel;
use crate::http::error::ApiError;
use crate::http::peers::{self, NotAnswered, Peers};
use crate::{Engine, IdempotencyKey, IngestError};
use body::UnpackLimiter;
use sender::Sender;

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    let mut router = Router::new()
        .route("/api/v1/ingest/humio-structured", post(structured))
        .route("/api/v1/ingest/humio-unstructured", post(unstructured))
        .route("/api/v1/ingest/hec", post(hec::events))
        .route("/api/v1/ingest/hec/raw", post(hec::raw))
        .route("/services/collector", post(hec::events))
        .route("/services/collector/event", post(hec::events))
        .route("/services/collector/event/1.0", post(hec::events))
        .route("/services/collector/raw", post(hec::raw))
        .route("/services/collector/raw/1.0", post(hec::raw))
        .route("/services/collector/health", get(hec::health))
        .route("/services/collector/health/1.0", get(hec::health))
        .route("/api/v1/ingest/elastic-bulk", get(elastic::about))
        .route("/api/v1/ingest/elastic-bulk/", get(elastic::about))
        .route("/api/v1/ingest/otlp/v1/logs", post(otlp));
    for root in ["/api/v1/dataspaces", "/api/v1/repositories"] {
        router = router
            .route(&format!("{root}/{{repository}}/ingest"), post(structured))
            .route(
                &format!("{root}/{{repository}}/ingest-messages"),
                post(unstructured),
            );
    }
    let elastic = elastic_routes("/api/v1/ingest/elastic-bulk");
    bounded(router.merge(elastic))
}

/// The Elasticsearch endpoint alone, at the root, for clients that know no path: `ELASTIC_PORT`.
pub(super) fn elastic_at_root() -> Router<Engine> {
    bounded(elastic_routes("").route("/", get(elastic::about)))
}

fn elastic_routes(root: &str) -> Router<Engine> {
    Router::new()
        .route(&format!("{root}/_license"), get(elastic::license))
        // Elasticsearch takes both methods, and its clients use either.
        .route(
            &format!("{root}/_bulk"),
            post(elastic_bulk).put(elastic_bulk),
        )
        .route(
            &format!("{root}/{{index}}/_bulk"),
            post(elastic_bulk).put(elastic_bulk),
        )
}

fn bounded(router: Router<Engine>) -> Router<Engine> {
    router.layer(Extension(Arc::new(UnpackLimiter::default())))
}

/// A request to take events, before its body is read.
pub(super) struct Delivery {
    engine: Engine,
    limiter: Arc<UnpackLimiter>,
    peers: Peers,
    parts: Parts,
    body: Body,
}

async fn structured(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(IngestFormat::Structured).await
}

async fn unstructured(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(IngestFormat::Unstructured).await
}

async fn elastic_bulk(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(IngestFormat::ElasticBulk).await
}

async fn otlp(delivery: Delivery) -> Result<Response, ApiError> {
    delivery.take(IngestFormat::Otlp).await
}

impl axum::extract::FromRequest<Engine> for Delivery {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, engine: &Engine) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let missing = || ApiError::internal("the ingest routes lack a layer");
        Ok(Self {
            engine: engine.clone(),
            limiter: parts.extensions.get().cloned().ok_or_else(missing)?,
            peers: parts.extensions.get().cloned().ok_or_else(missing)?,
            parts,
            body,
        })
    }
}

/// Between two attempts to find who takes a batch.
const OWNER_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Why a batch is not acknowledged.
struct Refusal {
    error: ApiError,
    /// It is surely not stored.
    is_not_stored: bool,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            is_not_stored: true,
        }
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        Self {
            is_not_stored: error.is_not_stored(),
            error: error.into(),
        }
    }
}

impl From<NotAnswered> for Refusal {
    fn from(error: NotAnswered) -> Self {
        match error {
            NotAnswered::NotStored(error) => error.into(),
            NotAnswered::Perhaps(error) => Self {
                error,
                is_not_stored: false,
            },
        }
    }
}

impl Delivery {
    /// Reads, decodes and stores; answers with the batch's own response when it is durable.
    async fn take(self, format: IngestFormat) -> Result<Response, ApiError> {
        let is_forwarded = peers::is_forwarded(&self.parts);
        match self.store(format).await {
            Ok(response) => Ok(response),
            Err(refusal) if is_forwarded && refusal.error.is_lasting() => {
                Ok(peers::lasting(refusal.error))
            }
            Err(refusal)
                if is_forwarded && refusal.is_not_stored && refusal.error.is_temporary() =>
            {
                Ok(peers::not_stored(refusal.error))
            }
            Err(refusal) => Err(refusal.error),
        }
    }

    async fn store(self, format: IngestFormat) -> Result<Response, Refusal> {
        let headers = &self.parts.headers;
        let sender = sender::admit(&self.engine, headers, self.parts.uri.path()).await?;
        let key = idempotency_key(headers)?;
        // Held for as long as what came of the body is in memory.
        let mut memory = self.limiter.batch_memory(self.engine.memory());
        let received = body::read(headers, self.body, &mut memory).await?;
        let (plain, mut memory) = body::unpack(headers, received.clone(), memory).await?;
        let mut batch = {
            let mut context = Context {
                headers,
                query: self.parts.uri.query(),
                parser: sender.parser.as_deref(),
                now_ms: chrono::Utc::now().timestamp_millis(),
                max_fields: self.engine.config().tuning.event_fields,
                memory: &mut memory,
            };
            let decoded = format.decode(&plain, &mut context);
            decoded.map_err(ApiError::from)?
        };
        drop(plain);
        let response = batch.response.map(Body::from);
        if batch.events.is_empty() {
            return Ok(response);
        }
        identify(&mut batch.events);
        // The body is kept for the node that may have to take it.
        let mut parcel = Parcel::new(batch.events, Some(memory.into_permit()), received.len());
        let taker = Taker {
            engine: &self.engine,
            peers: &self.peers,
            parts: &self.parts,
        };
        match taker
            .take(&sender, &mut parcel, key.as_ref(), received)
            .await?
        {
            Some(answer) => Ok(answer),
            None => Ok(response),
        }
    }
}

/// Finds the node that takes a batch.
struct Taker<'a> {
    engine: &'a Engine,
    peers: &'a Peers,
    parts: &'a Parts,
}

impl Taker<'_> {
    /// Has the batch stored, here or by another node, whose answer this then is. While partitions
    /// go from one node to another this waits.
    async fn take(
        &self,
        sender: &Sender,
        parcel: &mut Parcel,
        key: Option<&IdempotencyKey>,
        received: Bytes,
    ) -> Result<Option<Response>, Refusal> {
        let deadline = Instant::now() + self.engine.hand_over();
        loop {
            let stored = self
                .engine
                .try_ingest(&sender.repository, parcel, key)
                .await;
            let refusal = match stored {
                Ok(_) => return Ok(None),
                Err(IngestError::Elsewhere { url }) if !peers::is_forwarded(self.parts) => {
                    match self.forward(&url, received.clone(), key.is_some()).await {
                        Ok(answer) => return Ok(Some(answer)),
                        Err(refusal) => refusal,
                    }
                }
                Err(error @ (IngestError::Elsewhere { .. } | IngestError::Unowned { .. })) => {
                    error.into()
                }
                Err(error) => return Err(error.into()),
            };
            // One that may be stored is sent again only where that stores it once.
            let may_repeat = refusal.is_not_stored || key.is_some();
            self.engine.look_again().await;
            if !may_repeat || peers::is_forwarded(self.parts) || Instant::now() >= deadline {
                return Err(refusal);
            }
            tokio::time::sleep(OWNER_RETRY_DELAY).await;
        }
    }

    async fn forward(
        &self,
        url: &str,
        received: Bytes,
        is_keyed: bool,
    ) -> Result<Response, Refusal> {
        let gone = async {
            self.engine.gone(url).await;
            // It may have said that it ends, and answer yet. Who has a key need not wait for that.
            if !is_keyed {
                tokio::time::sleep(self.engine.config().tuning.lease).await;
            }
        };
        tokio::select! {
            answer = self.peers.forward(url, self.parts, received) => Ok(answer?),
            () = gone => Err(Refusal {
                error: ApiError::not_ready(format!(
                    "the node at {url} had to take this batch and has fallen silent; send it again with the same idempotency key"
                )),
                is_not_stored: false,
            }),
        }
    }
}

/// Longest idempotency key.
const MAX_KEY_BYTES: usize = 256;

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = headers.get("Idempotency-Key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if (1..=MAX_KEY_BYTES).contains(&text.len()) => {
            Ok(Some(IdempotencyKey(text.to_owned())))
        }
        _ => Err(ApiError::bad_request(format!(
            "header Idempotency-Key: give 1 to {MAX_KEY_BYTES} printable characters"
        ))),
    }
}

/// Gives every event an identity. A batch that comes twice under one key is stored once, so the
/// second set of identities is never seen.
fn identify(events: &mut [Event]) {
    let batch = Uuid::now_v7().simple().to_string();
    for (at, event) in events.iter_mut().enumerate() {
        event.id = format!("{batch}_{at}");
    }
}

#[cfg(test)]
mod tests;
