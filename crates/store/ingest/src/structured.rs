//! `humio-structured`: events that the client has taken apart itself
//! (<https://library.humio.com/logscale-api/api-ingest-structured-data.html>).
//!
//! The protocol has no answer for one event of a batch. One that is not as it should be is stored as
//! it came, and says so in `@error`.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::batch::{Batch, Collector, json_response};
use super::draft::{Draft, shortened};
use super::groups::{Group, Shape, groups};
use super::json::{BodyValue, Members, REPLACED, flatten, text};
use super::times::json_ms;
use crate::{BodyError, Context, parse};

const SHAPE: Shape = Shape {
    format: "humio-structured",
    list: "events",
    other: ("messages", "humio-unstructured"),
    example: r#"[{"tags":{…},"events":[{"timestamp":"…","attributes":{…}}]}]"#,
};

/// The members of an event.
const MEMBERS: [&str; 4] = ["timestamp", "timezone", "attributes", "rawstring"];

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, BodyError> {
    let mut batch = Collector::<()>::new(context);
    groups(body, &SHAPE, |at, mut group| {
        let list = std::mem::take(&mut group.list);
        let common = common(&group, &["tags"], &batch);
        for (item_at, piece) in list.into_iter().enumerate() {
            let place = format!("[{at}].events[{item_at}]");
            let draft = event(piece, common.clone(), &place, batch.context);
            batch.take(draft)?;
        }
        Ok(())
    })?;
    batch
        .outcome()
        .answered(json_response(StatusCode::OK, &json!({})))
}

/// What a group says of each of its events. Members that are not `known` are kept.
pub(super) fn common(group: &Group<'_>, known: &[&str], batch: &Collector<'_, '_, ()>) -> Draft {
    let mut draft = batch.draft(String::new());
    match group.get("tags") {
        None => {}
        Some(tags) => match Members::of(tags) {
            Some(tags) => {
                for (name, value) in tags.iter() {
                    draft.tag(name, &text(value).unwrap_or_default());
                }
            }
            None => {
                draft.problem("`tags` is not an object; it is in @excess");
                draft.keep("tags", tags);
            }
        },
    }
    for (name, value) in &group.others {
        if value.is_replaced {
            draft.problem(REPLACED);
        }
        if !known.contains(&name.as_str()) && value.text != "null" {
            draft.keep(name, &value.text);
        }
    }
    draft
}

fn event(piece: BodyValue<'_>, common: Draft, place: &str, context: &Context<'_>) -> Draft {
    let mut draft = common;
    let document = match piece.read() {
        Ok(document) => document,
        Err(broken) => {
            draft.problem(format!("{place} is not valid JSON: {}", broken.problem));
            draft.raw = broken.text.into_owned();
            return draft;
        }
    };
    if document.is_replaced {
        draft.problem(REPLACED);
    }
    let Some(members) = Members::of(&document.text) else {
        draft.problem(format!("{place} is not an object"));
        draft.raw = document.text.into_owned();
        return draft;
    };
    let get = |name: &str| members.get(name).filter(|json| *json != "null");
    let zone = get("timezone").and_then(text);
    match get("timestamp") {
        // The number is documented to be in ms.
        Some(given) => draft.set_time(
            json_ms(given, zone.as_deref()),
            &text(given).unwrap_or_default(),
        ),
        None => draft.problem(format!("{place} has no `timestamp`")),
    }
    let attributes = get("attributes");
    let is_object = attributes.is_some_and(|given| given.starts_with('{'));
    let rawstring = get("rawstring").and_then(text);
    match (&rawstring, attributes) {
        (Some(_), Some(given)) if is_object => draft.add_sent("attributes", given, ""),
        (None, Some(given)) if is_object => {
            flatten::flatten("", given, &mut draft.found);
        }
        (_, Some(given)) => {
            draft.problem(format!(
                "{place}.attributes: {} is not an object; it is in @excess",
                shortened(given)
            ));
            draft.keep("attributes", given);
        }
        (Some(_), None) => {}
        (None, None) => draft.problem(format!("{place} has neither `rawstring` nor `attributes`")),
    }
    if let Some(zone) = &zone {
        draft.sent.push("@timezone", zone);
    }
    for (name, value) in members.iter().filter(|(name, _)| !MEMBERS.contains(name)) {
        draft.keep(name, value);
    }
    draft.raw = match (rawstring, attributes) {
        (Some(raw), _) => raw.into_owned(),
        (None, Some(given)) if is_object => given.to_owned(),
        (None, _) => document.text.clone().into_owned(),
    };
    // What the client has taken apart is not taken apart again.
    if let Some(parser) = context.parser
        && attributes.is_none()
    {
        parse::apply(parser, &mut draft);
    }
    draft
}
