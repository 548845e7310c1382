//! TOML as a flat table: each dotted key with its value and its line.

use std::collections::BTreeMap;

use toml::de::{DeInteger, DeTable, DeValue};

use crate::error::{Origin, Problem};

/// A value as far as a pair has use for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    Table,
    /// A date, a list, a number that is not whole…: by its name in TOML.
    Other(&'static str),
}

impl Value {
    /// For "must be …, not …".
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text in quotes",
            Self::Integer(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::Table => "a table",
            Self::Other(name) => name,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) line: usize,
}

/// More of them are not listed: the file is another one then.
const MAX_LISTED_NAMES: usize = 20;

/// All keys, tables among them.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Keys that no pair can have, because they would need quotes.
    pub(crate) quoted: Vec<Problem>,
}

impl Document {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| Problem {
            origin: error.span().map_or(Origin::Nowhere, |span| {
                Origin::Line(lines.number(span.start))
            }),
            key: String::new(),
            message: format!("not valid TOML: {}", error.message().replace('\n', ", ")),
        })?;
        let mut document = Self::default();
        document.add(table.get_ref(), "", &lines);
        Ok(document)
    }

    /// The parser bounds the depth.
    fn add(&mut self, table: &DeTable<'_>, parent: &str, lines: &Lines) {
        for (name, value) in table {
            let line = lines.number(name.span().start);
            let name: &str = name.get_ref();
            let key = if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}.{name}")
            };
            let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(bare) {
                if self.quoted.len() == MAX_LISTED_NAMES {
                    continue;
                }
                self.quoted.push(Problem {
                    origin: Origin::Line(line),
                    key: parent.to_owned(),
                    message: format!(
                        "unknown key {:?}: no key of a pair needs quotes; remove it",
                        shortened(name)
                    ),
                });
                continue;
            }
            let flat = match value.get_ref() {
                DeValue::String(text) => Value::Text(text.clone().into_owned()),
                DeValue::Integer(integer) => {
                    whole(integer).map_or(Value::Other("a number beyond 64 bits"), Value::Integer)
                }
                DeValue::Boolean(flag) => Value::Flag(*flag),
                DeValue::Float(_) => Value::Other("a number with a point"),
                DeValue::Datetime(_) => Value::Other("a date or time"),
                DeValue::Array(_) => Value::Other("a list"),
                DeValue::Table(inner) => {
                    self.add(inner, &key, lines);
                    Value::Table
                }
            };
            self.entries.insert(key, Entry { value: flat, line });
        }
    }
}

fn whole(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A name from the file, cut where it is too long to be read.
pub(crate) fn shortened(name: &str) -> String {
    const MAX_NAME_CHARS: usize = 60;
    match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Where the lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    /// The number of the line that has this byte.
    fn number(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte) + 1
    }
}
