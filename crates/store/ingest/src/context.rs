//! What a format needs besides the bytes.

use backstay_search::Event;
use bytes::Bytes;
use http::HeaderMap;

use crate::{Batch, BodyError, NoMemory};

/// What JSON takes besides its text while it is parsed, in bytes a value. There are hardly more
/// values than commas, and a body of nothing else is where this counts.
const BYTES_PER_VALUE: usize = 64;
/// What the identity of an event takes, in bytes, once whoever stores it has given it one.
const ID_BYTES: usize = 64;

/// Memory that is taken before it is used.
pub trait Memory {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// When there are not so many.
    fn take(&mut self, bytes: usize) -> Result<(), NoMemory>;

    /// Gives so many bytes back.
    fn give(&mut self, bytes: usize);
}

/// As much memory as a body asks for.
#[derive(Clone, Copy, Debug)]
pub struct Unbounded;

impl Memory for Unbounded {
    fn take(&mut self, _: usize) -> Result<(), NoMemory> {
        Ok(())
    }

    fn give(&mut self, _: usize) {}
}

/// A request with events, without its body.
pub struct Context<'a> {
    /// The request's headers: OTLP's content type, Splunk's channel.
    pub headers: &'a HeaderMap,
    /// The request's query string: Splunk's metadata of all events.
    pub query: Option<&'a str>,
    /// The parser that the sender's token prescribes; a name that no parser has is kept as it is.
    pub parser: Option<&'a str>,
    /// The clock: ms since 1970.
    pub now_ms: i64,
    /// Most fields of an event.
    pub max_fields: usize,
    /// What the events, and decoding them, are counted in. What of it the events take is still taken
    /// when they have been decoded.
    pub memory: &'a mut dyn Memory,
}

impl Context<'_> {
    /// Makes events of a body. What parsing it needs is given back when that is done.
    pub(crate) fn decode(
        &mut self,
        body: &Bytes,
        decode: fn(&Bytes, &mut Self) -> Result<Batch, BodyError>,
    ) -> Result<Batch, BodyError> {
        let values = memchr::memchr_iter(b',', body).count();
        let parsing = body.len() + values * BYTES_PER_VALUE;
        self.memory.take(parsing)?;
        let batch = decode(body, self)?;
        self.memory.give(parsing);
        Ok(batch)
    }

    /// Takes an event in, if there is memory for it. Few bytes of a body can be many of events:
    /// what a group says of all its events is in each of them.
    pub(crate) fn keep(&mut self, event: Event, events: &mut Vec<Event>) -> Result<(), BodyError> {
        // Its place in the list is counted with the list.
        let texts = event.memory_bytes() - size_of::<Event>();
        self.memory.take(texts + ID_BYTES)?;
        if events.len() == events.capacity() {
            // For a moment there are the old list and the new one.
            let old = events.capacity() * size_of::<Event>();
            let more = events.len().max(64);
            self.memory.take(old + more * size_of::<Event>())?;
            events.reserve_exact(more);
            self.memory.give(old);
        }
        events.push(event);
        Ok(())
    }
}
