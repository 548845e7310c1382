//! An event in the making, and what all formats decide alike: whose fields win, which times are
//! times, how many fields are too many, and how an event says what was wrong with it.
//!
//! Nothing that is acknowledged is lost for any of this. What does not become fields is still in
//! the text; where it did not come in the text, the field `@excess` has it as JSON.

use std::borrow::Cow;
use std::collections::HashSet;

use backstay_search::{Event, REPOSITORY};

use super::json::flatten::{DEPTH, flatten};
use super::times;

/// Longest name of a field, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 1024;
/// Set to `true` where something was wrong with an event.
const ERROR: &str = "@error";
/// The field that lists what is wrong with an event.
const ERROR_MESSAGE: &str = "@error_msg";
/// What became no field, and is not in the text either.
const EXCESS: &str = "@excess";
/// A time that is no time of an event, as it came.
const GIVEN_TIME: &str = "@timestamp.given";
/// Names that are members of the event itself, and the tag that says where it is, which nobody else
/// does.
const RESERVED_NAMES: [&str; 4] = ["@timestamp", "@rawstring", "@id", REPOSITORY];
/// Most problems that one event lists.
const MAX_PROBLEMS: usize = 8;

/// Why something became no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptOut {
    Many,
    Long,
    Deep,
    Own,
}

/// Fields within bounds: no more than so many, and none with an overlong name.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pairs: Vec<(String, String)>,
    most: usize,
    /// They were found in the text of the event.
    is_of_text: bool,
    kept_out: Option<KeptOut>,
}

impl Fields {
    fn new(most: usize, is_of_text: bool) -> Self {
        Self {
            pairs: Vec::new(),
            most,
            is_of_text,
            kept_out: None,
        }
    }

    /// None yet, within the same bounds.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.most, self.is_of_text)
    }

    /// Adds one; false if it is kept out.
    pub(crate) fn push(&mut self, name: &str, value: &str) -> bool {
        let problem = if RESERVED_NAMES.contains(&name) {
            if self.is_of_text {
                return true;
            }
            KeptOut::Own
        } else if name.len() > MAX_NAME_BYTES {
            KeptOut::Long
        } else if self.is_full() {
            KeptOut::Many
        } else {
            self.pairs.push((name.to_owned(), value.to_owned()));
            return true;
        };
        self.kept_out.get_or_insert(problem);
        false
    }

    /// Counts one that is nested too deep.
    pub(super) fn keep_out_deep(&mut self) -> bool {
        self.kept_out.get_or_insert(KeptOut::Deep);
        false
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pairs.len() >= self.most
    }

    /// The last value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn problem(&self) -> Option<String> {
        let place = if self.is_of_text {
            "the rest is in @rawstring only"
        } else {
            "all of it is in @excess"
        };
        Some(match self.kept_out? {
            KeptOut::Many => format!("there are more than {} fields; {place}", self.most),
            KeptOut::Long => {
                format!("the name of a field is longer than {MAX_NAME_BYTES} bytes; {place}")
            }
            KeptOut::Deep => format!("fields are nested deeper than {DEPTH} levels; {place}"),
            KeptOut::Own => {
                format!("a field cannot be called @timestamp, @rawstring, @id or #repo; {place}")
            }
        })
    }
}

/// An event in the making.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) raw: String,
    pub(crate) tags: Vec<(String, String)>,
    /// What was found in the text.
    pub(crate) found: Fields,
    /// What the shipper says besides. It wins over what was found.
    pub(crate) sent: Fields,
    /// Pairs of JSON: what is in no field and not in the text.
    excess: Vec<(String, String)>,
    time: Option<i64>,
    given_time: Option<String>,
    problems: Vec<Cow<'static, str>>,
    now_ms: i64,
}

impl Draft {
    /// One of this text, and of now until a time is found.
    pub(crate) fn new(raw: String, most_fields: usize, now_ms: i64) -> Self {
        Self {
            raw,
            tags: Vec::new(),
            found: Fields::new(most_fields, true),
            sent: Fields::new(most_fields, false),
            excess: Vec::new(),
            time: None,
            given_time: None,
            problems: Vec::new(),
            now_ms,
        }
    }

    /// When it came.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Sets its time; what is not the time of an event is kept beside it.
    pub(crate) fn set_time(&mut self, ms: Option<i64>, given: &str) {
        if let Some(ms) = ms.filter(|ms| times::is_of_event(*ms, self.now_ms)) {
            self.time = Some(ms);
            return;
        }
        let problem = match ms {
            None => "is not a valid time",
            Some(ms) if ms > self.now_ms => "is in the future",
            Some(_) => "is before 1971",
        };
        self.problem(format!(
            "the time {} {problem}; it is set to when the event came, unless it has another",
            shortened(given)
        ));
        self.given_time = Some(given.to_owned());
    }

    /// Takes down that something is wrong with it.
    pub(crate) fn problem(&mut self, problem: impl Into<Cow<'static, str>>) {
        let problem = problem.into();
        if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// A tag. There may be one of a name.
    pub(crate) fn tag(&mut self, name: &str, value: &str) {
        if bare(name) == bare(REPOSITORY) {
            self.problem("a tag cannot be called #repo; it is in @excess");
            self.keep(REPOSITORY, &serde_json::Value::from(value).to_string());
        } else if !self.tags.iter().any(|(known, _)| bare(known) == bare(name)) {
            self.tags.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The tag `#type`: which parser takes it apart, whatever the shipper says.
    pub(crate) fn parsed_by(&mut self, parser: &str) {
        if let Some(at) = self.tags.iter().position(|(name, _)| bare(name) == "type") {
            let (_, given) = self.tags.remove(at);
            if given != parser {
                self.problem("the tag #type is the parser's name; the other one is in @excess");
                self.keep("#type", &serde_json::Value::from(given).to_string());
            }
        }
        self.tag("type", parser);
    }

    /// Adds what the shipper sent under a name, as JSON. What does not become fields is kept as it came.
    pub(super) fn add_sent(&mut self, name: &str, json: &str, prefix: &str) {
        if !flatten(prefix, json, &mut self.sent) {
            self.keep(name, json);
        }
    }

    /// Keeps JSON that becomes no field.
    pub(super) fn keep(&mut self, name: &str, json: &str) {
        self.excess.push((name.to_owned(), json.to_owned()));
    }

    /// The event. Of two values of one name the later one counts, the shipper's last.
    pub(crate) fn finish(self) -> Event {
        let (mut found, mut sent, mut problems) = (self.found, self.sent, self.problems);
        let found_pairs = std::mem::take(&mut found.pairs);
        let sent_pairs = std::mem::take(&mut sent.pairs);
        let (mut fields, is_cut) = merged(found_pairs, sent_pairs, found.most);
        if is_cut {
            found.kept_out.get_or_insert(KeptOut::Many);
        }
        for problem in [found.problem(), sent.problem()] {
            problems.extend(problem.map(Cow::Owned));
        }
        if !problems.is_empty() {
            set(&mut fields, ERROR, "true".to_owned());
            set(&mut fields, ERROR_MESSAGE, problems.join("; "));
        }
        if !self.excess.is_empty() {
            set(&mut fields, EXCESS, object(&self.excess));
        }
        if let Some(given) = self.given_time {
            set(&mut fields, GIVEN_TIME, given);
        }
        Event {
            timestamp_ms: self.time.unwrap_or(self.now_ms),
            raw: self.raw,
            id: String::new(),
            tags: self.tags,
            fields,
        }
    }
}

/// Each name once, with its last value, and no more than `most`: what was sent stays, and whether
/// something that was found does not.
fn merged(
    found: Vec<(String, String)>,
    sent: Vec<(String, String)>,
    most: usize,
) -> (Vec<(String, String)>, bool) {
    let of_text = found.len();
    let mut room = most.saturating_sub(sent.len());
    let mut pairs = found;
    pairs.extend(sent);
    let mut names = HashSet::with_capacity(pairs.len());
    let mut is_last: Vec<bool> = pairs
        .iter()
        .rev()
        .map(|(name, _)| names.insert(name.as_str()))
        .collect();
    is_last.reverse();
    let mut is_cut = false;
    let mut at = 0;
    pairs.retain(|_| {
        let is_kept = is_last.get(at).is_some_and(|is_last| *is_last);
        let is_found = at < of_text;
        at += 1;
        if is_kept && is_found && room == 0 {
            is_cut = true;
            return false;
        }
        room -= usize::from(is_kept && is_found);
        is_kept
    });
    (pairs, is_cut)
}

/// Sets a field of our own, whatever the event says of it.
fn set(fields: &mut Vec<(String, String)>, name: &str, value: String) {
    fields.retain(|(known, _)| known != name);
    fields.push((name.to_owned(), value));
}

/// Values that are JSON, as an object.
fn object(members: &[(String, String)]) -> String {
    let mut json = String::from("{");
    for (name, value) in members {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&serde_json::Value::from(name.as_str()).to_string());
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}

/// A tag's name without the sign that tags begin with.
fn bare(name: &str) -> &str {
    name.strip_prefix('#').unwrap_or(name)
}

/// Enough of a value to find it in one's own data.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const MAX_SHOWN_CHARS: usize = 60;
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}
