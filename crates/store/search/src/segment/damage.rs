//! What can be wrong with the bytes of a segment.

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

use super::VERSION;

/// What is wrong with the bytes of a segment.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Fewer or more bytes than it has.
    #[error("{wanted} bytes were asked for, {came} came")]
    Length {
        /// How many were asked for.
        wanted: u64,
        /// How many bytes came instead.
        came: usize,
    },
    /// The last bytes are not Parquet's.
    #[error("it does not end as a Parquet file")]
    NotParquet,
    /// The footer says that it is longer than everything.
    #[error("its footer is longer than the file")]
    LongFooter,
    /// It has no footer of ours.
    #[error("it has no footer")]
    NoFooter,
    /// The footer has changed.
    #[error("the checksum of its footer is wrong")]
    FooterChecksum,
    /// The footer does not lead to the index.
    #[error("its footer does not say where its index is")]
    NoIndex,
    /// The schema is another one.
    #[error("its columns are not those of a segment")]
    Columns,
    /// Columns within columns.
    #[error("it has nested columns")]
    Nested,
    /// The footer leads out of the file.
    #[error("its index lies outside")]
    IndexOutside,
    /// The index has changed.
    #[error("the checksum of its index is wrong")]
    IndexChecksum,
    /// Another version has written it.
    #[error("its index has version {0}, this program reads {VERSION}")]
    IndexVersion(u8),
    /// Index and footer tell of other row groups or columns.
    #[error("its index does not fit its footer")]
    IndexMisfit,
    /// The index leads out of the file.
    #[error("its index points outside")]
    PointsOutside,
    /// A filter was not among what was read.
    #[error("a filter is missing")]
    NoFilter,
    /// A filter has changed.
    #[error("the checksum of the filter of row group {0} is wrong")]
    FilterChecksum(usize),
    /// The index has fewer.
    #[error("no such row group")]
    NoRowGroup,
    /// The index has fewer.
    #[error("no such column")]
    NoColumn,
    /// A column has changed.
    #[error("the checksum of column {column} of row group {group} is wrong")]
    ColumnChecksum {
        /// Index of the column.
        column: usize,
        /// Index of the row group.
        group: usize,
    },
    /// A row group is decoded into one.
    #[error("{0} batches instead of one")]
    Batches(usize),
    /// What was decoded is not what the index tells of.
    #[error("its columns are not those of its index")]
    OtherColumns,
    /// A decoder has panicked.
    #[error("its decoder gave up")]
    Decoder,
    /// The index is not well-formed.
    #[error(transparent)]
    Index(#[from] postcard::Error),
    /// Parquet's decoder refused it.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Arrow refused it.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}
