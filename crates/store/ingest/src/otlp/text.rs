//! Texts in protobuf that are not UTF-8.
//!
//! Protobuf demands UTF-8, and collectors that read files of other bytes send what they read. The
//! decoder refuses a whole record for it; here the bytes that are no text are replaced first.

use bytes::Buf;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, skip_field,
};

/// The messages that texts are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Resource,
    Scope,
    Record,
    Value,
    Array,
    List,
    Pair,
}

/// What a field is that may be text, or have text in it.
enum Field {
    Text,
    Message(Kind),
}

/// As deep as the decoder goes.
const MAX_DEPTH: usize = 100;

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Scope => "scope",
            Self::Record => "log record",
            Self::Value | Self::Array | Self::List | Self::Pair => "value",
        }
    }

    /// The numbers are those of `logs.proto`, `common.proto` and `resource.proto`.
    fn field(self, tag: u32) -> Option<Field> {
        Some(match (self, tag) {
            (Self::Record, 3 | 12) | (Self::Scope, 1 | 2) => Field::Text,
            (Self::Value | Self::Pair, 1) => Field::Text,
            (Self::Record, 6) | (Self::Resource, 1) | (Self::Scope, 3) => {
                Field::Message(Self::Pair)
            }
            (Self::List, 1) => Field::Message(Self::Pair),
            (Self::Record, 5) | (Self::Array, 1) | (Self::Pair, 2) => Field::Message(Self::Value),
            (Self::Value, 5) => Field::Message(Self::Array),
            (Self::Value, 6) => Field::Message(Self::List),
            _ => return None,
        })
    }
}

/// The message with U+FFFD in the place of what is not UTF-8; none if it is not a message.
pub(super) fn mended(kind: Kind, message: &[u8]) -> Option<Vec<u8>> {
    within(kind, message, MAX_DEPTH)
}

fn within(kind: Kind, message: &[u8], depth: usize) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(message.len());
    let mut rest = message;
    while rest.has_remaining() {
        let begin = rest;
        let (tag, wire) = decode_key(&mut rest).ok()?;
        let field = kind
            .field(tag)
            .filter(|_| wire == WireType::LengthDelimited);
        let Some(field) = field else {
            skip_field(wire, tag, &mut rest, DecodeContext::default()).ok()?;
            mended.extend_from_slice(begin.get(..begin.len() - rest.len())?);
            continue;
        };
        mended.extend_from_slice(begin.get(..begin.len() - rest.len())?);
        let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
        let (inner, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let inner = match field {
            Field::Text => String::from_utf8_lossy(inner).into_owned().into_bytes(),
            Field::Message(kind) => within(kind, inner, depth.checked_sub(1)?)?,
        };
        encode_varint(inner.len() as u64, &mut mended);
        mended.extend_from_slice(&inner);
    }
    Some(mended)
}
