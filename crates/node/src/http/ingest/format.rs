//! The formats by themselves: a body into events, without a node. Fuzzing feeds the decoders by it.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use backstay_search::Event;
use bytes::Bytes;

use super::batch::Batch;
use super::body::UnpackLimiter;
use super::sender::Sender;
use super::{Context, elastic, hec, otlp, structured, unstructured};
use crate::config::MAX_EVENT_FIELDS;
use crate::http::error::ApiError;
use crate::{MemoryBudget, RepositoryName};

/// Nothing is unpacked here, so all may share one.
static UNPACK_LIMITER: LazyLock<UnpackLimiter> = LazyLock::new(UnpackLimiter::default);

/// A format that shippers send events in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestFormat {
    /// LogScale's events with fields, JSON.
    Structured,
    /// LogScale's unparsed lines, in JSON.
    Unstructured,
    /// Splunk's HTTP Event Collector, one JSON object behind another.
    Hec,
    /// The same collector's lines.
    HecRaw,
    /// Elasticsearch's bulk API.
    ElasticBulk,
    /// OpenTelemetry's logs in protobuf.
    OtlpProtobuf,
    /// OpenTelemetry's logs in JSON.
    OtlpJson,
}

/// Why nothing of a body can be stored, in the words of the node's answer.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Undecodable(ApiError);

impl IngestFormat {
    /// The events of an unpacked body, as a node stores them at the time `now_ms` for a token with
    /// this `parser`, except for their identities. It takes its memory from `memory`, as a node does.
    ///
    /// # Errors
    /// When nothing in the body can be stored.
    pub fn decode(
        self,
        body: &Bytes,
        parser: Option<&str>,
        now_ms: i64,
        memory: &MemoryBudget,
    ) -> Result<Vec<Event>, Undecodable> {
        self.batch(body, parser, now_ms, memory)
            .map(|batch| batch.events)
            .map_err(Undecodable)
    }

    fn batch(
        self,
        body: &Bytes,
        parser: Option<&str>,
        now_ms: i64,
        memory: &MemoryBudget,
    ) -> Result<Batch, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        let sender = Sender {
            repository: RepositoryName::new("logs"),
            parser: parser.map(str::to_owned),
        };
        let mut held = UNPACK_LIMITER.batch_memory(memory);
        let context = Context {
            headers: &headers,
            query: None,
            sender: &sender,
            now_ms,
            most_fields: MAX_EVENT_FIELDS,
            held: &mut held,
        };
        context.decode(body.clone(), self.decoder())
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OtlpProtobuf => "application/x-protobuf",
            _ => "application/json",
        }
    }

    pub(super) fn decoder(self) -> fn(&Bytes, &mut Context<'_>) -> Result<Batch, ApiError> {
        match self {
            Self::Structured => structured::decode,
            Self::Unstructured => unstructured::decode,
            Self::Hec => hec::decode,
            Self::HecRaw => hec::decode_raw,
            Self::ElasticBulk => elastic::decode,
            Self::OtlpProtobuf | Self::OtlpJson => otlp::decode,
        }
    }
}
