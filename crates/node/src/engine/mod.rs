//! The engine: everything of a node but HTTP.

mod api;

use std::sync::Arc;

use backstay_global::GlobalLog;
use backstay_search::{Event, Limits, Query, QueryResult, TimeRange};
use futures::stream::BoxStream;

pub use api::{
    Accepted, IdempotencyKey, IngestError, IngestTokenInfo, Phase, RepositoryName, SearchError,
    Status, StatusPart,
};

use crate::config::NodeConfig;
use crate::metrics::Metrics;

/// One row of a streamed search.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// The engine of one node. Cheap to clone. It exists from the first moment, in
/// [`Phase::Starting`]; what needs the state answers `NotReady` until it is [`Phase::Ready`].
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: NodeConfig,
    metrics: Metrics,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {}

impl Engine {
    /// Stores a batch; returns when it is durable in the bucket.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub async fn ingest(
        &self,
        repository: &RepositoryName,
        events: Vec<Event>,
        key: Option<IdempotencyKey>,
    ) -> Result<Accepted, IngestError> {
        todo!()
    }

    /// Runs a query over everything that any node has acknowledged until now.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn search(
        &self,
        repository: &RepositoryName,
        query: Query,
        range: TimeRange,
        limits: Limits,
    ) -> Result<QueryResult, SearchError> {
        todo!()
    }

    /// The same for filter queries, row by row as they are found.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn search_stream(
        &self,
        repository: &RepositoryName,
        query: Query,
        range: TimeRange,
        limits: Limits,
    ) -> Result<BoxStream<'static, Result<Row, SearchError>>, SearchError> {
        todo!()
    }

    /// What the engine is doing.
    pub fn phase(&self) -> Phase {
        todo!()
    }

    /// Whether the node should get traffic.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// The metadata; `None` until it is loaded.
    pub fn global(&self) -> Option<&GlobalLog> {
        todo!()
    }

    /// Whether this is the admin token.
    pub fn admin_token_matches(&self, token: &str) -> bool {
        todo!()
    }

    /// What an ingest token allows; `None` when it is unknown or revoked.
    pub fn resolve_ingest_token(&self, token: &str) -> Option<IngestTokenInfo> {
        todo!()
    }

    /// The configuration.
    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Takes no more events, settles what was taken, and, with the dynamic configuration
    /// `FlushSegmentsAndGlobalOnShutdown`, writes all segments and a snapshot.
    pub async fn drain(&self) {
        todo!()
    }
}
