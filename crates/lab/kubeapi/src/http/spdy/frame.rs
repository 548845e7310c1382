//! Frames on the wire.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The largest frame that is taken; `kubectl` sends 32 KiB at a time.
const MAX_FRAME_BYTES: usize = 1 << 20;
const VERSION: u16 = 3;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// Refused, of the reasons for a reset.
const REFUSED_STREAM: u32 = 3;

#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    SynStream {
        id: u32,
        finished: bool,
        block: Vec<u8>,
    },
    Data {
        id: u32,
        finished: bool,
        bytes: Bytes,
    },
    Reset {
        id: u32,
    },
    Ping {
        id: u32,
    },
    Headers {
        block: Vec<u8>,
    },
    GoAway,
    /// Settings, window updates, and what comes after us.
    Other,
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY: {what}"))
}

fn number(bytes: &[u8], at: usize) -> io::Result<u32> {
    bytes
        .get(at..at + 4)
        .and_then(|four| four.try_into().ok())
        .map(u32::from_be_bytes)
        .ok_or_else(|| wrong("a frame is too short"))
}

/// The next frame; none at the end.
pub(super) async fn read_frame<R: AsyncRead + Unpin>(read: &mut R) -> io::Result<Option<Frame>> {
    let mut head = [0; 8];
    match read.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let [a, b, c, d, flags, l1, l2, l3] = head;
    let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(wrong("a frame is too large"));
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    let finished = flags & FIN != 0;
    if a & 0x80 == 0 {
        return Ok(Some(Frame::Data {
            id: u32::from_be_bytes([a, b, c, d]),
            finished,
            bytes: Bytes::from(body),
        }));
    }
    if u16::from_be_bytes([a & 0x7f, b]) != VERSION {
        return Err(wrong("another version than 3"));
    }
    let id = |at| Ok::<_, io::Error>(number(&body, at)? & 0x7fff_ffff);
    Ok(Some(match u16::from_be_bytes([c, d]) {
        SYN_STREAM => Frame::SynStream {
            id: id(0)?,
            finished,
            // Stream, associated stream, priority and slot.
            block: body
                .get(10..)
                .ok_or_else(|| wrong("a frame is too short"))?
                .to_vec(),
        },
        RST_STREAM => Frame::Reset { id: id(0)? },
        PING => Frame::Ping {
            id: number(&body, 0)?,
        },
        HEADERS => Frame::Headers {
            block: body
                .get(4..)
                .ok_or_else(|| wrong("a frame is too short"))?
                .to_vec(),
        },
        GOAWAY => Frame::GoAway,
        _ => Frame::Other,
    }))
}

fn control(kind: u16, body: &[&[u8]]) -> Vec<u8> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(8 + length);
    frame.extend_from_slice(&(0x8000 | VERSION).to_be_bytes());
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(&length_and_flags(0, length));
    for part in body {
        frame.extend_from_slice(part);
    }
    frame
}

/// A byte of flags and three of length.
fn length_and_flags(flags: u8, length: usize) -> [u8; 4] {
    let [_, l1, l2, l3] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [flags, l1, l2, l3]
}

pub(super) fn reply(id: u32, block: &[u8]) -> Vec<u8> {
    control(SYN_REPLY, &[&id.to_be_bytes(), block])
}

pub(super) fn reset(id: u32) -> Vec<u8> {
    control(
        RST_STREAM,
        &[&id.to_be_bytes(), &REFUSED_STREAM.to_be_bytes()],
    )
}

pub(super) fn ping(id: u32) -> Vec<u8> {
    control(PING, &[&id.to_be_bytes()])
}

pub(super) fn data(id: u32, finished: bool, bytes: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(8 + bytes.len());
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(&length_and_flags(u8::from(finished), bytes.len()));
    frame.extend_from_slice(bytes);
    frame
}
