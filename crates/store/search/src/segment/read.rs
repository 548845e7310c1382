//! Opens a segment and reads the columns of one row group, as little as is needed of each.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::BooleanArray;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::ParquetMetaDataReader;

use super::columns::{Columns, Layout};
use super::sparse::Sparse;
use super::{
    Damage, FOOTER_KEY, Group, ID_COLUMN, INDEX_KEY, Index, NO_CHECKSUM, Piece, TIMESTAMP_COLUMN,
    VERSION,
};
use crate::SearchError;
use crate::context::Context;
use crate::filter::Filter;
use crate::memory::Held;
use crate::repository::REPOSITORY;
use crate::source::SegmentSource;

/// How much of the end is read at first; mostly the footer and the index are within.
const TAIL_BYTES: u64 = 64 << 10;
/// Parquet's `PAR1` and the footer's length.
const TRAILER_BYTES: u64 = 8;
/// Ranges with a smaller gap are read as one: a request costs more than these bytes.
const GAP_BYTES: u64 = 64 << 10;

/// A segment whose footer and index are read and checked.
pub(crate) struct Open {
    source: Arc<dyn SegmentSource>,
    metadata: ArrowReaderMetadata,
    layout: Arc<Layout>,
    index: Index,
    size: u64,
    /// The memory of all this.
    _held: Held,
}

/// Which columns a query wants of the rows that pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    These {
        names: Vec<String>,
        /// Also what orders events.
        position: bool,
    },
}

/// Bytes of some columns of a row group, not yet checked.
pub(crate) struct Fetched {
    group: usize,
    places: Vec<usize>,
    pieces: Vec<(u64, Bytes)>,
    /// How many bytes were read.
    pub(crate) bytes: u64,
}

async fn read(source: &dyn SegmentSource, range: Range<u64>) -> Result<Bytes, SearchError> {
    let length = range.end.saturating_sub(range.start);
    let bytes = source
        .read(range)
        .await
        .map_err(|error| SearchError::Source {
            segment: source.id().to_owned(),
            source: error,
        })?;
    if bytes.len() as u64 != length {
        return Err(corrupt(
            source,
            Damage::Length {
                wanted: length,
                came: bytes.len(),
            },
        ));
    }
    Ok(bytes)
}

async fn bring(source: &dyn SegmentSource) -> Result<(), SearchError> {
    source.bring().await.map_err(|error| SearchError::Source {
        segment: source.id().to_owned(),
        source: error,
    })
}

fn corrupt(source: &dyn SegmentSource, damage: Damage) -> SearchError {
    SearchError::Corrupt {
        segment: source.id().to_owned(),
        damage,
    }
}

/// Reads footer and index of a segment, checks both, and says how many events they tell of.
///
/// # Errors
/// As a search in it: when it cannot be read, or is damaged.
pub async fn count(source: Arc<dyn SegmentSource>) -> Result<u64, SearchError> {
    let (open, _) = Open::open(source, &Context::default()).await?;
    let rows = open.groups().iter().map(|group| u64::from(group.rows));
    Ok(rows.sum())
}

impl Open {
    /// Reads footer and index; also says how many bytes that took.
    pub(crate) async fn open(
        source: Arc<dyn SegmentSource>,
        context: &Context,
    ) -> Result<(Self, u64), SearchError> {
        bring(source.as_ref()).await?;
        let size = source.size().await.map_err(|error| SearchError::Source {
            segment: source.id().to_owned(),
            source: error,
        })?;
        let start = size.saturating_sub(TAIL_BYTES);
        let mut tail = Tail {
            start,
            bytes: read(source.as_ref(), start..size).await?,
        };
        let mut taken = size - start;
        let footer_start = tail
            .footer_start(size)
            .map_err(|d| corrupt(source.as_ref(), d))?;
        if footer_start < tail.start {
            tail.bytes = read(source.as_ref(), footer_start..size).await?;
            tail.start = footer_start;
            taken += size - footer_start;
        }
        let footer = tail
            .get(footer_start..size - TRAILER_BYTES)
            .ok_or_else(|| corrupt(source.as_ref(), Damage::NoFooter))?;
        let whole = tail.get(footer_start..size).unwrap_or_default();
        let (metadata, layout, place) = context
            .decode(source.id(), move || footer_of(&footer, &whole))
            .await?;
        let mut held = context.rows(usize::MAX);
        held.reach(
            metadata.metadata().memory_size() + layout.memory(),
            "what segments say about themselves",
        )?;
        let range = place
            .range(size)
            .ok_or_else(|| corrupt(source.as_ref(), Damage::IndexOutside))?;
        let index = match tail.get(range.clone()) {
            Some(index) => index,
            None => {
                taken += place.length;
                read(source.as_ref(), range).await?
            }
        };
        let row_groups = metadata.metadata().num_row_groups();
        let columns = layout.len();
        let index = context
            .decode(source.id(), move || {
                let index = index_of(&index, place)?;
                let fits = index.groups.len() == row_groups
                    && index
                        .groups
                        .iter()
                        .all(|group| group.chunks.len() == columns);
                fits.then_some(index).ok_or(Damage::IndexMisfit)
            })
            .await?;
        let open = Self {
            _held: held,
            source,
            metadata,
            layout: Arc::new(layout),
            index,
            size,
        };
        Ok((open, taken))
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        self.source.id()
    }

    /// The name of the repository that its events are in, where there is one.
    pub(crate) fn repository(&self) -> Option<Arc<str>> {
        self.source.repository()
    }

    /// Brings it nearer again, should a cache have dropped it meanwhile.
    pub(crate) async fn bring(&self) -> Result<(), SearchError> {
        bring(self.source.as_ref()).await
    }

    /// What the filters of row groups take.
    pub(crate) fn filter_bytes(&self, groups: &[usize]) -> usize {
        let filters = groups
            .iter()
            .filter_map(|group| self.index.groups.get(*group));
        let bytes: u64 = filters.map(|group| group.filter.length).sum();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Its row groups.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.index.groups
    }

    /// The filters of row groups, in one read where they lie together; `None` where the index
    /// does not say where. Also how many bytes were read.
    pub(crate) async fn filters(
        &self,
        groups: &[usize],
    ) -> Result<(Vec<(usize, Bytes)>, u64), SearchError> {
        let pieces: Vec<(usize, Piece)> = groups
            .iter()
            .filter_map(|group| Some((*group, self.index.groups.get(*group)?.filter)))
            .collect();
        let ranges = self.ranges(pieces.iter().map(|(_, piece)| *piece))?;
        let (read, bytes) = self.fetch_ranges(ranges).await?;
        let mut filters = Vec::with_capacity(pieces.len());
        for (group, piece) in pieces {
            let filter = Sparse::slice(&read, piece.offset, piece.length)
                .ok_or_else(|| self.corrupt(Damage::NoFilter))?;
            filters.push((group, filter));
        }
        Ok((filters, bytes))
    }

    /// Checks a filter; it is worth nothing when a bit of it is wrong.
    pub(crate) fn checked_filter<'a>(
        &self,
        group: usize,
        filter: &'a [u8],
    ) -> Result<&'a [u8], Damage> {
        let expected = self.index.groups.get(group).map(|group| group.filter.crc32);
        if expected == Some(crc32fast::hash(filter)) {
            Ok(filter)
        } else {
            Err(Damage::FilterChecksum(group))
        }
    }

    /// Columns that a filter looks at in a row group; with the times, if asked for.
    pub(crate) fn filter_columns(&self, group: &Group, filter: &Filter, times: bool) -> Vec<usize> {
        let mut places = Vec::new();
        self.layout
            .add_filter(filter, &group.own_texts, &mut places);
        if times {
            places.push(TIMESTAMP_COLUMN);
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Columns that a query wants, except those it has.
    pub(crate) fn wanted_columns(&self, wanted: &Wanted, has: &[usize]) -> Vec<usize> {
        let mut places: Vec<usize> = match wanted {
            Wanted::All => (0..self.layout.len()).collect(),
            Wanted::These { names, position } => {
                // That is in no column.
                let named = self.source.repository().is_some();
                let stored = names.iter().filter(|name| !named || *name != REPOSITORY);
                let own = stored.map(|name| self.layout.place(name));
                let order = [TIMESTAMP_COLUMN, ID_COLUMN];
                own.chain(order.into_iter().filter(|_| *position)).collect()
            }
        };
        places.sort_unstable();
        places.dedup();
        places.retain(|place| !has.contains(place));
        places
    }

    /// What columns of a row group take while they are read and looked at: as they are in the file,
    /// decoded, and once more for the rows that pass.
    pub(crate) fn memory(&self, group: usize, places: &[usize]) -> usize {
        /// A number, or the offset of a text, and the validity of a value.
        const VALUE_BYTES: usize = 9;
        let Some(about) = self.index.groups.get(group) else {
            return 0;
        };
        let metadata = self.metadata.metadata().row_groups().get(group);
        let of_column = |place: &usize| {
            let read = about.chunks.get(*place).map_or(0, |chunk| chunk.length);
            let column = metadata.and_then(|group| group.columns().get(*place));
            // Of a column without a dictionary, that is what it has in the file unpacked.
            let texts = column.map_or(0, |column| {
                let texts = column.unencoded_byte_array_data_bytes();
                texts.unwrap_or(0).max(column.uncompressed_size())
            });
            let texts = usize::try_from(texts).unwrap_or(usize::MAX);
            let decoded = texts.saturating_add(about.rows as usize * VALUE_BYTES);
            usize::try_from(read)
                .unwrap_or(usize::MAX)
                .saturating_add(decoded.saturating_mul(2))
        };
        places.iter().map(of_column).fold(0, usize::saturating_add)
    }

    /// No columns of some rows, for queries that only count.
    pub(crate) fn no_columns(&self, rows: usize) -> Columns {
        Columns {
            layout: self.layout.clone(),
            rows,
            arrays: vec![None; self.layout.len()],
        }
    }

    /// Reads the bytes of columns of a row group.
    pub(crate) async fn fetch(
        &self,
        group: usize,
        places: Vec<usize>,
    ) -> Result<Fetched, SearchError> {
        let chunks = self.index.groups.get(group).map_or(&[][..], |g| &g.chunks);
        let pieces = places
            .iter()
            .filter_map(|place| chunks.get(*place).copied());
        let ranges = self.ranges(pieces)?;
        let (pieces, bytes) = self.fetch_ranges(ranges).await?;
        Ok(Fetched {
            group,
            places,
            pieces,
            bytes,
        })
    }

    /// Checks and decodes columns; of all rows, or of some. Computes for long.
    pub(crate) fn decode(
        &self,
        fetched: Fetched,
        mask: Option<&BooleanArray>,
    ) -> Result<Columns, Damage> {
        let group = self
            .index
            .groups
            .get(fetched.group)
            .ok_or(Damage::NoRowGroup)?;
        let rows = mask.map_or(group.rows as usize, BooleanArray::true_count);
        let mut columns = self.no_columns(rows);
        if fetched.places.is_empty() || rows == 0 {
            return Ok(columns);
        }
        for place in &fetched.places {
            let chunk = group.chunks.get(*place).ok_or(Damage::NoColumn)?;
            let bytes = Sparse::slice(&fetched.pieces, chunk.offset, chunk.length);
            if bytes.map(|bytes| crc32fast::hash(&bytes)) != Some(chunk.crc32) {
                return Err(Damage::ColumnChecksum {
                    column: *place,
                    group: fetched.group,
                });
            }
        }
        let projection = ProjectionMask::leaves(
            self.metadata.parquet_schema(),
            fetched.places.iter().copied(),
        );
        let sparse = Sparse {
            pieces: fetched.pieces,
            size: self.size,
        };
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(sparse, self.metadata.clone())
                .with_row_groups(vec![fetched.group])
                .with_projection(projection)
                .with_batch_size(rows);
        if let Some(mask) = mask {
            builder =
                builder.with_row_selection(RowSelection::from_filters(std::slice::from_ref(mask)));
        }
        let batches = builder.build()?;
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        let [batch] = batches.as_slice() else {
            return Err(Damage::Batches(batches.len()));
        };
        if batch.num_rows() != rows || batch.num_columns() != fetched.places.len() {
            return Err(Damage::OtherColumns);
        }
        for (place, array) in fetched.places.iter().zip(batch.columns()) {
            if let Some(slot) = columns.arrays.get_mut(*place) {
                *slot = Some(array.clone());
            }
        }
        Ok(columns)
    }

    fn corrupt(&self, damage: Damage) -> SearchError {
        corrupt(self.source.as_ref(), damage)
    }

    /// Ranges that cover the pieces.
    fn ranges(&self, pieces: impl Iterator<Item = Piece>) -> Result<Vec<Range<u64>>, SearchError> {
        let mut ranges = pieces
            .map(|piece| piece.range(self.size))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| self.corrupt(Damage::PointsOutside))?;
        ranges.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(GAP_BYTES) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        Ok(merged)
    }

    async fn fetch_ranges(
        &self,
        ranges: Vec<Range<u64>>,
    ) -> Result<(Vec<(u64, Bytes)>, u64), SearchError> {
        let reads = ranges.into_iter().map(|range| async {
            let start = range.start;
            read(self.source.as_ref(), range)
                .await
                .map(|bytes| (start, bytes))
        });
        let pieces = futures::future::try_join_all(reads).await?;
        let bytes = pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        Ok((pieces, bytes))
    }
}

/// The end of a file.
struct Tail {
    start: u64,
    bytes: Bytes,
}

impl Tail {
    fn get(&self, range: Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        (from <= to && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }

    fn footer_start(&self, size: u64) -> Result<u64, Damage> {
        let trailer = self.bytes.last_chunk::<8>();
        let Some([a, b, c, d, b'P', b'A', b'R', b'1']) = trailer.copied() else {
            return Err(Damage::NotParquet);
        };
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        size.checked_sub(TRAILER_BYTES + length)
            .ok_or(Damage::LongFooter)
    }
}

fn footer_of(
    footer: &[u8],
    with_trailer: &[u8],
) -> Result<(ArrowReaderMetadata, Layout, Piece), Damage> {
    check_footer(with_trailer)?;
    let metadata = ParquetMetaDataReader::decode_metadata(footer)?;
    let entries = metadata.file_metadata().key_value_metadata();
    let place = entries
        .into_iter()
        .flatten()
        .find(|entry| entry.key == INDEX_KEY)
        .and_then(|entry| entry.value.as_deref())
        .and_then(index_place)
        .ok_or(Damage::NoIndex)?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), options)?;
    let schema = metadata.parquet_schema();
    let names = schema
        .columns()
        .iter()
        .map(|column| column.name().to_owned());
    let layout = Layout::new(names.collect()).ok_or(Damage::Columns)?;
    if schema.root_schema().get_fields().len() != layout.len() {
        return Err(Damage::Nested);
    }
    Ok((metadata, layout, place))
}

fn check_footer(footer: &[u8]) -> Result<(), Damage> {
    let wrong = || Damage::FooterChecksum;
    let key = memchr::memmem::rfind(footer, FOOTER_KEY.as_bytes()).ok_or_else(wrong)?;
    let after = footer.get(key..).unwrap_or(&[]);
    let at = key + memchr::memmem::find(after, b"crc32=").ok_or_else(wrong)?;
    let range = at..at + NO_CHECKSUM.len();
    let stated = footer.get(range.clone()).unwrap_or(&[]).to_vec();
    let mut blank = footer.to_vec();
    blank
        .get_mut(range)
        .ok_or_else(wrong)?
        .copy_from_slice(NO_CHECKSUM.as_bytes());
    let sum = format!("crc32={:08x}", crc32fast::hash(&blank));
    (stated == sum.as_bytes()).then_some(()).ok_or_else(wrong)
}

fn index_place(text: &str) -> Option<Piece> {
    let mut parts = text.split(' ');
    let piece = Piece {
        offset: parts.next()?.parse().ok()?,
        length: parts.next()?.parse().ok()?,
        crc32: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(piece)
}

fn index_of(bytes: &[u8], place: Piece) -> Result<Index, Damage> {
    if crc32fast::hash(bytes) != place.crc32 {
        return Err(Damage::IndexChecksum);
    }
    let index: Index = postcard::from_bytes(bytes)?;
    if index.version != VERSION {
        return Err(Damage::IndexVersion(index.version));
    }
    Ok(index)
}
