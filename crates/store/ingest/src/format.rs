//! The formats, each by its name.

use bytes::Bytes;

use crate::{Batch, BodyError, Context, elastic, hec, otlp, structured, unstructured};

/// A format that shippers send events in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestFormat {
    /// LogScale's events with fields, JSON.
    Structured,
    /// LogScale's lines, JSON.
    Unstructured,
    /// Splunk's HTTP Event Collector, one JSON object behind another.
    Hec,
    /// The same collector's lines.
    HecRaw,
    /// Elasticsearch's bulk API.
    ElasticBulk,
    /// OpenTelemetry's logs, in protobuf or JSON as the header `Content-Type` says.
    Otlp,
}

impl IngestFormat {
    /// The events of an unpacked body, without their identities, and the answer for its sender once
    /// they are stored. An event that cannot be stored is said in the answer, and does no harm to
    /// the others.
    ///
    /// # Errors
    /// When nothing in the body can be stored, or it takes more memory than there is.
    pub fn decode(self, body: &Bytes, context: &mut Context<'_>) -> Result<Batch, BodyError> {
        context.decode(body, self.decoder())
    }

    fn decoder(self) -> fn(&Bytes, &mut Context<'_>) -> Result<Batch, BodyError> {
        match self {
            Self::Structured => structured::decode,
            Self::Unstructured => unstructured::decode,
            Self::Hec => hec::decode,
            Self::HecRaw => hec::decode_raw,
            Self::ElasticBulk => elastic::decode,
            Self::Otlp => otlp::decode,
        }
    }
}
