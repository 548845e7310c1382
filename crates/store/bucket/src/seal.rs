//! The format of a stored object: encrypted, authenticated, readable in ranges.
//!
//! ```text
//! header   40 bytes   magic "BACKSTAY" | version 1 | key id (8) | salt (16) | check (7)
//! chunk 0  65536 + 16 bytes
//! chunk 1  65536 + 16 bytes
//! …
//! last     0..=65536 + 16 bytes (0 only for an empty object)
//! ```
//!
//! Each chunk is AES-256-GCM. Its nonce is its index, which is safe because no two objects share a
//! key: the object's key is HKDF-SHA256 of the encryption key string and the random salt. The
//! additional data is the chunk's index, whether it is the last one, the header, and the object's
//! full name. So a chunk cannot be moved within an object or between objects, an object cannot be
//! cut at a chunk boundary, and one object cannot be put in another's place.
//!
//! The header's *key id* (derived from the key, reveals nothing of it) tells a wrong key from a
//! damaged object; *check* is a digest of the header, so that a damaged key id is not taken for a
//! wrong key. It is no protection by itself: the header is authenticated with every chunk.
//!
//! **Why HKDF and not Argon2id**: the key string is a generated secret of high entropy, not a
//! password that somebody made up; guessing it is hopeless whatever the cost of one guess. And
//! every node derives it at every start, in the very minutes that a recovery takes.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hkdf;

use crate::Secret;

/// Bytes of plaintext in every chunk but the last.
pub(crate) const CHUNK_BYTES: u64 = 64 * 1024;
/// Bytes of the header.
pub(crate) const HEADER_BYTES: u64 = HEADER_LEN as u64;
/// Bytes of every sealed chunk but the last.
pub(crate) const SEALED_CHUNK_BYTES: u64 = CHUNK_BYTES + TAG_LEN as u64;

const CHUNK_LEN: usize = 64 * 1024;
const TAG_LEN: usize = 16;
const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;
const MAGIC: &[u8; 8] = b"BACKSTAY";
const VERSION: u8 = 1;
const KEY_ID: Range<usize> = 9..17;
const SALT: Range<usize> = 17..33;
const CHECK: Range<usize> = 33..40;
const HEADER_LEN: usize = 40;
const CHECK_LEN: usize = 7;

type Header = [u8; HEADER_LEN];

/// Why sealed bytes cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unopened {
    /// They were sealed with another key.
    #[error("sealed with another key")]
    WrongKey,
    /// They are not what was sealed.
    #[error("{0}")]
    Corrupt(&'static str),
}

/// The cryptography library refused, which it does only for lengths that do not occur here.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the encryption failed")]
pub(crate) struct Unsealed;

impl From<ring::error::Unspecified> for Unsealed {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

/// What is derived from the encryption key string.
pub(crate) struct Keys {
    root: hkdf::Prk,
    id: [u8; 8],
}

/// The length of the key id, for HKDF.
struct KeyIdLength;

impl hkdf::KeyType for KeyIdLength {
    fn len(&self) -> usize {
        KEY_ID.len()
    }
}

impl Keys {
    pub(crate) fn derive(key: &Secret) -> Result<Self, Unsealed> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"backstay bucket v1")
            .extract(key.expose().as_bytes());
        let mut id = [0; 8];
        root.expand(&[b"key id"], KeyIdLength)?.fill(&mut id)?;
        Ok(Self { root, id })
    }

    fn object_key(&self, salt: &[u8]) -> Result<LessSafeKey, Unsealed> {
        let info = [b"object".as_slice(), salt];
        let key: UnboundKey = self.root.expand(&info, &AES_256_GCM)?.into();
        Ok(LessSafeKey::new(key))
    }
}

/// What every chunk of one object shares.
#[derive(Clone)]
struct Context {
    key: Arc<LessSafeKey>,
    /// Index (8), last flag (1), header, name. The first nine bytes are set for each chunk.
    aad: Vec<u8>,
}

impl Context {
    fn new(key: LessSafeKey, header: &Header, name: &str) -> Self {
        let mut aad = vec![0; 9];
        aad.extend_from_slice(header);
        aad.extend_from_slice(name.as_bytes());
        Self {
            key: Arc::new(key),
            aad,
        }
    }

    fn set(&mut self, index: u64, last: bool) -> Nonce {
        let index = index.to_be_bytes();
        self.aad[..8].copy_from_slice(&index);
        self.aad[8] = u8::from(last);
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&index);
        Nonce::assume_unique_for_key(nonce)
    }
}

fn check(header: &Header) -> [u8; CHECK_LEN] {
    let mut check = [0; CHECK_LEN];
    check.copy_from_slice(&digest(&SHA256, &header[..CHECK.start]).as_ref()[..CHECK_LEN]);
    check
}

/// Seals one object, in order.
pub(crate) struct Sealer {
    context: Context,
    header: Header,
    next: u64,
}

impl Sealer {
    /// A new salt, so a new key: no two sealers share one.
    pub(crate) fn new(keys: &Keys, name: &str) -> Result<Self, Unsealed> {
        let salt: [u8; 16] = rand::random();
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(MAGIC);
        header[8] = VERSION;
        header[KEY_ID].copy_from_slice(&keys.id);
        header[SALT].copy_from_slice(&salt);
        let check = check(&header);
        header[CHECK].copy_from_slice(&check);
        Ok(Self {
            context: Context::new(keys.object_key(&salt)?, &header, name),
            header,
            next: 0,
        })
    }

    /// What the stored object begins with.
    pub(crate) fn header(&self) -> &[u8; HEADER_LEN] {
        &self.header
    }

    /// Appends the next sealed chunk to `out`. Every chunk but the last must be full.
    pub(crate) fn seal(
        &mut self,
        plain: &[u8],
        last: bool,
        out: &mut BytesMut,
    ) -> Result<(), Unsealed> {
        debug_assert!(plain.len() == CHUNK_LEN || (last && plain.len() < CHUNK_LEN));
        let start = out.len();
        out.reserve(plain.len() + TAG_LEN);
        out.extend_from_slice(plain);
        let nonce = self.context.set(self.next, last);
        let tag = self.context.key.seal_in_place_separate_tag(
            nonce,
            Aad::from(&self.context.aad),
            &mut out[start..],
        )?;
        out.extend_from_slice(tag.as_ref());
        self.next += 1;
        Ok(())
    }
}

/// How an object of a stored size is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of plaintext in the whole object.
    pub(crate) plain: u64,
    /// Number of chunks, at least one.
    pub(crate) chunks: u64,
}

impl Layout {
    /// `None` when no sealed object has this size.
    pub(crate) fn of_stored(stored: u64) -> Option<Self> {
        let body = stored.checked_sub(HEADER_BYTES)?;
        let chunks = body.div_ceil(SEALED_CHUNK_BYTES);
        let last = body - chunks.checked_sub(1)? * SEALED_CHUNK_BYTES;
        // An empty last chunk exists only in an empty object.
        let least = TAG_LEN as u64 + u64::from(chunks > 1);
        (last >= least).then(|| Self {
            plain: body - chunks * TAG_LEN as u64,
            chunks,
        })
    }

    /// The stored size of an object with so many bytes of plaintext.
    pub(crate) fn stored_size(plain: u64) -> u64 {
        HEADER_BYTES + plain + plain.div_ceil(CHUNK_BYTES).max(1) * TAG_LEN as u64
    }
}

/// Where these chunks are stored. Saturates, so that a range far behind the end stays there.
pub(crate) fn stored_range(chunks: Range<u64>) -> Range<u64> {
    let offset = |chunk: u64| {
        chunk
            .saturating_mul(SEALED_CHUNK_BYTES)
            .saturating_add(HEADER_BYTES)
    };
    offset(chunks.start)..offset(chunks.end)
}

/// Opens the chunks of one object, in any order.
#[derive(Clone)]
pub(crate) struct Opener {
    context: Context,
    chunks: u64,
}

impl Opener {
    /// `start` are the first bytes of the stored object, at least the header if there is one.
    pub(crate) fn new(
        keys: &Keys,
        name: &str,
        start: &[u8],
        layout: Layout,
    ) -> Result<Self, Unopened> {
        let header: &Header = start
            .first_chunk()
            .ok_or(Unopened::Corrupt("it ends within its header"))?;
        if &header[..8] != MAGIC {
            return Err(Unopened::Corrupt(
                "it does not begin like an object written by Backstay",
            ));
        }
        if header[CHECK] != check(header) {
            return Err(Unopened::Corrupt("its header is damaged"));
        }
        if header[8] != VERSION {
            return Err(Unopened::Corrupt(
                "it was written by a newer version of Backstay",
            ));
        }
        if header[KEY_ID] != keys.id {
            return Err(Unopened::WrongKey);
        }
        let key = keys
            .object_key(&header[SALT])
            .map_err(|Unsealed| Unopened::Corrupt("its key cannot be derived"))?;
        Ok(Self {
            context: Context::new(key, header, name),
            chunks: layout.chunks,
        })
    }

    /// Opens consecutive sealed chunks from number `first` on and appends their plaintext to
    /// `out`, to which nothing is appended when any of them is not authentic.
    pub(crate) fn open(
        &self,
        first: u64,
        sealed: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), Unopened> {
        let before = out.len();
        let mut context = self.context.clone();
        out.reserve(sealed.len());
        for (index, chunk) in (first..).zip(sealed.chunks(SEALED_CHUNK_LEN)) {
            let start = out.len();
            out.extend_from_slice(chunk);
            let nonce = context.set(index, index + 1 == self.chunks);
            let plain = context
                .key
                .open_in_place(nonce, Aad::from(&context.aad), &mut out[start..])
                .map(|plain| plain.len());
            let Ok(plain) = plain else {
                out.truncate(before);
                return Err(Unopened::Corrupt(
                    "its content is not what was written under this name",
                ));
            };
            out.truncate(start + plain);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
