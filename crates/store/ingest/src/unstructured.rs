//! `humio-unstructured`: lines that a parser takes apart
//! (<https://library.humio.com/logscale-api/api-ingest-unstructured-data.html>).

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::batch::{Batch, Collector, json_response};
use super::draft::Draft;
use super::groups::{Shape, groups};
use super::json::{BodyValue, REPLACED, text};
use super::structured::common;
use crate::{BodyError, Context, parse};

const SHAPE: Shape = Shape {
    format: "humio-unstructured",
    list: "messages",
    other: ("events", "humio-structured"),
    example: r#"[{"fields":{…},"messages":["…"]}]"#,
};

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, BodyError> {
    let mut batch = Collector::<()>::new(context);
    groups(body, &SHAPE, |at, mut group| {
        let list = std::mem::take(&mut group.list);
        let mut common = common(&group, &["tags", "fields", "type", "parser"], &batch);
        // "Fields that should be added to events after parsing."
        match group.get("fields") {
            None => {}
            Some(fields) if fields.starts_with('{') => common.add_sent("fields", fields, ""),
            Some(other) => {
                common.problem("`fields` is not an object; it is in @excess");
                common.keep("fields", other);
            }
        }
        let named = group.get("type").or(group.get("parser")).and_then(text);
        // The token's parser wins, as it is the administrator's word.
        let parser = batch.context.parser.or(named.as_deref());
        for (item_at, piece) in list.into_iter().enumerate() {
            let mut draft = message(piece, common.clone(), at, item_at);
            if let Some(parser) = parser {
                parse::apply(parser, &mut draft);
            }
            batch.take(draft)?;
        }
        Ok(())
    })?;
    batch
        .outcome()
        .answered(json_response(StatusCode::OK, &json!({})))
}

fn message(piece: BodyValue<'_>, common: Draft, at: usize, item_at: usize) -> Draft {
    let mut draft = common;
    let place = format!("[{at}].messages[{item_at}]");
    draft.raw = match piece.read() {
        Ok(document) => {
            if document.is_replaced {
                draft.problem(REPLACED);
            }
            if !document.text.starts_with('"') {
                draft.problem(format!("{place} is not a string"));
            }
            text(&document.text)
                .unwrap_or_else(|| document.text.as_ref().into())
                .into_owned()
        }
        Err(broken) => {
            draft.problem(format!("{place} is not valid JSON: {}", broken.problem));
            broken.text.into_owned()
        }
    };
    draft
}
