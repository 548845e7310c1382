//! A protobuf message taken apart, without decoding it as a whole.
//!
//! Two bytes can say "one more record", and a decoded record takes hundreds: a body within its
//! limit could decode to gigabytes. So only one record is decoded at a time, and none that is
//! longer than a record may be.

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use super::text::{Kind, mended};
use crate::BodyError;

/// Longest record, resource or scope, in bytes: 1 MiB.
const MAX_PIECE_BYTES: usize = 1 << 20;

/// Why a record, or what is common to some, is not taken; the client gets the text.
#[derive(Debug, thiserror::Error)]
pub(super) enum PieceError {
    #[error("a {what} has {bytes} bytes, the limit is {MAX_PIECE_BYTES}; send shorter ones")]
    Long { what: &'static str, bytes: usize },
    #[error("a {what} is not valid OTLP protobuf: {source}")]
    Protobuf {
        what: &'static str,
        #[source]
        source: DecodeError,
    },
    #[error("a {what} is not valid: {problem}")]
    Json { what: &'static str, problem: String },
    #[error("a {what} is not valid: {source}")]
    Form {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "a {what} has `{name}`, which is not a valid member of OTLP JSON; names are in camel case there"
    )]
    Member { what: &'static str, name: String },
}

fn malformed(error: DecodeError) -> BodyError {
    BodyError::malformed(format!("the body is not valid OTLP protobuf: {error}"))
}

/// The messages in the field `wanted` of a message, in their order.
pub(super) fn pieces(
    message: &Bytes,
    wanted: u32,
    mut each: impl FnMut(Bytes) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    let mut rest = message.clone();
    while rest.has_remaining() {
        let (tag, kind) = decode_key(&mut rest).map_err(malformed)?;
        if tag != wanted || kind != WireType::LengthDelimited {
            skip_field(kind, tag, &mut rest, DecodeContext::default()).map_err(malformed)?;
            continue;
        }
        let length = decode_varint(&mut rest).map_err(malformed)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= rest.len());
        match length {
            Some(length) => each(rest.split_to(length))?,
            None => {
                return Err(BodyError::malformed(
                    "the body is not valid OTLP protobuf: it ends within a message",
                ));
            }
        }
    }
    Ok(())
}

/// Decodes one of them, and whether something in it had to be replaced because it is not text; else
/// what is wrong with it.
pub(super) fn whole<M: Message + Default>(
    kind: Kind,
    piece: Bytes,
) -> Result<(M, bool), PieceError> {
    let what = kind.name();
    if piece.len() > MAX_PIECE_BYTES {
        let bytes = piece.len();
        return Err(PieceError::Long { what, bytes });
    }
    let error = match M::decode(piece.clone()) {
        Ok(message) => return Ok((message, false)),
        Err(error) => error,
    };
    let mended = mended(kind, &piece).filter(|mended| *mended != piece);
    match mended.map(|mended| M::decode(mended.as_slice())) {
        Some(Ok(message)) => Ok((message, true)),
        _ => Err(PieceError::Protobuf {
            what,
            source: error,
        }),
    }
}
