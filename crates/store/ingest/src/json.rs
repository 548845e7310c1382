//! JSON as it comes from outside: value by value, so that one that is broken is that one alone.
//!
//! A body is cut into values by [`Scanner`], which is strict within a value and goes on behind one
//! that is not JSON. A value stays text: what is parsed into numbers and maps loses the digits, the
//! order and the doubled names that came. All of this is linear in the bytes.

pub(crate) mod flatten;

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Says of a text that something in it had to be replaced.
pub(crate) const REPLACED: &str = "bytes that are not valid text have been replaced by U+FFFD";

/// Reads a body value by value.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many bytes may still be read a second time, to find where a broken value ends.
    patience: usize,
    is_by_lines: bool,
}

/// A value of a body.
pub(super) struct BodyValue<'a> {
    bytes: &'a [u8],
    /// Why it is not JSON.
    problem: Option<String>,
}

/// JSON that can be read: text, without lone surrogates.
pub(super) struct Document<'a> {
    pub(super) text: Cow<'a, str>,
    /// Something had to be replaced for that.
    pub(super) is_replaced: bool,
}

/// A value that cannot be read as JSON, as text.
pub(super) struct Broken<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) problem: String,
}

impl<'a> BodyValue<'a> {
    /// Reads the value as JSON.
    pub(super) fn read(self) -> Result<Document<'a>, Broken<'a>> {
        let text = String::from_utf8_lossy(self.bytes);
        if let Some(problem) = self.problem {
            return Err(Broken { text, problem });
        }
        let mut document = Document {
            is_replaced: matches!(text, Cow::Owned(_)),
            text,
        };
        if let Some(mended) = without_lone_surrogates(&document.text) {
            document.is_replaced = true;
            document.text = Cow::Owned(mended);
        }
        Ok(document)
    }
}

impl<'a> Scanner<'a> {
    /// Reads these bytes. A byte-order mark in front of them is no part of them.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        Self {
            bytes,
            at: 0,
            patience: bytes.len().saturating_mul(4),
            is_by_lines: false,
        }
    }

    /// The same where values mostly stand on lines of their own.
    pub(super) fn by_lines(bytes: &'a [u8]) -> Self {
        Self {
            is_by_lines: true,
            ..Self::new(bytes)
        }
    }

    /// The next byte that is no white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.bytes.get(self.at..)?;
        self.at += rest.len() - rest.trim_ascii_start().len();
        self.bytes.get(self.at).copied()
    }

    /// Steps over the next byte if it is this one.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Where it is, in bytes.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The next value, and steps behind it. Always steps on where there is anything.
    pub(super) fn value(&mut self) -> Option<BodyValue<'a>> {
        let first = self.peek()?;
        let start = self.at;
        let rest = self.bytes.get(start..)?;
        let (length, problem) = match first {
            b'{' | b'[' | b'"' => {
                let mut stream =
                    serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
                match stream.next() {
                    Some(Ok(_)) => (stream.byte_offset(), None),
                    Some(Err(error)) => (self.broken_end(rest, &error), Some(error.to_string())),
                    None => return None,
                }
            }
            _ => {
                let length = rest
                    .iter()
                    .skip(1)
                    .position(|byte| b",]}[{\"".contains(byte) || byte.is_ascii_whitespace())
                    .map_or(rest.len(), |at| at + 1);
                let literal = rest.get(..length)?;
                let problem = serde_json::from_slice::<IgnoredAny>(literal).err();
                (length, problem.map(|error| error.to_string()))
            }
        };
        self.at = start + length.clamp(1, rest.len());
        let bytes = self.bytes.get(start..self.at)?.trim_ascii_end();
        Some(BodyValue { bytes, problem })
    }

    /// Where a broken value ends: behind the bracket that closes it, or before the next line that
    /// begins as an object does; else nowhere. Objects one after another mostly stand on lines of
    /// their own, and a lost quote or bracket must not take the next ones along.
    fn broken_end(&mut self, rest: &[u8], error: &serde_json::Error) -> usize {
        let first_line = memchr::memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
        if let Some(end) = self.balanced_end(first_line) {
            return end;
        }
        if self.is_by_lines {
            match self.next_object_line(rest, error.line()) {
                None => self.balanced_end(rest),
                found => found,
            }
        } else {
            match self.balanced_end(rest) {
                None => self.next_object_line(rest, error.line()),
                found => found,
            }
        }
        .unwrap_or(rest.len())
    }

    /// Behind the bracket or quote that closes what begins here, whatever stands between.
    fn balanced_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let bytes = bytes.get(..self.patience.min(bytes.len()))?;
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        let end = bytes.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && !quoted
        });
        self.patience -= end.unwrap_or(bytes.len());
        end.map(|end| end + 1)
    }

    /// Before the next line that begins as an object does, and is none before this one (from 1).
    fn next_object_line(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let bytes = bytes.get(..self.patience.min(bytes.len()))?;
        let mut start = 0;
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
        for (at, line) in lines {
            if at > 0 && at + 1 >= from && line.trim_ascii_start().starts_with(b"{") {
                self.patience -= start;
                return Some(start);
            }
            start += line.len();
        }
        self.patience -= bytes.len();
        None
    }

    /// The elements of the array that begins here; false if it does not end.
    pub(super) fn elements<E>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<bool, E> {
        if !self.eat(b'[') {
            return Ok(false);
        }
        loop {
            match self.peek() {
                None => return Ok(false),
                Some(b']') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b',') => self.at += 1,
                Some(_) => each(self)?,
            }
        }
    }

    /// The members of the object that begins here, each as its name, with the scanner at its value;
    /// false if it does not end, or has anything else in it.
    pub(super) fn members<E>(
        &mut self,
        mut each: impl FnMut(&str, &mut Self) -> Result<(), E>,
    ) -> Result<bool, E> {
        if !self.eat(b'{') {
            return Ok(false);
        }
        loop {
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b',') => self.at += 1,
                Some(b'"') => {
                    let name = self.value().and_then(|name| name.read().ok());
                    let Some(name) = name.filter(|_| self.eat(b':')) else {
                        return Ok(false);
                    };
                    each(&string(&name.text), self)?;
                }
                _ => return Ok(false),
            }
        }
    }
}

/// The text with U+FFFD in the place of each half of a surrogate pair that stands alone (`\ud800`),
/// which is JSON and yet no text; none if there is no such.
pub(crate) fn without_lone_surrogates(json: &str) -> Option<String> {
    let mut mended: Option<String> = None;
    let (mut copied, mut from) = (0, 0);
    while let Some(at) = memchr::memchr(b'\\', json.as_bytes().get(from..)?).map(|at| from + at) {
        let (length, is_lone) = match surrogate(json, at) {
            None => (2, false),
            Some(unit) if unit < 0xdc00 => match surrogate(json, at + 6) {
                Some(next) if next >= 0xdc00 => (12, false),
                _ => (6, true),
            },
            Some(_) => (6, true),
        };
        if is_lone {
            let mended = mended.get_or_insert_default();
            mended.push_str(json.get(copied..at)?);
            mended.push_str("\\ufffd");
            copied = at + length;
        }
        from = at + length;
        if from > json.len() {
            break;
        }
    }
    let mut mended = mended?;
    mended.push_str(json.get(copied..)?);
    Some(mended)
}

/// The half of a surrogate pair that is escaped here.
fn surrogate(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xd800..0xe000).contains(&unit).then_some(unit)
}

/// A JSON string as text; a lone surrogate in it as U+FFFD.
pub(crate) fn string(json: &str) -> Cow<'_, str> {
    let inner = json
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'));
    match inner {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Cow::Borrowed(inner),
        _ => {
            let read = |json: &str| serde_json::from_str::<String>(json).ok();
            read(json)
                .or_else(|| read(&without_lone_surrogates(json)?))
                .map_or(Cow::Borrowed(json), Cow::Owned)
        }
    }
}

/// A value as the text of a field: a string as what it says, anything else as it stands; null is
/// none.
pub(crate) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first() {
        Some(b'"') => Some(string(json)),
        Some(b'n') | None => None,
        Some(_) => Some(Cow::Borrowed(json)),
    }
}

/// The members of an object, in their order, doubled ones too; each value as its text.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(Vec<(String, &'a str)>);

impl<'a> Members<'a> {
    /// Reads them. What is no object has none.
    pub(crate) fn of(json: &'a str) -> Option<Self> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(members)
            }
        }
        let mut json = serde_json::Deserializer::from_str(json);
        let members = json.deserialize_map(Reading).ok()?;
        json.end().ok()?;
        Some(Self(members))
    }

    /// The value of a name; of doubled ones the last, as JSON's readers have it.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

/// The first of these that an object in the text, however deep, has as a member's name.
pub(super) fn member_named(json: &str, names: &[&'static str]) -> Option<&'static str> {
    names
        .iter()
        .find(|name| {
            let quoted = format!("\"{name}\"");
            memmem::find_iter(json.as_bytes(), quoted.as_bytes()).any(|at| {
                let behind = json.get(at + quoted.len()..).unwrap_or_default();
                behind.trim_start().starts_with(':')
            })
        })
        .copied()
}
