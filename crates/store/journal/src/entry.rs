//! One slot of a stream as bytes.
//!
//! The header is binary and fixed so that a slot's kind and term can be read without touching the
//! payload (trimming does so). Stream and sequence number are in the header as well as in the key:
//! an entry that was copied to another slot is refused instead of replayed.
//!
//! ```text
//! "BSJ1" | kind u8 | stream u32 | seq u64 | term u64 | settled u64 | nonce u128
//!        | writer length u16, writer | sealer length u16, sealer | payload length u32 | zstd payload
//! ```
//! All integers little-endian; stream `u32::MAX` is `global`; the payload length is that of the
//! unpacked payload. Integrity is the store's business (the bucket authenticates every chunk).

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest payload, unpacked, in bytes. A header that claims more is refused before any
/// memory is taken for it.
pub const MAX_PAYLOAD_BYTES: usize = 256 << 20;

/// The longest writer or sealer name, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 1024;

/// Enough bytes for any header: what trimming reads of an entry.
pub(crate) const HEADER_BYTES: u64 =
    4 + 1 + 4 + 8 + 8 + 8 + 16 + 2 * (2 + MAX_NAME_BYTES as u64) + 4;

const MAGIC: &[u8; 4] = b"BSJ1";
const GLOBAL_NUMBER: u32 = u32::MAX;

/// Level 1: the journal is written once and read seldom, and ingest pays for the packing.
const ZSTD_LEVEL: i32 = 1;

/// The name of one process start, unique for ever: a restarted process is another writer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriterId(pub String);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamId {
    /// The cluster's metadata; any node appends, optimistically.
    Global,
    /// One ingest partition; one writer at a time. `u32::MAX` is not a partition.
    Partition(u32),
}

impl StreamId {
    /// The prefix of all slots of the stream.
    pub fn prefix(self) -> String {
        format!("journal/{self}/")
    }

    /// The key of one slot.
    pub fn key(self, seq: u64) -> String {
        format!("journal/{self}/{seq:020}")
    }

    /// The slot that a key of this stream names.
    pub fn seq_of(self, key: &str) -> Option<u64> {
        let seq = key.strip_prefix(&self.prefix())?;
        (seq.len() == 20 && seq.bytes().all(|b| b.is_ascii_digit()))
            .then(|| seq.parse().ok())
            .flatten()
    }

    fn number(self) -> u32 {
        match self {
            Self::Global => GLOBAL_NUMBER,
            Self::Partition(id) => id,
        }
    }

    fn from_number(number: u32) -> Self {
        if number == GLOBAL_NUMBER {
            Self::Global
        } else {
            Self::Partition(number)
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Partition(id) => write!(f, "{id:04}"),
        }
    }
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Records of the process that wrote it.
    Data,
    /// The end of all lower terms.
    Seal {
        /// Who took the stream over, for the operator to read.
        by: Arc<str>,
    },
}

/// One slot of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stream that the slot belongs to.
    pub stream: StreamId,
    /// The slot, from 0.
    pub seq: u64,
    /// Under which term it was written; terms only rise along the live entries of a stream.
    pub term: u64,
    /// Every slot below this one was there when the entry was made. By it a hole in a stream is
    /// told from its end.
    pub settled: u64,
    /// The process that wrote it.
    pub writer: WriterId,
    /// By which a writer knows its own entry again after an unclear answer.
    pub nonce: u128,
    /// Whether it holds records or ends all lower terms.
    pub kind: EntryKind,
    /// The records, unpacked; empty in a seal.
    pub payload: Bytes,
}

/// Why bytes are not the entry they should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Other first bytes than an entry has.
    #[error("it does not begin like a journal entry of version 1")]
    Magic,
    /// The bytes end within the header.
    #[error("it ends within the header, after {0} bytes")]
    Short(usize),
    /// An entry kind of a later version.
    #[error("entry kind {0} is unknown; was it written by a newer version?")]
    Kind(u8),
    /// A name that is too long or not UTF-8.
    #[error("the {0} is not a name")]
    Name(&'static str),
    /// The payload does not unpack to the stated length.
    #[error("the payload does not unpack to the stated {stated} bytes: {detail}")]
    Payload {
        /// Length that the header states, in bytes.
        stated: usize,
        /// What unpacking gave instead.
        detail: String,
    },
    /// The entry of another slot.
    #[error("it is the entry of {found}")]
    Elsewhere {
        /// The key that the header names.
        found: String,
    },
}

/// The part of an entry in front of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) stream: StreamId,
    pub(crate) seq: u64,
    pub(crate) term: u64,
    pub(crate) settled: u64,
    pub(crate) writer: WriterId,
    pub(crate) nonce: u128,
    pub(crate) kind: EntryKind,
}

impl Header {
    /// The entry as bytes, with an already packed payload of `raw_len` bytes unpacked.
    pub(crate) fn encode(&self, packed: &[u8], raw_len: usize) -> io::Result<Bytes> {
        let sealer: &str = match &self.kind {
            EntryKind::Data => "",
            EntryKind::Seal { by } => by,
        };
        let too_long = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        for name in [self.writer.0.as_str(), sealer] {
            if name.len() > MAX_NAME_BYTES {
                return Err(too_long(
                    "a writer's or sealer's name is longer than 1024 bytes",
                ));
            }
        }
        if raw_len > MAX_PAYLOAD_BYTES {
            return Err(too_long("the payload is longer than 256 MiB"));
        }
        let mut out =
            BytesMut::with_capacity(64 + self.writer.0.len() + sealer.len() + packed.len());
        out.put_slice(MAGIC);
        out.put_u8(match self.kind {
            EntryKind::Data => 0,
            EntryKind::Seal { .. } => 1,
        });
        out.put_u32_le(self.stream.number());
        out.put_u64_le(self.seq);
        out.put_u64_le(self.term);
        out.put_u64_le(self.settled);
        out.put_u128_le(self.nonce);
        for name in [self.writer.0.as_str(), sealer] {
            out.put_u16_le(name.len() as u16);
            out.put_slice(name.as_bytes());
        }
        out.put_u32_le(raw_len as u32);
        out.put_slice(packed);
        Ok(out.freeze())
    }

    /// Reads the header from the first bytes of an entry; also the payload's length and offset.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, usize, usize), DecodeError> {
        let mut rest = bytes;
        let short = || DecodeError::Short(bytes.len());
        let mut magic = [0; 4];
        rest.try_copy_to_slice(&mut magic).map_err(|_| short())?;
        if &magic != MAGIC {
            return Err(DecodeError::Magic);
        }
        let kind = rest.try_get_u8().map_err(|_| short())?;
        let stream = StreamId::from_number(rest.try_get_u32_le().map_err(|_| short())?);
        let seq = rest.try_get_u64_le().map_err(|_| short())?;
        let term = rest.try_get_u64_le().map_err(|_| short())?;
        let settled = rest.try_get_u64_le().map_err(|_| short())?;
        let nonce = rest.try_get_u128_le().map_err(|_| short())?;
        let mut name = |what| {
            let len = usize::from(rest.try_get_u16_le().map_err(|_| short())?);
            if len > MAX_NAME_BYTES {
                return Err(DecodeError::Name(what));
            }
            let (name, after) = rest.split_at_checked(len).ok_or_else(short)?;
            rest = after;
            std::str::from_utf8(name).map_err(|_| DecodeError::Name(what))
        };
        let writer = WriterId(name("writer")?.to_owned());
        let by = name("sealer")?;
        let kind = match kind {
            0 => EntryKind::Data,
            1 => EntryKind::Seal { by: by.into() },
            other => return Err(DecodeError::Kind(other)),
        };
        let raw_len = rest.try_get_u32_le().map_err(|_| short())? as usize;
        let header = Self {
            stream,
            seq,
            term,
            settled,
            writer,
            nonce,
            kind,
        };
        Ok((header, raw_len, bytes.len() - rest.len()))
    }

    pub(crate) fn expect_slot(&self, stream: StreamId, seq: u64) -> Result<(), DecodeError> {
        if self.stream == stream && self.seq == seq {
            return Ok(());
        }
        Err(DecodeError::Elsewhere {
            found: self.stream.key(self.seq),
        })
    }
}

impl Entry {
    /// The entry as bytes for its slot.
    ///
    /// # Errors
    /// When a name or the payload is longer than an entry can hold.
    pub fn encode(&self) -> io::Result<Bytes> {
        self.header()
            .encode(&pack(&self.payload)?, self.payload.len())
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            stream: self.stream,
            seq: self.seq,
            term: self.term,
            settled: self.settled,
            writer: self.writer.clone(),
            nonce: self.nonce,
            kind: self.kind.clone(),
        }
    }

    /// Reads an entry. Never panics, and takes no more memory than the stated payload needs.
    ///
    /// # Errors
    /// When the bytes are not a whole, well-formed entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (header, raw_len, offset) = Header::decode(bytes)?;
        let packed = bytes.get(offset..).unwrap_or_default();
        let entry = Self {
            stream: header.stream,
            seq: header.seq,
            term: header.term,
            settled: header.settled,
            writer: header.writer,
            nonce: header.nonce,
            kind: header.kind,
            payload: unpack(packed, raw_len)?,
        };
        entry.check_frames()?;
        Ok(entry)
    }

    /// Reads the entry that is found in the slot `seq` of `stream`.
    ///
    /// # Errors
    /// As [`Entry::decode`], and when it is the entry of another slot.
    pub fn decode_at(stream: StreamId, seq: u64, bytes: &[u8]) -> Result<Self, DecodeError> {
        Header::decode(bytes)?.0.expect_slot(stream, seq)?;
        Self::decode(bytes)
    }

    /// Whether it is a seal.
    pub fn is_seal(&self) -> bool {
        matches!(self.kind, EntryKind::Seal { .. })
    }

    /// Who wrote it, as an operator should read it: the sealer's name for a seal.
    pub fn by(&self) -> &str {
        match &self.kind {
            EntryKind::Seal { by } => by,
            EntryKind::Data => &self.writer.0,
        }
    }

    /// The records of a partition's data entry, in the order of their positions; none for a seal
    /// and for entries of `global`, whose payload is one event.
    pub fn records(&self) -> Records {
        let framed = self.kind == EntryKind::Data && self.stream != StreamId::Global;
        Records {
            rest: if framed {
                self.payload.clone()
            } else {
                Bytes::new()
            },
        }
    }

    /// Frames are checked once, when an entry is read, so that iterating cannot fail.
    fn check_frames(&self) -> Result<(), DecodeError> {
        let mut records = self.records();
        while records.next().is_some() {}
        if records.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::Payload {
            stated: self.payload.len(),
            detail: "a record reaches past its end".to_owned(),
        })
    }
}

/// The records of one entry; see [`Entry::records`].
#[derive(Clone, Debug)]
pub struct Records {
    rest: Bytes,
}

impl Iterator for Records {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (length, rest) = self.rest.split_first_chunk::<RECORD_FRAME_BYTES>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > rest.len() {
            return None;
        }
        self.rest.advance(RECORD_FRAME_BYTES);
        Some(self.rest.split_to(length))
    }
}

/// Bytes that the frame of a record adds to it.
pub(crate) const RECORD_FRAME_BYTES: usize = 4;

/// The payload of a partition entry.
pub(crate) fn frame<'a>(records: impl Iterator<Item = &'a Bytes>, capacity: usize) -> BytesMut {
    let mut payload = BytesMut::with_capacity(capacity);
    for record in records {
        payload.put_u32_le(record.len() as u32);
        payload.put_slice(record);
    }
    payload
}

pub(crate) fn pack(payload: &[u8]) -> io::Result<Vec<u8>> {
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    zstd::bulk::compress(payload, ZSTD_LEVEL)
}

fn unpack(packed: &[u8], raw_len: usize) -> Result<Bytes, DecodeError> {
    let wrong = |detail: String| DecodeError::Payload {
        stated: raw_len,
        detail,
    };
    if raw_len > MAX_PAYLOAD_BYTES {
        return Err(wrong("no entry is that long".to_owned()));
    }
    if raw_len == 0 {
        return match packed {
            [] => Ok(Bytes::new()),
            more => Err(wrong(format!("{} bytes follow the header", more.len()))),
        };
    }
    // Grows with what really unpacks: the stated length alone must not take memory.
    let mut payload = Vec::with_capacity(raw_len.min(packed.len().saturating_mul(8)));
    zstd::Decoder::with_buffer(packed)
        .and_then(|decoder| decoder.take(raw_len as u64 + 1).read_to_end(&mut payload))
        .map_err(|error| wrong(error.to_string()))?;
    if payload.len() == raw_len {
        Ok(payload.into())
    } else {
        Err(wrong(format!("{} or more came out", payload.len())))
    }
}

#[cfg(test)]
mod tests;
