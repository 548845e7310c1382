//! Keys asked for by name. What is asked for is what is known: so an unknown key is found, and the
//! known one that was meant is named, without a second list of all keys that could go stale.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::RangeInclusive;

use crate::document::{Document, Value, shortened};
use crate::error::{Origin, Problem};
use crate::names::Rule;

/// What the variables begin with that override keys of the file. The rest of the name is the key in
/// capitals, with two underscores for each dot: `primary.storage.account` is
/// `BACKSTAY_PAIR__PRIMARY__STORAGE__ACCOUNT`. An empty value counts as unset.
pub const OVERRIDE_PREFIX: &str = "BACKSTAY_PAIR__";

/// Tables whose keys are free.
const OPEN_TABLES: [&str; 1] = ["environment"];

/// More unknown keys than this are not listed: the file is another one then.
const MAX_LISTED_KEYS: usize = 20;
/// A longer name is not looked for among the known ones.
const MAX_COMPARED_BYTES: usize = 80;

pub(crate) struct Reader {
    document: Document,
    /// By dotted key.
    overrides: BTreeMap<String, Override>,
    asked: BTreeSet<String>,
    problems: Vec<Problem>,
}

struct Override {
    variable: String,
    value: String,
}

impl Reader {
    pub(crate) fn new(
        document: Document,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut problems = document.quoted.clone();
        let mut overrides = BTreeMap::new();
        for (name, value) in variables {
            // A name that is no text is not ours.
            let Some(rest) = name
                .to_str()
                .and_then(|name| name.strip_prefix(OVERRIDE_PREFIX))
            else {
                continue;
            };
            if value.is_empty() {
                continue;
            }
            let variable = format!("{OVERRIDE_PREFIX}{rest}");
            let key = key_of(rest);
            // Otherwise two variables could mean one key.
            if !is_capital(rest) {
                problems.push(Problem {
                    origin: Origin::Variable(shortened(&variable)),
                    key: String::new(),
                    message: "the name of a variable that overrides a key is in capitals, with \
                              two underscores for each dot; correct or remove it"
                        .to_owned(),
                });
                continue;
            }
            match value.into_string() {
                Ok(value) => {
                    overrides.insert(key, Override { variable, value });
                }
                Err(_) => problems.push(Problem {
                    origin: Origin::Variable(variable),
                    key,
                    message: "its value is not UTF-8; correct or remove the variable".to_owned(),
                }),
            }
        }
        Self {
            document,
            overrides,
            asked: BTreeSet::new(),
            problems,
        }
    }

    /// Where a key's value comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        if let Some(over) = self.overrides.get(key) {
            return Origin::Variable(over.variable.clone());
        }
        match self.document.entries.get(key) {
            Some(entry) => Origin::Line(entry.line),
            None => Origin::Nowhere,
        }
    }

    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            origin: self.origin(key),
            key: key.to_owned(),
            message: message.into(),
        });
    }

    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Whether a key is there at all, without asking for it.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.origin(key) != Origin::Nowhere
    }

    /// A text that may be left out.
    pub(crate) fn optional(&mut self, key: &str, rule: Rule) -> Option<String> {
        self.asked.insert(key.to_owned());
        let text = match self.overrides.get(key) {
            Some(over) => over.value.clone(),
            None => match self.document.entries.get(key).map(|entry| &entry.value) {
                None => return None,
                Some(Value::Text(text)) => text.clone(),
                Some(other) => {
                    let message = format!("must be text in quotes, not {}", other.type_name());
                    self.problem(key, message);
                    return None;
                }
            },
        };
        match rule(&text) {
            Ok(()) => Some(text),
            Err(problem) => {
                self.problem(key, problem.to_string());
                None
            }
        }
    }

    pub(crate) fn text_or(&mut self, key: &str, default: &str, rule: Rule) -> String {
        self.optional(key, rule)
            .unwrap_or_else(|| default.to_owned())
    }

    /// A text that must be there. `what` completes "set it to …". Where there is none, a problem is
    /// noted and the answer is empty.
    pub(crate) fn text(&mut self, key: &str, what: &str, rule: Rule) -> String {
        match self.optional(key, rule) {
            Some(text) => text,
            None => {
                self.missing(key, what);
                String::new()
            }
        }
    }

    /// A whole number; one without a default must be there.
    pub(crate) fn number(
        &mut self,
        key: &str,
        default: Option<u32>,
        range: RangeInclusive<u32>,
    ) -> u32 {
        self.asked.insert(key.to_owned());
        let must = format!("a whole number from {} to {}", range.start(), range.end());
        let found: Result<i64, &'static str> = match self.overrides.get(key) {
            Some(over) => over.value.trim().parse().map_err(|_| "text"),
            None => match self.document.entries.get(key).map(|entry| &entry.value) {
                None => {
                    if default.is_none() {
                        self.missing(key, &must);
                    }
                    return default.unwrap_or(*range.start());
                }
                Some(Value::Integer(number)) => Ok(*number),
                Some(other) => Err(other.type_name()),
            },
        };
        match found.map(u32::try_from) {
            Ok(Ok(number)) if range.contains(&number) => return number,
            Ok(_) => self.problem(key, format!("must be {must}")),
            Err(type_name) => self.problem(key, format!("must be {must}, not {type_name}")),
        }
        *range.start()
    }

    /// Whether a key has text of its own, where a table may stand as well.
    pub(crate) fn is_text(&self, key: &str) -> bool {
        let entry = self.document.entries.get(key).map(|entry| &entry.value);
        self.overrides.contains_key(key) || entry.is_some_and(|it| *it != Value::Table)
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, key: &str, default: bool) -> bool {
        self.asked.insert(key.to_owned());
        let found = match self.overrides.get(key) {
            Some(over) => over.value.parse().map_err(|_| "text"),
            None => match self.document.entries.get(key).map(|entry| &entry.value) {
                None => return default,
                Some(Value::Flag(flag)) => Ok(*flag),
                Some(other) => Err(other.type_name()),
            },
        };
        found.unwrap_or_else(|type_name| {
            self.problem(key, format!("must be true or false, not {type_name}"));
            default
        })
    }

    /// One word of several.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &str,
        default: Option<T>,
        words: &[(&str, T)],
        fallback: T,
    ) -> T {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let all = all.join(" or ");
        let Some(text) = self.optional(key, |_| Ok(())) else {
            if default.is_none() {
                self.missing(key, &all);
            }
            return default.unwrap_or(fallback);
        };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *value,
            None => {
                self.problem(key, format!("must be {all}"));
                fallback
            }
        }
    }

    /// The keys of an open table, as text.
    pub(crate) fn open_table(&mut self, table: &str) -> BTreeMap<String, String> {
        self.asked.insert(table.to_owned());
        let mut found = BTreeMap::new();
        if let Some(entry) = self.document.entries.get(table)
            && entry.value != Value::Table
        {
            let message = format!("must be a table, not {}", entry.value.type_name());
            self.problem(table, message);
            return found;
        }
        let start = format!("{table}.");
        let mut wrong = Vec::new();
        for (key, entry) in self.document.entries.range(start.clone()..) {
            let Some(name) = key.strip_prefix(&start) else {
                break;
            };
            let text = match &entry.value {
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
                other => {
                    wrong.push((
                        key.clone(),
                        format!(
                            "must be text, a number or a flag, not {}",
                            other.type_name()
                        ),
                    ));
                    continue;
                }
            };
            // What is in a table in the table has been found wrong with it.
            if !name.contains('.') {
                found.insert(name.to_owned(), text);
            }
        }
        for (key, over) in self.overrides.range(start.clone()..) {
            let Some(name) = key.strip_prefix(&start) else {
                break;
            };
            found.insert(name.to_owned(), over.value.clone());
        }
        for (key, message) in wrong {
            self.problem(&key, message);
        }
        found
    }

    #[cfg(test)]
    pub(crate) fn asked(&self) -> &BTreeSet<String> {
        &self.asked
    }

    /// Everything that is wrong, unknown keys included, in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.unknown();
        let place = |problem: &Problem| match &problem.origin {
            Origin::Line(line) => (0, *line),
            Origin::Variable(_) => (1, 0),
            Origin::Nowhere => (2, 0),
        };
        self.problems.sort_by_key(place);
        self.problems
    }

    fn missing(&mut self, key: &str, what: &str) {
        // A value that is there but wrong has its problem already.
        if !self.is_set(key) {
            self.problem(key, format!("is missing; set it to {what}"));
        }
    }

    fn unknown(&mut self) {
        let mut tables = BTreeSet::new();
        for key in &self.asked {
            tables.extend(key.match_indices('.').map(|(dot, _)| key[..dot].to_owned()));
        }
        let in_open = |key: &str| {
            OPEN_TABLES.iter().any(|table| {
                key.strip_prefix(table)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
        };
        let mut found = Vec::new();
        let mut reported: BTreeSet<String> = BTreeSet::new();
        for (key, entry) in &self.document.entries {
            if reported.len() == MAX_LISTED_KEYS {
                break;
            }
            if tables.contains(key) {
                if entry.value != Value::Table {
                    found.push((
                        key.clone(),
                        format!("must be a table, not {}", entry.value.type_name()),
                    ));
                }
                continue;
            }
            // A table of unknown name is one problem, not one for each of its keys; and one in the
            // place of a value has been found when that was asked for.
            let covered = key
                .match_indices('.')
                .any(|(dot, _)| reported.contains(&key[..dot]) || self.asked.contains(&key[..dot]));
            if self.asked.contains(key) || in_open(key) || covered {
                continue;
            }
            reported.insert(key.clone());
            found.push((key.clone(), self.not_known(key, &tables)));
        }
        for (key, over) in &self.overrides {
            if !self.asked.contains(key) && !in_open(key) {
                let mut message = "no key of a pair is called so".to_owned();
                if let Some(meant) = self.meant(key, &tables) {
                    let name = variable_of(&meant);
                    message = format!("{message}; did you mean {name}?");
                } else {
                    message.push_str("; remove the variable");
                }
                self.problems.push(Problem {
                    origin: Origin::Variable(over.variable.clone()),
                    key: shortened(key),
                    message,
                });
            }
        }
        for (key, message) in found {
            self.problems.push(Problem {
                origin: self
                    .document
                    .entries
                    .get(&key)
                    .map_or(Origin::Nowhere, |entry| Origin::Line(entry.line)),
                key: shortened(&key),
                message,
            });
        }
    }

    fn not_known(&self, key: &str, tables: &BTreeSet<String>) -> String {
        match self.meant(key, tables) {
            Some(meant) => format!("unknown key; did you mean `{meant}`?"),
            None => {
                let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent);
                let known: Vec<&str> = self
                    .children(parent, tables)
                    .map(|key| key.rsplit_once('.').map_or(key, |(_, name)| name))
                    .collect();
                format!("unknown key; known here are {}", known.join(", "))
            }
        }
    }

    /// Known keys and tables right below `parent`.
    fn children<'a>(
        &'a self,
        parent: &'a str,
        tables: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = &'a str> {
        let all: BTreeSet<&str> = self
            .asked
            .iter()
            .chain(tables)
            .map(String::as_str)
            .collect();
        all.into_iter()
            .filter(move |key| key.rsplit_once('.').map_or("", |(above, _)| above) == parent)
    }

    /// The known key that is most like this one: of the same table, else of the same name.
    fn meant(&self, key: &str, tables: &BTreeSet<String>) -> Option<String> {
        let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
        if key.len() > MAX_COMPARED_BYTES {
            return None;
        }
        let last = |key: &str| {
            key.rsplit_once('.')
                .map_or(key, |(_, name)| name)
                .to_owned()
        };
        let allowed = (name.len() / 3).max(2);
        let beside = self
            .children(parent, tables)
            .map(|key| (strsim::osa_distance(name, &last(key)), key))
            .filter(|(distance, _)| *distance <= allowed)
            .min();
        if let Some((_, key)) = beside {
            return Some(key.to_owned());
        }
        let similar = |known: &&String| strsim::osa_distance(key, known) <= 2;
        self.asked
            .iter()
            .find(similar)
            .or_else(|| self.asked.iter().find(|known| last(known) == name))
            .cloned()
    }
}

/// `PRIMARY__STORAGE__ACCOUNT` is `primary.storage.account`; the names of an open table stay as they
/// are.
fn key_of(rest: &str) -> String {
    for table in OPEN_TABLES {
        let start = format!("{}__", table.to_ascii_uppercase());
        if let Some(name) = rest.strip_prefix(&start) {
            return format!("{table}.{name}");
        }
    }
    rest.split("__")
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join(".")
}

/// The names of an open table are written as they are.
fn is_capital(rest: &str) -> bool {
    OPEN_TABLES
        .iter()
        .any(|table| rest.starts_with(&format!("{}__", table.to_ascii_uppercase())))
        || !rest.contains(|c: char| c.is_ascii_lowercase())
}

fn variable_of(key: &str) -> String {
    format!(
        "{OVERRIDE_PREFIX}{}",
        key.replace('.', "__").to_ascii_uppercase()
    )
}
