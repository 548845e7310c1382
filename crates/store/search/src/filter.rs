//! Filters, ready to be asked: about a row, and about what a row group may hold.

use std::borrow::Cow;

use memchr::memmem::Finder;
use regex::Regex;

use crate::event::{Event, ID, RAW, TIMESTAMP};
use crate::execute::Row;
use crate::gram::{self, Key};
use crate::query::{Expr, Operator, Pattern, RegexText, Value};

/// Something with fields: an event, a row of a segment, a row of a result.
pub(crate) trait Fields {
    /// The value of a field.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Whether free text is found: asks every value that free text looks at until one has it.
    fn any_text(&self, found: &mut dyn FnMut(&str) -> bool) -> bool;

    /// All fields, as a row of a result.
    fn to_row(&self) -> Row;
}

/// Whether free text looks at a field of this name.
pub(crate) fn is_text(name: &str) -> bool {
    !name.starts_with('#') && name != ID && name != TIMESTAMP
}

impl Fields for Event {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)
    }

    fn any_text(&self, found: &mut dyn FnMut(&str) -> bool) -> bool {
        found(&self.raw)
            || self
                .attributes()
                .into_iter()
                .any(|(name, value)| is_text(&name) && found(value))
    }

    fn to_row(&self) -> Row {
        let mut row = Row::new();
        row.insert(TIMESTAMP.to_owned(), self.timestamp_ms.into());
        row.insert(RAW.to_owned(), self.raw.as_str().into());
        row.insert(ID.to_owned(), self.id.as_str().into());
        for (name, value) in self.attributes() {
            row.insert(name.into_owned(), value.into());
        }
        row
    }
}

/// A value of a result as text.
pub(crate) fn text_of(value: &serde_json::Value) -> Cow<'_, str> {
    match value {
        serde_json::Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

impl Fields for Row {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(text_of)
    }

    fn any_text(&self, found: &mut dyn FnMut(&str) -> bool) -> bool {
        self.iter()
            .any(|(name, value)| is_text(name) && found(&text_of(value)))
    }

    fn to_row(&self) -> Row {
        self.clone()
    }
}

/// An [`Expr`], compiled for the events of one query.
#[derive(Debug)]
pub(crate) enum Filter {
    True,
    Text(Box<Text>),
    Regex { regex: Regex, looks_around: bool },
    Field(Field),
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
}

/// Free text: pieces that follow each other, folded.
#[derive(Debug)]
pub(crate) struct Text {
    first: Finder<'static>,
    then: Vec<Finder<'static>>,
}

/// A condition on one field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    negated: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Exact(String),
    Wildcards(Pattern),
    Regex(Regex),
    Number(Operator, f64),
}

impl Filter {
    pub(crate) fn new(expr: &Expr) -> Self {
        match expr {
            Expr::True => Self::True,
            Expr::Text(pattern) => {
                let mut pieces = pattern.literals().map(|literal| {
                    let mut folded = Vec::new();
                    gram::fold(literal, &mut folded);
                    Finder::new(&folded).into_owned()
                });
                match pieces.next() {
                    None => Self::True,
                    Some(first) => Self::Text(Box::new(Text {
                        first,
                        then: pieces.collect(),
                    })),
                }
            }
            Expr::Regex(regex) => Self::Regex {
                regex: regex.compiled.clone(),
                looks_around: looks_around(regex),
            },
            Expr::Compare {
                field,
                operator,
                value,
            } => Self::Field(Field {
                name: field.clone(),
                negated: *operator == Operator::NotEqual,
                test: match value {
                    Value::Pattern(pattern) if pattern.is_star() => Test::Present,
                    Value::Pattern(pattern) => match pattern.exact() {
                        Some(text) => Test::Exact(text.to_owned()),
                        None => Test::Wildcards(pattern.clone()),
                    },
                    Value::Regex(regex) => Test::Regex(regex.compiled.clone()),
                    Value::Number(number) => Test::Number(*operator, *number),
                },
            }),
            Expr::And(parts) => Self::And(parts.iter().map(Self::new).collect()),
            Expr::Or(parts) => Self::Or(parts.iter().map(Self::new).collect()),
            Expr::Not(inner) => Self::Not(Box::new(Self::new(inner))),
        }
    }

    /// Whether a row passes. `scratch` saves allocations between calls.
    pub(crate) fn matches(&self, row: &dyn Fields, scratch: &mut Vec<u8>) -> bool {
        match self {
            Self::True => true,
            Self::Text(text) => row.any_text(&mut |value| {
                scratch.clear();
                gram::fold(value, scratch);
                text.found_in(scratch)
            }),
            Self::Regex { regex, .. } => row.any_text(&mut |value| regex.is_match(value)),
            Self::Field(field) => field.matches(row.value(&field.name).as_deref()),
            Self::And(parts) => parts.iter().all(|part| part.matches(row, scratch)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(row, scratch)),
            Self::Not(inner) => !inner.matches(row, scratch),
        }
    }
}

impl Text {
    /// Whether it is in a folded text.
    fn found_in(&self, folded: &[u8]) -> bool {
        self.first
            .find(folded)
            .is_some_and(|at| self.rest_found_in(folded, at))
    }

    /// Whether the later pieces follow the first one, which stands at `at`. The first place of
    /// each piece leaves the most room for the next, so no other need be tried.
    fn rest_found_in(&self, folded: &[u8], at: usize) -> bool {
        let mut from = at + self.first.needle().len();
        self.then.iter().all(|piece| {
            let rest = folded.get(from..).unwrap_or(&[]);
            piece
                .find(rest)
                .map(|at| from += at + piece.needle().len())
                .is_some()
        })
    }

    /// Marks the texts of a buffer that have it. Text n is `ends[n - 1]..ends[n]` (from 0 for the
    /// first) of `folded`. One search over the whole buffer is faster than one in each text.
    pub(crate) fn mark(&self, folded: &[u8], ends: &[usize], hits: &mut [bool]) {
        let mut from = 0;
        let needle = self.first.needle().len();
        while let Some(at) = folded.get(from..).and_then(|rest| self.first.find(rest)) {
            let at = from + at;
            let index = ends.partition_point(|end| *end <= at);
            let Some(&end) = ends.get(index) else { return };
            if at + needle > end {
                // It lies across two texts.
                from = at + 1;
                continue;
            }
            if folded
                .get(..end)
                .is_some_and(|text| self.rest_found_in(text, at))
                && let Some(hit) = hits.get_mut(index)
            {
                *hit = true;
            }
            from = end;
        }
    }
}

impl Field {
    /// Whether a value, or its absence, passes.
    pub(crate) fn matches(&self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return self.negated;
        };
        let holds = match &self.test {
            Test::Present => true,
            Test::Exact(text) => value == text,
            Test::Wildcards(pattern) => pattern.matches(value),
            Test::Regex(regex) => regex.is_match(value),
            Test::Number(operator, number) => {
                let value = value.trim().parse::<f64>().ok().filter(|v| v.is_finite());
                value.is_some_and(|value| match operator {
                    Operator::Less => value < *number,
                    Operator::LessEqual => value <= *number,
                    Operator::Greater => value > *number,
                    Operator::GreaterEqual => value >= *number,
                    Operator::Equal | Operator::NotEqual => value == *number,
                })
            }
        };
        holds != self.negated
    }
}

/// What a row group's filter must hold for a row of it to pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing is known: any row group may have such a row.
    Anything,
    /// Letters that are folded oddly.
    OddCase,
    /// All of these keys.
    Keys(Vec<Key>),
    All(Vec<Need>),
    Any(Vec<Need>),
}

impl Need {
    pub(crate) fn new(expr: &Expr) -> Self {
        match expr {
            Expr::True | Expr::Not(_) => Self::Anything,
            Expr::Text(pattern) => texts(pattern.literals()),
            Expr::Regex(regex) => regex_need(regex),
            Expr::Compare {
                field,
                operator,
                value,
            } => {
                if *operator == Operator::NotEqual || field == TIMESTAMP {
                    return Self::Anything;
                }
                compare_need(field, value)
            }
            Expr::And(parts) => Self::All(parts.iter().map(Self::new).collect()),
            Expr::Or(parts) => Self::Any(parts.iter().map(Self::new).collect()),
        }
    }

    /// Whether asking a filter can be of any use.
    pub(crate) fn says_anything(&self) -> bool {
        match self {
            Self::Anything | Self::OddCase => false,
            Self::Keys(keys) => !keys.is_empty(),
            Self::All(parts) => parts.iter().any(Self::says_anything),
            Self::Any(parts) => parts
                .iter()
                .all(|part| *part == Self::OddCase || part.says_anything()),
        }
    }

    /// Whether a row group with this filter, and with or without odd letters, may have a row that
    /// passes.
    pub(crate) fn may_be_met(&self, filter: &[u8], odd_case: bool) -> bool {
        match self {
            Self::Anything => true,
            Self::OddCase => odd_case,
            Self::Keys(keys) => keys.iter().all(|key| gram::may_contain(filter, *key)),
            Self::All(parts) => parts.iter().all(|part| part.may_be_met(filter, odd_case)),
            Self::Any(parts) => parts.iter().any(|part| part.may_be_met(filter, odd_case)),
        }
    }
}

fn texts<'a>(literals: impl Iterator<Item = &'a str>) -> Need {
    let mut keys = Vec::new();
    let mut folded = Vec::new();
    for literal in literals {
        folded.clear();
        gram::fold(literal, &mut folded);
        gram::grams(&folded, |gram| keys.push(gram.key()));
    }
    Need::Keys(keys)
}

fn compare_need(field: &str, value: &Value) -> Need {
    if field == RAW || field == ID {
        // Every event has them; the filter holds the grams of the one, the values of the other.
        return match value {
            Value::Pattern(pattern) if field == RAW => texts(pattern.literals()),
            Value::Regex(regex) if field == RAW => regex_need(regex),
            Value::Pattern(pattern) => match pattern.exact() {
                Some(text) => Need::Keys(Key::pair(field, text).to_vec()),
                None => Need::Anything,
            },
            _ => Need::Anything,
        };
    }
    let name = Need::Keys(Key::name(field).to_vec());
    let more = match value {
        Value::Pattern(pattern) => match pattern.exact() {
            Some(text) => return Need::Keys(Key::pair(field, text).to_vec()),
            None if is_text(field) => texts(pattern.literals()),
            None => Need::Anything,
        },
        Value::Regex(regex) if is_text(field) => regex_need(regex),
        _ => Need::Anything,
    };
    Need::All(vec![name, more])
}

fn hir(regex: &RegexText, ignore_case: bool) -> Option<regex_syntax::hir::Hir> {
    regex_syntax::ParserBuilder::new()
        .case_insensitive(ignore_case)
        .multi_line(regex.flags.multi_line)
        .dot_matches_new_line(regex.flags.dot_all)
        .nest_limit(64)
        .build()
        .parse(&regex.pattern)
        .ok()
}

/// Whether what is around a match decides over it, so that it may match a field's value and not
/// the raw text that has the same value within.
fn looks_around(regex: &RegexText) -> bool {
    hir(regex, false).is_none_or(|hir| !hir.properties().look_set().is_empty())
}

/// The grams of what every match of an expression has in it.
fn regex_need(regex: &RegexText) -> Need {
    // With the flag `i` each letter would be a class. Folding does the same for ASCII letters, but
    // for two odd characters, of which the filter knows.
    let Some(hir) = hir(regex, false) else {
        return Need::Anything;
    };
    let mut literals = Vec::new();
    required(&hir, &mut literals);
    if !regex.flags.ignore_case {
        return texts(literals.iter().map(String::as_str));
    }
    let ascii = literals
        .iter()
        .flat_map(|literal| literal.split(|c: char| !c.is_ascii()));
    Need::Any(vec![Need::OddCase, texts(ascii)])
}

fn required(hir: &regex_syntax::hir::Hir, into: &mut Vec<String>) {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Literal(literal) => {
            if let Ok(text) = std::str::from_utf8(&literal.0) {
                into.push(text.to_owned());
            }
        }
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub, into),
        HirKind::Capture(capture) => required(&capture.sub, into),
        HirKind::Concat(parts) => parts.iter().for_each(|part| required(part, into)),
        _ => {}
    }
}
