//! The form of a segment.
//!
//! A segment is a Parquet file that any Parquet reader can read: the events sorted by time and
//! identity, a column for `@timestamp` (ms), `@rawstring`, `@id`, for each tag (`#name`) and for
//! each of the most frequent fields; fields beyond those stand in the column `@more` as a JSON
//! object, because a file whose every event has names of its own would be all schema. Row groups
//! hold about 4 MiB of raw text.
//!
//! Between the last row group and the footer stand bytes that other readers skip: one filter for
//! each row group (pieces of its texts, names and values; see `gram.rs`), and an index with the times, the filters' places, the
//! checksums of all columns, and which columns hold texts that the raw text does not have. The
//! footer's metadata say where the index is; its own checksum is written into itself. So every
//! byte that decides over an answer is checked before it is used: a folder on a disk returns
//! what was written or what rotted.

mod columns;
mod damage;
mod read;
mod sparse;
mod write;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wide;

pub(crate) use columns::Columns;
pub use damage::Damage;
pub use read::count;
pub(crate) use read::{Open, Wanted};
#[cfg(test)]
pub(crate) use write::{Shape, write_shaped};
pub use write::{Written, write};

use serde::{Deserialize, Serialize};

/// Column of the fields that have none of their own.
const MORE: &str = "@more";
/// Places of the columns that every segment has.
const TIMESTAMP_COLUMN: usize = 0;
const RAW_COLUMN: usize = 1;
const ID_COLUMN: usize = 2;
const MORE_COLUMN: usize = 3;
/// How many those are.
const FIXED_COLUMNS: usize = 4;
/// Key of the footer's metadata with the place of the index.
const INDEX_KEY: &str = "backstay.index";
/// Key of the footer's metadata with the checksum of the footer.
const FOOTER_KEY: &str = "backstay.footer";
/// Stands where the footer's checksum comes, while it is computed.
const NO_CHECKSUM: &str = "crc32=--------";
/// Version of the index.
const VERSION: u8 = 1;

/// What a segment holds about itself, besides Parquet's footer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    version: u8,
    pub(crate) groups: Vec<Group>,
}

/// What the index holds about one row group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) rows: u32,
    /// Time of the first event, ms since 1970.
    pub(crate) start_ms: i64,
    /// Time of the last event.
    pub(crate) end_ms: i64,
    pub(crate) filter: Piece,
    /// Whether some text has letters that folding to lower case treats unlike regular expressions
    /// that ignore case do.
    pub(crate) odd_case: bool,
    /// Of each column, in the order of the schema.
    pub(crate) chunks: Vec<Piece>,
    /// Columns with values that are not within the raw text of their event.
    pub(crate) own_texts: Vec<u32>,
}

/// Some bytes of the file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) crc32: u32,
}

impl Piece {
    /// Its range, if it is one within a file of this size.
    pub(crate) fn range(&self, size: u64) -> Option<std::ops::Range<u64>> {
        let end = self.offset.checked_add(self.length)?;
        (end <= size).then_some(self.offset..end)
    }
}
