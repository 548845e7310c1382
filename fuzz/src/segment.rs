//! Segments: a damaged one is an error, whatever its checksums say.

use std::sync::Arc;

use backstay_search::segment::count;
use backstay_search::{MemorySource, Query, SegmentSource};
use bytes::Bytes;

use crate::{RUNTIME, run};

/// A segment as it is found; and the same with the checksums that it would have to have, since no
/// input would get past them by chance.
pub fn segment(input: &[u8]) {
    search(&Bytes::copy_from_slice(input));
    if let Some(bytes) = with_true_checksums(input) {
        search(&bytes);
    }
}

fn search(bytes: &Bytes) {
    let source = MemorySource::new("7", i64::MIN, i64::MAX, bytes.clone());
    let source: Arc<dyn SegmentSource> = Arc::new(source);
    if RUNTIME.block_on(count(source)).is_err() {
        return;
    }
    for text in ["*", "took | groupBy(user) | sort(_count)"] {
        let query = Query::parse(text).expect("a query");
        // It is damaged or not: both are answers.
        let _ = run(query, bytes);
    }
}

/// Parquet's `PAR1` and the footer's length.
const TRAILER: usize = 8;
const NO_CHECKSUM: &[u8] = b"crc32=--------";

/// The same bytes with the checksums of index and footer as they must be, where they have places.
pub fn with_true_checksums(input: &[u8]) -> Option<Bytes> {
    let mut bytes = input.to_vec();
    let trailer = bytes.len().checked_sub(TRAILER)?;
    let length = u32::from_le_bytes(bytes[trailer..trailer + 4].try_into().ok()?);
    let footer = trailer.checked_sub(usize::try_from(length).ok()?)?;
    with_index_checksum(&mut bytes, footer);
    let key = memchr::memmem::rfind(&bytes[footer..], b"backstay.footer")? + footer;
    let at = memchr::memmem::find(&bytes[key..], b"crc32=")? + key;
    bytes
        .get_mut(at..at + NO_CHECKSUM.len())?
        .copy_from_slice(NO_CHECKSUM);
    let sum = format!("crc32={:08x}", crc32fast::hash(&bytes[footer..]));
    bytes[at..at + NO_CHECKSUM.len()].copy_from_slice(sum.as_bytes());
    Some(bytes.into())
}

/// The index's checksum stands in the footer as `OFFSET LENGTH CHECKSUM`, in decimal.
fn with_index_checksum(bytes: &mut [u8], footer: usize) -> Option<()> {
    let key = memchr::memmem::rfind(&bytes[footer..], b"backstay.index")? + footer;
    let begin = key + bytes[key + 14..].iter().position(u8::is_ascii_digit)? + 14;
    let is_of_text = |byte: &u8| byte.is_ascii_digit() || *byte == b' ';
    let end = begin + bytes[begin..].iter().position(|it| !is_of_text(it))?;
    let text = std::str::from_utf8(&bytes[begin..end]).ok()?.to_owned();
    let mut parts = text.split(' ');
    let offset: usize = parts.next()?.parse().ok()?;
    let length: usize = parts.next()?.parse().ok()?;
    let width = parts.next()?.len();
    let sum = crc32fast::hash(bytes.get(offset..offset.checked_add(length)?)?);
    let sum = format!("{sum:0width$}");
    // A longer one has no place.
    (sum.len() == width).then(|| bytes[end - width..end].copy_from_slice(sum.as_bytes()))
}
