//! OpenTelemetry logs over HTTP, as protobuf or JSON
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! A record that cannot be read is rejected, and counted in the answer's partial success.

mod document;
mod pieces;
mod record;
mod text;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::json;

use super::batch::{Batch, BatchOutcome, Collector, response};
use super::draft::Draft;
use super::json::REPLACED;
use crate::{BodyError, Context};
use pieces::{PieceError, pieces, whole};
use record::{of_resource, of_scope, stored};
use text::Kind;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, BodyError> {
    let kind = context
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or(PROTOBUF);
    if kind.starts_with(JSON) {
        let mut batch = Collector::new(context);
        document::read(body, &mut batch)?;
        let outcome = batch.outcome();
        let answer = json_answer(&outcome);
        outcome.answered(response(StatusCode::OK, JSON, answer))
    } else if kind.starts_with(PROTOBUF) {
        let mut batch = Collector::new(context);
        from_protobuf(body, &mut batch)?;
        let outcome = batch.outcome();
        let answer = protobuf_answer(&outcome);
        outcome.answered(response(StatusCode::OK, PROTOBUF, answer))
    } else {
        Err(BodyError::malformed(format!(
            "header Content-Type: send {PROTOBUF} or {JSON}"
        )))
    }
}

fn json_answer(outcome: &BatchOutcome) -> String {
    match outcome.refusals {
        0 => "{}".to_owned(),
        // A 64-bit number is text in the JSON of protobuf.
        count => json!({ "partialSuccess": {
            "rejectedLogRecords": count.to_string(),
            "errorMessage": outcome.problems(),
        } })
        .to_string(),
    }
}

fn protobuf_answer(outcome: &BatchOutcome) -> Vec<u8> {
    let partial = (outcome.refusals > 0).then(|| ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(outcome.refusals).unwrap_or(i64::MAX),
        error_message: outcome.problems(),
    });
    ExportLogsServiceResponse {
        partial_success: partial,
    }
    .encode_to_vec()
}

/// The numbers are those of the fields in `logs.proto` and `logs_service.proto`
/// (<https://github.com/open-telemetry/opentelemetry-proto>).
fn from_protobuf(body: &Bytes, batch: &mut Collector<'_, '_>) -> Result<(), BodyError> {
    pieces(body, 1, |resource_logs| {
        // What is common may stand behind what it is common to.
        let mut of_all = batch.draft(String::new());
        let mut resource = Ok(None);
        pieces(&resource_logs, 1, |resource_bytes| {
            resource = noted(
                whole::<Resource>(Kind::Resource, resource_bytes),
                &mut of_all,
            )
            .map(Some);
            Ok(())
        })?;
        let of_resource = of_resource(of_all, resource);
        pieces(&resource_logs, 2, |scope_logs| {
            let mut common = of_resource.clone();
            let mut scope = Ok(None);
            pieces(&scope_logs, 1, |scope_bytes| {
                let about = whole::<InstrumentationScope>(Kind::Scope, scope_bytes);
                scope = noted(about, &mut common).map(Some);
                Ok(())
            })?;
            let common = of_scope(common, scope);
            pieces(&scope_logs, 2, |record| {
                let mut draft = common.clone();
                match noted(whole::<LogRecord>(Kind::Record, record), &mut draft) {
                    Ok(record) => {
                        let draft = stored(&record, draft, batch.context);
                        batch.take(draft)
                    }
                    Err(problem) => {
                        batch.refuse((), problem.to_string());
                        Ok(())
                    }
                }
            })
        })
    })
}

/// A message; the event says if something in it had to be replaced.
fn noted<M>(decoded: Result<(M, bool), PieceError>, draft: &mut Draft) -> Result<M, PieceError> {
    let (message, is_replaced) = decoded?;
    if is_replaced {
        draft.problem(REPLACED);
    }
    Ok(message)
}
