//! The JSON of a snapshot, written and read as a stream.
//!
//! Its first lines hold cluster id, epoch and offset, and the buckets; then one entity a line;
//! the segments, which are nearly all of it, come last. Reading takes the fields in any order and
//! any layout: values are parsed in place from a window over the text that grows to the longest
//! single value (one segment, or one whole list of another kind), so that a million segments are
//! never in memory as text. (`serde_json` from a reader would do as well, byte by byte and three
//! times slower.)

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_json::value::RawValue;

use crate::raw::Extra;
use crate::segment::{Interner, Segment, SegmentSeed, SegmentSet};
use crate::state::State;

mod window;

use window::Window;

/// The layout that this version writes. A higher one is refused.
pub const VERSION: u32 = 1;

/// Why text is not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The text cannot be read to its end.
    #[error("{0}")]
    Read(#[source] io::Error),
    /// It is not JSON, or not of the expected form.
    #[error("byte {at}, in {within}: {detail}")]
    Syntax {
        /// Bytes from the start of the unpacked text.
        at: u64,
        /// The top-level field that the place is in.
        within: String,
        /// What the parser says.
        detail: String,
    },
    /// It ends too early.
    #[error("it ends after {at} bytes, in {within}")]
    Truncated {
        /// Length of the text in bytes.
        at: u64,
        /// The top-level field that the place is in.
        within: String,
    },
    /// A field that must be there is not.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field is there twice.
    #[error("the field {0} is there twice")]
    Twice(String),
    /// Two segments are the same.
    #[error("segment {0} is there twice")]
    SegmentTwice(crate::segment::SegmentId),
    /// A layout of a later version.
    #[error("it has layout {0}, this version reads up to {VERSION}; use a newer version")]
    Version(u32),
}

/// Writes a state.
///
/// # Errors
/// Those of `out`.
pub fn write(state: &State, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{{")?;
    field(out, "clusterId", &state.cluster_id)?;
    field(out, "epoch", &state.epoch)?;
    field(out, "offset", &state.offset)?;
    field(out, "term", &state.term)?;
    field(out, "version", &VERSION)?;
    write!(out, "\"buckets\": ")?;
    let mut pretty = serde_json::Serializer::pretty(&mut *out);
    state.buckets.serialize(&mut pretty)?;
    writeln!(out, ",")?;
    lines(out, "organizations", &state.organizations)?;
    lines(out, "users", &state.users)?;
    lines(out, "repositories", &state.repositories)?;
    lines(out, "views", &state.views)?;
    lines(out, "dashboards", &state.dashboards)?;
    lines(out, "parsers", &state.parsers)?;
    lines(out, "alerts", &state.alerts)?;
    lines(out, "ingestTokens", &state.ingest_tokens)?;
    field(out, "dynamicConfig", &state.dynamic_config)?;
    lines(out, "hosts", &state.hosts)?;
    lines(out, "partitions", &state.partitions)?;
    lines(out, "recoveries", &state.recoveries)?;
    for (name, text) in state.extra.iter() {
        serde_json::to_writer(&mut *out, name)?;
        writeln!(out, ": {text},")?;
    }
    list(out, "segments", state.segments.iter())?;
    writeln!(out, "\n}}")
}

fn field(out: &mut impl Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(out, "\"{name}\": ")?;
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out, ",")
}

fn lines<T: Serialize>(out: &mut impl Write, name: &str, all: &[T]) -> io::Result<()> {
    list(out, name, all.iter())?;
    writeln!(out, ",")
}

fn list<'a, T: Serialize + 'a>(
    out: &mut impl Write,
    name: &str,
    all: impl Iterator<Item = &'a T>,
) -> io::Result<()> {
    write!(out, "\"{name}\": [")?;
    for (n, item) in all.enumerate() {
        out.write_all(if n == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, item)?;
    }
    write!(out, "\n]")
}

/// Reads a state from the text of a snapshot.
///
/// # Errors
/// When the text cannot be read to its end or is not a whole snapshot; then there is no state.
pub fn read(text: impl Read) -> Result<State, DocumentError> {
    Reader {
        window: Window::new(text),
        within: "the beginning".to_owned(),
    }
    .state()
}

struct Reader<R> {
    window: Window<R>,
    /// The top-level field that is read, for errors.
    within: String,
}

/// A field that may be there once.
struct Once<T>(Option<T>);

impl<T> Once<T> {
    fn set(&mut self, name: &str, value: T) -> Result<(), DocumentError> {
        match self.0.replace(value) {
            None => Ok(()),
            Some(_) => Err(DocumentError::Twice(name.to_owned())),
        }
    }

    fn must(self, name: &'static str) -> Result<T, DocumentError> {
        self.0.ok_or(DocumentError::Missing(name))
    }
}

macro_rules! fields {
    ($($name:ident),*) => { $(let mut $name = Once(None);)* };
}

impl<R: Read> Reader<R> {
    fn state(mut self) -> Result<State, DocumentError> {
        fields!(
            cluster_id,
            epoch,
            offset,
            term,
            version,
            buckets,
            organizations,
            users
        );
        fields!(
            repositories,
            views,
            dashboards,
            parsers,
            alerts,
            ingest_tokens
        );
        fields!(hosts, partitions, recoveries, segments);
        let mut dynamic_config: Once<BTreeMap<String, String>> = Once(None);
        let mut extra = Extra::default();
        self.expect(b'{')?;
        let mut more = self.next_token()? != b'}';
        while more {
            let name: String = self.value()?;
            self.within.clone_from(&name);
            self.expect(b':')?;
            match name.as_str() {
                "clusterId" => cluster_id.set(&name, self.value::<String>()?)?,
                "epoch" => epoch.set(&name, self.value::<u64>()?)?,
                "offset" => offset.set(&name, self.value::<u64>()?)?,
                "term" => term.set(&name, self.value::<u64>()?)?,
                "version" => match self.value::<u32>()? {
                    known @ ..=VERSION => version.set(&name, known)?,
                    later => return Err(DocumentError::Version(later)),
                },
                "buckets" => buckets.set(&name, self.value()?)?,
                "organizations" => organizations.set(&name, self.value()?)?,
                "users" => users.set(&name, self.value()?)?,
                "repositories" => repositories.set(&name, self.value()?)?,
                "views" => views.set(&name, self.value()?)?,
                "dashboards" => dashboards.set(&name, self.value()?)?,
                "parsers" => parsers.set(&name, self.value()?)?,
                "alerts" => alerts.set(&name, self.value()?)?,
                "ingestTokens" => ingest_tokens.set(&name, self.value()?)?,
                "dynamicConfig" => dynamic_config.set(&name, self.value()?)?,
                "hosts" => hosts.set(&name, self.value()?)?,
                "partitions" => partitions.set(&name, self.value()?)?,
                "recoveries" => recoveries.set(&name, self.value()?)?,
                "segments" => segments.set(&name, self.segments()?)?,
                other => {
                    if extra.get(other).is_some() {
                        return Err(DocumentError::Twice(name));
                    }
                    extra.push(other, self.value::<Box<RawValue>>()?);
                }
            }
            more = self.comma_or(b'}')?;
            if more && self.next_token()? == b'}' {
                return Err(self.syntax("a field must follow the comma"));
            }
        }
        self.expect(b'}')?;
        "the end".clone_into(&mut self.within);
        self.skip_space()?;
        if self.window.peek().is_some() {
            return Err(self.syntax("more text follows the snapshot"));
        }
        Ok(State {
            cluster_id: cluster_id.must("clusterId")?,
            epoch: epoch.must("epoch")?,
            offset: offset.must("offset")?,
            term: term.must("term")?,
            buckets: buckets.must("buckets")?,
            organizations: organizations.must("organizations")?,
            users: users.must("users")?,
            repositories: repositories.must("repositories")?,
            views: views.must("views")?,
            dashboards: dashboards.must("dashboards")?,
            parsers: parsers.must("parsers")?,
            alerts: alerts.must("alerts")?,
            ingest_tokens: ingest_tokens.must("ingestTokens")?,
            dynamic_config: dynamic_config.must("dynamicConfig")?,
            hosts: hosts.must("hosts")?,
            partitions: partitions.must("partitions")?,
            recoveries: recoveries.must("recoveries")?,
            segments: segments.must("segments")?,
            extra,
        })
        .and_then(|state| version.must("version").map(|_| state))
    }

    fn segments(&mut self) -> Result<SegmentSet, DocumentError> {
        let mut all = Vec::new();
        let mut interner = Interner::default();
        self.expect(b'[')?;
        let mut more = self.next_token()? != b']';
        while more {
            all.push(self.segment(&mut interner)?);
            more = self.comma_or(b']')?;
        }
        self.expect(b']')?;
        all.shrink_to_fit();
        SegmentSet::from_vec(all).map_err(DocumentError::SegmentTwice)
    }

    fn segment(&mut self, interner: &mut Interner) -> Result<Segment, DocumentError> {
        self.parsed(|text| {
            let mut parser = serde_json::Deserializer::from_slice(text);
            let segment = SegmentSeed(&mut *interner).deserialize(&mut parser)?;
            Ok((segment, parsed_bytes(parser)))
        })
    }

    /// The next value, whole.
    fn value<T: DeserializeOwned>(&mut self) -> Result<T, DocumentError> {
        self.parsed(|text| {
            let mut parser = serde_json::Deserializer::from_slice(text);
            let value = T::deserialize(&mut parser)?;
            Ok((value, parsed_bytes(parser)))
        })
    }

    /// Parses a value at the start of the window; while its end is not in the window, the window
    /// grows. `parse` answers with the value and its length.
    fn parsed<T>(
        &mut self,
        mut parse: impl FnMut(&[u8]) -> serde_json::Result<(T, usize)>,
    ) -> Result<T, DocumentError> {
        self.skip_space()?;
        loop {
            let text = self.window.text();
            match parse(text) {
                // A number at the very end may go on behind it.
                Ok((value, length)) if length < text.len() || self.window.at_end() => {
                    self.window.consume(length);
                    return Ok(value);
                }
                Err(error) if !error.is_eof() => return Err(self.syntax(&plain(&error))),
                Ok(_) | Err(_) => {}
            }
            if self.window.at_end() {
                return Err(self.truncated());
            }
            self.window.grow().map_err(DocumentError::Read)?;
        }
    }

    /// Skips white space and answers with the byte behind it, which stays.
    fn next_token(&mut self) -> Result<u8, DocumentError> {
        self.skip_space()?;
        self.window.peek().ok_or_else(|| self.truncated())
    }

    fn skip_space(&mut self) -> Result<(), DocumentError> {
        self.window.skip_space().map_err(DocumentError::Read)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), DocumentError> {
        if self.next_token()? != wanted {
            return Err(self.syntax(&format!("expected {:?}", char::from(wanted))));
        }
        self.window.consume(1);
        Ok(())
    }

    /// `true` behind a comma, `false` before `end`.
    fn comma_or(&mut self, end: u8) -> Result<bool, DocumentError> {
        match self.next_token()? {
            b',' => {
                self.window.consume(1);
                Ok(true)
            }
            found if found == end => Ok(false),
            _ => Err(self.syntax(&format!("expected ',' or {:?}", char::from(end)))),
        }
    }

    fn syntax(&self, detail: &str) -> DocumentError {
        DocumentError::Syntax {
            at: self.window.position(),
            within: self.within.clone(),
            detail: detail.to_owned(),
        }
    }

    fn truncated(&self) -> DocumentError {
        DocumentError::Truncated {
            at: self.window.position() + self.window.text().len() as u64,
            within: self.within.clone(),
        }
    }
}

/// How many bytes have been parsed.
fn parsed_bytes<'de, R: serde_json::de::Read<'de>>(parser: serde_json::Deserializer<R>) -> usize {
    parser.into_iter::<serde::de::IgnoredAny>().byte_offset()
}

/// The parser's words without its line and column: they count from the start of the value.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
