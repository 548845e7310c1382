//! Texts with wildcards, and regular expressions, as a query has them.

use regex::{Regex, RegexBuilder};

/// A text with wildcards. Never two stars in a row, never two literals in a row, no empty literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) parts: Vec<Part>,
}

/// A piece of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    Star,
}

impl Pattern {
    /// From a text in which `\` hides the meaning of `*`, `"` and itself. Any other `\` stands for
    /// itself, so that paths of Windows need no doubling.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '\\' => match chars.peek() {
                    Some(&next @ ('*' | '"' | '\\')) => {
                        literal.push(next);
                        chars.next();
                    }
                    _ => literal.push('\\'),
                },
                '*' => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    if parts.last() != Some(&Part::Star) {
                        parts.push(Part::Star);
                    }
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Self { parts }
    }

    /// Its literal pieces.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Star => None,
        })
    }

    /// The text, when there is no star in it.
    pub(crate) fn exact(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is one star.
    pub(crate) fn is_star(&self) -> bool {
        self.parts == [Part::Star]
    }

    /// Whether the whole of `value` is of this form.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let starts_open = self.parts.first() == Some(&Part::Star);
        let ends_open = self.parts.last() == Some(&Part::Star);
        let literals: Vec<&str> = self.literals().collect();
        let Some((last, before)) = literals.split_last() else {
            return starts_open || value.is_empty();
        };
        let mut rest = value;
        for (index, literal) in before.iter().enumerate() {
            let at = if index == 0 && !starts_open {
                rest.starts_with(literal).then_some(0)
            } else {
                rest.find(literal)
            };
            let Some(at) = at else { return false };
            rest = rest.get(at + literal.len()..).unwrap_or("");
        }
        let bound = before.is_empty() && !starts_open;
        match (bound, ends_open) {
            (true, true) => rest.starts_with(last),
            (true, false) => rest == *last,
            (false, true) => rest.contains(last),
            (false, false) => rest.ends_with(last),
        }
    }
}

/// A regular expression with its flags.
#[derive(Clone, Debug)]
pub(crate) struct RegexText {
    pub(crate) pattern: String,
    pub(crate) flags: Flags,
    pub(crate) compiled: Regex,
    /// What it takes in memory, at the most; without what threads keep.
    pub(crate) memory: usize,
}

impl PartialEq for RegexText {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.flags == other.flags
    }
}

/// What stands behind the second slash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `i`
    pub(crate) ignore_case: bool,
    /// `m`
    pub(crate) multi_line: bool,
    /// `d`
    pub(crate) dot_all: bool,
}

/// Bytes that a compiled expression may take. The least of these that is enough is what it counts
/// for: what it really takes, the library does not say.
const REGEX_BYTES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Bytes that a thread may keep of what it has found out about an expression.
const REGEX_CACHE_BYTES: usize = 256 << 10;

impl RegexText {
    pub(crate) fn new(pattern: String, flags: Flags) -> Result<Self, regex::Error> {
        let build = |bytes| {
            RegexBuilder::new(&pattern)
                .case_insensitive(flags.ignore_case)
                .multi_line(flags.multi_line)
                .dot_matches_new_line(flags.dot_all)
                .size_limit(bytes)
                .dfa_size_limit(REGEX_CACHE_BYTES)
                .nest_limit(64)
                .build()
        };
        let mut tried = Err(regex::Error::CompiledTooBig(0));
        for memory in REGEX_BYTES {
            tried = build(memory).map(|compiled| (compiled, memory));
            if !matches!(tried, Err(regex::Error::CompiledTooBig(_))) {
                break;
            }
        }
        let (compiled, memory) = tried?;
        Ok(Self {
            pattern,
            flags,
            compiled,
            memory,
        })
    }
}
