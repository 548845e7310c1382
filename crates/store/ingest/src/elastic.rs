//! Elasticsearch's bulk API, as Beats, Fluent Bit and Vector speak it
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>).
//!
//! Each item has an answer of its own: one that cannot be stored is 400 there, and its client drops
//! it or puts it aside, and not the whole batch.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::batch::{Batch, Collector, response};
use super::draft::Draft;
use super::json::{Document, Members, REPLACED, Scanner, flatten, string, text};
use super::times::json_time;
use crate::{BodyError, Context, parse};

/// The header by which a server says that it is Elasticsearch.
pub const ELASTIC_PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

/// Why an item is not stored, as Elasticsearch calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    IllegalArgument,
    DocumentParsing,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::IllegalArgument => "illegal_argument_exception",
            Self::DocumentParsing => "document_parsing_exception",
        }
    }
}

/// Why a line is not what it should be; the client gets the text.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("the line is empty")]
    Empty,
    #[error("there is more than one value on the line")]
    More,
    #[error("{0}")]
    Json(String),
    #[error("the {0} is not an object")]
    NotAnObject(&'static str),
    #[error("an empty action; send {{\"create\":{{}}}}")]
    EmptyAction,
    #[error("`{0}` is not a known action; send create or index")]
    UnknownAction(String),
    #[error("`{0}` is not an object")]
    Target(String),
    #[error("`{0}` cannot be done to a log; send only create and index")]
    Undoable(String),
}

/// What a client wants done.
struct Action {
    verb: String,
    /// The JSON of its `_index` and `_id`.
    index: String,
    id: String,
}

pub(super) fn decode(body: &Bytes, context: &mut Context<'_>) -> Result<Batch, BodyError> {
    let mut batch = Collector::new(context);
    let mut items = Items::default();
    let mut lines = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .enumerate()
        .peekable();
    while let Some((at, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (action, problem) = match action(line) {
            Ok(action) => (action, None),
            Err(problem) => (Action::unknown(), Some(problem)),
        };
        let problem = problem.or_else(|| match action.verb.as_str() {
            "create" | "index" => None,
            verb => Some(LineError::Undoable(verb.to_owned())),
        });
        // All but a deletion have a document behind them; behind a line that is no action, what
        // does not look like the next action is taken for it.
        let has_document = match (&problem, action.verb.as_str()) {
            (Some(_), "delete") => false,
            (Some(_), "update") => true,
            (Some(_), _) => lines
                .peek()
                .is_some_and(|(_, next)| self::action(next).is_err()),
            (None, _) => true,
        };
        let document = lines.next_if(|_| has_document);
        let result = match problem {
            Some(problem) => Err((Kind::IllegalArgument, format!("line {}: {problem}", at + 1))),
            None => match document {
                Some((at, line)) => event(line, &batch).map_err(|problem| {
                    (Kind::DocumentParsing, format!("line {}: {problem}", at + 1))
                }),
                None => Err((
                    Kind::IllegalArgument,
                    format!(
                        "line {}: `{}` has no document behind it",
                        at + 1,
                        action.verb
                    ),
                )),
            },
        };
        let before = items.text.len();
        match result {
            Ok(draft) => {
                batch.take(draft)?;
                items.done(&action);
            }
            Err((kind, problem)) => {
                items.failed(&action, kind, &problem);
                batch.refuse(kind, problem);
            }
        }
        // The answer is in memory too.
        batch.context.memory.take(items.text.len() - before)?;
    }
    let outcome = batch.outcome();
    let answer = format!(
        r#"{{"took":0,"errors":{},"items":[{}]}}"#,
        outcome.refusals > 0,
        items.text
    );
    let mut response = response(StatusCode::OK, "application/json", answer);
    // The official clients refuse to talk to a server that does not say this.
    let product = HeaderValue::from_static("Elasticsearch");
    response.headers_mut().insert(ELASTIC_PRODUCT, product);
    Ok(Batch {
        events: outcome.events,
        response,
    })
}

/// The items of an answer, as text: a batch may have hundreds of thousands.
#[derive(Default)]
struct Items {
    text: String,
}

impl Items {
    fn done(&mut self, action: &Action) {
        self.item(action, r#""status":201,"result":"created""#);
    }

    fn failed(&mut self, action: &Action, kind: Kind, problem: &str) {
        let reason = Value::from(problem);
        let kind = kind.as_str();
        let error = format!(r#""status":400,"error":{{"type":"{kind}","reason":{reason}}}"#);
        self.item(action, &error);
    }

    fn item(&mut self, action: &Action, rest: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        let verb = Value::from(action.verb.as_str());
        let Action { index, id, .. } = action;
        // Writing to a string does not fail.
        let _ = write!(
            self.text,
            r#"{{{verb}:{{"_index":{index},"_id":{id},{rest}}}}}"#
        );
    }
}

impl Action {
    /// Stands for the action of a line that has none.
    fn unknown() -> Self {
        Self {
            verb: "index".to_owned(),
            index: "null".to_owned(),
            id: "null".to_owned(),
        }
    }
}

/// Reads a line as an action. What it says besides index and id makes no difference here.
fn action(line: &[u8]) -> Result<Action, LineError> {
    let document = read(line)?;
    let members = Members::of(&document.text).ok_or(LineError::NotAnObject("action"))?;
    let Some((verb, target)) = members.iter().next() else {
        return Err(LineError::EmptyAction);
    };
    if !["create", "index", "delete", "update"].contains(&verb) {
        let verb = super::draft::shortened(verb);
        return Err(LineError::UnknownAction(verb.into_owned()));
    }
    let target = match target {
        "null" => Members::default(),
        _ => Members::of(target).ok_or_else(|| LineError::Target(verb.to_owned()))?,
    };
    let echoed = |name: &str| {
        // What is neither text nor a number is nobody's index or id.
        let given = target
            .get(name)
            .filter(|json| !json.starts_with(['{', '[']));
        given.unwrap_or("null").to_owned()
    };
    Ok(Action {
        verb: verb.to_owned(),
        index: echoed("_index"),
        id: echoed("_id"),
    })
}

/// Reads a line as JSON.
fn read(line: &[u8]) -> Result<Document<'_>, LineError> {
    let mut scanner = Scanner::new(line);
    let piece = scanner.value().ok_or(LineError::Empty)?;
    let document = piece
        .read()
        .map_err(|broken| LineError::Json(broken.problem))?;
    match scanner.peek() {
        None => Ok(document),
        Some(_) => Err(LineError::More),
    }
}

fn event(line: &[u8], batch: &Collector<'_, '_, Kind>) -> Result<Draft, LineError> {
    let document = read(line)?;
    let members = Members::of(&document.text).ok_or(LineError::NotAnObject("document"))?;
    let message = members.get("message").filter(|json| json.starts_with('"'));
    let mut draft = match message {
        Some(message) => {
            let mut draft = batch.draft(string(message).into_owned());
            if let Some(parser) = batch.context.parser {
                parse::apply(parser, &mut draft);
            }
            draft
        }
        None => batch.draft(document.text.clone().into_owned()),
    };
    if document.is_replaced {
        draft.problem(REPLACED);
    }
    if let Some(time) = members.get("@timestamp").filter(|time| *time != "null") {
        draft.set_time(json_time(time, None), &text(time).unwrap_or_default());
    }
    let mut fits = true;
    for (name, value) in members.iter() {
        let is_own = name == "@timestamp" || (name == "message" && message.is_some());
        if is_own {
            continue;
        }
        // Without a message the document is the text.
        let fields = match message {
            Some(_) => &mut draft.sent,
            None => &mut draft.found,
        };
        fits &= flatten::flatten_member(name, value, fields);
    }
    if !fits && message.is_some() {
        draft.keep("document", &document.text);
    }
    Ok(draft)
}
