//! Splunk's HTTP Event Collector, as LogScale takes it: JSON objects one after another, or an array
//! of them
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>,
//! <https://library.humio.com/logscale-api/log-shippers-hec.html>).
//!
//! An event that cannot be stored is answered as Splunk does, by 400 with the number of the first
//! such event; the others are stored, those behind it too.

mod answer;
mod metadata;

use std::borrow::Cow;

use bytes::Bytes;

use super::batch::{Batch, Collector};
use super::draft::{Draft, shortened};
use super::json::{BodyValue, Members, REPLACED, Scanner, text};
use super::times::json_time;
use crate::{BodyError, Context, parse};
use answer::Code;
use metadata::Metadata;

/// The members of an event's envelope.
const MEMBERS: [&str; 8] = [
    "event",
    "time",
    "timezone",
    "host",
    "source",
    "sourcetype",
    "index",
    "fields",
];

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, BodyError> {
    let common = Metadata::of_request(context);
    let mut batch = Collector::new(context);
    let mut scanner = Scanner::by_lines(body);
    while let Some(next) = scanner.peek() {
        if b"[],".contains(&next) {
            scanner.eat(next);
        } else if let Some(piece) = scanner.value() {
            match event(piece, &common, &batch) {
                Ok(draft) => batch.take(draft)?,
                Err((code, problem)) => batch.refuse(code, problem),
            }
        }
    }
    Ok(answer::of(batch.outcome()))
}

fn event(
    piece: BodyValue<'_>,
    common: &Metadata,
    batch: &Collector<'_, '_, Code>,
) -> Result<Draft, (Code, String)> {
    let document = piece
        .read()
        .map_err(|broken| (Code::InvalidFormat, broken.problem))?;
    let Some(members) = Members::of(&document.text) else {
        let problem = format!(
            "{} is not an object; send objects such as {{\"time\":1700000000.5,\"event\":\"…\"}}",
            shortened(&document.text)
        );
        return Err((Code::InvalidFormat, problem));
    };
    let given = members.get("event").filter(|given| *given != "null");
    let given = given.ok_or_else(|| (Code::EventRequired, "there is no `event`".to_owned()))?;
    let raw = text(given).unwrap_or_default();
    if raw.is_empty() {
        return Err((Code::EventBlank, "`event` is empty".to_owned()));
    }
    let metadata = common.with(&members);
    let mut draft = batch.draft(raw.into_owned());
    if document.is_replaced {
        draft.problem(REPLACED);
    }
    // The token's parser wins, as it is the administrator's word. An object is in fields already:
    // whatever parser is named for it, there is no line to take apart.
    let named = metadata.sourcetype.as_deref();
    let parser = match given.starts_with('{') {
        true => Some(parse::JSON),
        false => batch
            .context
            .parser
            .or(named.filter(|name| parse::is_known(name))),
    };
    if let Some(parser) = parser {
        parse::apply(parser, &mut draft);
    }
    // What the shipper says wins over what a parser found.
    if let Some(time) = members.get("time").filter(|time| *time != "null") {
        let zone = metadata.timezone.as_deref();
        draft.set_time(json_time(time, zone), &text(time).unwrap_or_default());
    }
    metadata.add_to(&mut draft);
    match members.get("fields") {
        Some(fields) if fields.starts_with('{') => draft.add_sent("fields", fields, ""),
        None | Some("null") => {}
        Some(other) => {
            draft.problem("`fields` is not an object; it is in @excess");
            draft.keep("fields", other);
        }
    }
    let unknown = members.iter().filter(|(name, _)| !MEMBERS.contains(name));
    for (name, value) in unknown {
        draft.keep(name, value);
    }
    Ok(draft)
}

pub(super) fn decode_raw(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, BodyError> {
    let metadata = Metadata::of_request(context);
    let named = metadata.sourcetype.as_deref();
    let parser = context.parser;
    let parser = parser.or(named.filter(|name| parse::is_known(name)));
    let mut batch = Collector::new(context);
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let is_replaced = matches!(line, Cow::Owned(_));
        let mut draft = batch.draft(line.into_owned());
        if is_replaced {
            draft.problem(REPLACED);
        }
        if let Some(parser) = parser {
            parse::apply(parser, &mut draft);
        }
        metadata.add_to(&mut draft);
        batch.take(draft)?;
    }
    Ok(answer::of(batch.outcome()))
}
