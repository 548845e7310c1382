//! OTLP as JSON: names in camel case, numbers of 64 bits as text
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).
//!
//! Unknown members are ignored, as the specification has it. The names of `logs.proto` in snake
//! case are not valid names there, and yet are what a wrong encoder writes; with them a whole batch
//! would be taken and nothing of it stored, so they are an error that names them.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::de::DeserializeOwned;

use super::super::batch::Collector;
use super::super::draft::Draft;
use super::super::json::{BodyValue, REPLACED, Scanner, member_named};
use super::pieces::PieceError;
use super::record::{of_resource, of_scope, stored};
use crate::BodyError;

/// Names that are not valid around records, and what stands for them.
const NAMES_AROUND_RECORDS: [(&str, &str); 9] = [
    ("resource_logs", "resourceLogs"),
    ("scope_logs", "scopeLogs"),
    ("log_records", "logRecords"),
    ("instrumentation_library_logs", "scopeLogs"),
    ("instrumentationLibraryLogs", "scopeLogs"),
    ("resourceSpans", "resourceLogs, as this takes logs only"),
    ("resourceMetrics", "resourceLogs, as this takes logs only"),
    ("resource_spans", "resourceLogs, as this takes logs only"),
    ("resource_metrics", "resourceLogs, as this takes logs only"),
];

/// Names that are not valid within a record.
const NAMES_WITHIN_RECORDS: [&str; 14] = [
    "time_unix_nano",
    "observed_time_unix_nano",
    "severity_number",
    "severity_text",
    "trace_id",
    "span_id",
    "event_name",
    "string_value",
    "bool_value",
    "int_value",
    "double_value",
    "array_value",
    "kvlist_value",
    "bytes_value",
];

/// The records of one scope.
#[derive(Default)]
struct Scope<'a> {
    about: Option<BodyValue<'a>>,
    records: Vec<BodyValue<'a>>,
}

/// Reads the records of a body.
pub(super) fn read(body: &[u8], batch: &mut Collector<'_, '_>) -> Result<(), BodyError> {
    let mut scanner = Scanner::new(body);
    let is_whole = scanner.members(|name, scanner| {
        check(name)?;
        match name {
            "resourceLogs" => list(scanner, name, |scanner| resource_logs(scanner, batch)),
            _ => skip(scanner),
        }
    })?;
    if is_whole && scanner.peek().is_none() {
        Ok(())
    } else {
        Err(malformed(&scanner))
    }
}

fn malformed(scanner: &Scanner<'_>) -> BodyError {
    BodyError::malformed(format!(
        "the body is not valid OTLP JSON at byte {}; send {{\"resourceLogs\":[…]}}",
        scanner.offset()
    ))
}

fn check(name: &str) -> Result<(), BodyError> {
    match NAMES_AROUND_RECORDS
        .iter()
        .find(|(wrong, _)| *wrong == name)
    {
        None => Ok(()),
        Some((wrong, right)) => Err(BodyError::malformed(format!(
            "`{wrong}` is not a valid member of OTLP JSON; send {right}"
        ))),
    }
}

fn skip(scanner: &mut Scanner<'_>) -> Result<(), BodyError> {
    match scanner.value() {
        Some(_) => Ok(()),
        None => Err(malformed(scanner)),
    }
}

/// The elements of a list; null is an empty one.
fn list<'a>(
    scanner: &mut Scanner<'a>,
    name: &str,
    each: impl FnMut(&mut Scanner<'a>) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    if scanner.peek() == Some(b'n') {
        return skip(scanner);
    }
    if scanner.peek() != Some(b'[') {
        return Err(BodyError::malformed(format!(
            "the body is not valid OTLP JSON: `{name}` is not an array"
        )));
    }
    if scanner.elements(each)? {
        Ok(())
    } else {
        Err(malformed(scanner))
    }
}

fn resource_logs<'a>(
    scanner: &mut Scanner<'a>,
    batch: &mut Collector<'_, '_>,
) -> Result<(), BodyError> {
    let mut about = None;
    let mut scopes = Vec::new();
    let is_whole = scanner.members(|name, scanner| {
        check(name)?;
        match name {
            "resource" => about = scanner.value(),
            "scopeLogs" => {
                return list(scanner, name, |scanner| {
                    scopes.push(scope_logs(scanner)?);
                    Ok(())
                });
            }
            _ => skip(scanner)?,
        }
        Ok::<_, BodyError>(())
    })?;
    if !is_whole {
        return Err(malformed(scanner));
    }
    // What is common may stand behind what it is common to.
    let mut of_all = batch.draft(String::new());
    let resource = decoded::<Resource>("resource", about, &mut of_all);
    let of_all = of_resource(of_all, resource);
    for Scope { about, records } in scopes {
        let mut common = of_all.clone();
        let scope = decoded::<InstrumentationScope>("scope", about, &mut common);
        let common = of_scope(common, scope);
        for record in records {
            let mut draft = common.clone();
            match decoded::<LogRecord>("log record", Some(record), &mut draft) {
                Ok(record) => {
                    let draft = stored(&record.unwrap_or_default(), draft, batch.context);
                    batch.take(draft)?;
                }
                Err(problem) => batch.refuse((), problem.to_string()),
            }
        }
    }
    Ok(())
}

fn scope_logs<'a>(scanner: &mut Scanner<'a>) -> Result<Scope<'a>, BodyError> {
    let mut scope = Scope::default();
    let is_whole = scanner.members(|name, scanner| {
        check(name)?;
        match name {
            "scope" => scope.about = scanner.value(),
            "logRecords" => {
                return list(scanner, name, |scanner| {
                    scope.records.extend(scanner.value());
                    Ok(())
                });
            }
            _ => skip(scanner)?,
        }
        Ok::<_, BodyError>(())
    })?;
    if is_whole {
        Ok(scope)
    } else {
        Err(malformed(scanner))
    }
}

/// Decodes a part; a null is none.
fn decoded<T: DeserializeOwned>(
    what: &'static str,
    piece: Option<BodyValue<'_>>,
    draft: &mut Draft,
) -> Result<Option<T>, PieceError> {
    let Some(piece) = piece else { return Ok(None) };
    let wrong = |problem: String| PieceError::Json { what, problem };
    let document = piece.read().map_err(|broken| wrong(broken.problem))?;
    if document.is_replaced {
        draft.problem(REPLACED);
    }
    if let Some(name) = member_named(&document.text, &NAMES_WITHIN_RECORDS) {
        let name = name.to_string();
        return Err(PieceError::Member { what, name });
    }
    // Serde would read an array as the members of an object, in their order.
    if !document.text.starts_with('{') {
        return match document.text.as_ref() {
            "null" => Ok(None),
            _ => Err(wrong("it is not an object".to_owned())),
        };
    }
    serde_json::from_str(&document.text)
        .map(Some)
        .map_err(|source| PieceError::Form { what, source })
}
