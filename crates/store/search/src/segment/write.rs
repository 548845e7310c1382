//! Makes a segment of events.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use memchr::memmem;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{
    FIXED_COLUMNS, FOOTER_KEY, Group, INDEX_KEY, Index, MORE, MORE_COLUMN, NO_CHECKSUM, Piece,
    VERSION,
};
use crate::event::{Event, ID, RAW, TIMESTAMP};
use crate::filter::is_text;
use crate::gram::{self, Builder, Key};
use crate::work;
use crate::{SearchError, execute::Row};

/// A segment, ready to be uploaded.
#[derive(Clone, Debug)]
pub struct Written {
    /// Content of the segment's Parquet file.
    pub bytes: Bytes,
    /// How many events it has.
    pub events: u64,
    /// Bytes of their `raw` texts.
    pub raw_bytes: u64,
    /// Time of the first event, ms since 1970.
    pub start_ms: i64,
    /// Time of the last event, ms since 1970.
    pub end_ms: i64,
}

/// How events are laid out.
pub(crate) struct Shape {
    /// Text of a row group.
    pub(crate) group_bytes: usize,
    /// Columns for tags and fields.
    pub(crate) columns: usize,
}

/// Row groups small enough that a filter of one is selective and that reading one for a single
/// event is cheap, large enough to compress well. Each column costs about a hundred bytes of
/// footer for each row group.
const SHAPE: Shape = Shape {
    group_bytes: 4 << 20,
    columns: 200,
};
/// A column of a row group has no more than 2 GiB, and JSON makes six bytes of one at worst. No
/// request is so large.
const MAX_EVENT_BYTES: usize = i32::MAX as usize / 8;
/// Between level 1 and 3 lie a few percent of size and half of the speed.
const ZSTD_LEVEL: i32 = 1;

/// Encodes events, in any order. Takes the memory of the result and of one row group, and
/// computes for long: call it where that may block.
///
/// # Errors
/// See [`SearchError::Write`].
pub fn write(events: &[Event]) -> Result<Written, SearchError> {
    write_shaped(events, &SHAPE)
}

/// The same in another shape; tests want many row groups of few events.
pub(crate) fn write_shaped(events: &[Event], shape: &Shape) -> Result<Written, SearchError> {
    encode(events, shape).map_err(|error| SearchError::Write {
        events: events.len(),
        source: error.into(),
    })
}

/// What an event adds to a row group: names and values mostly repeat pieces of the raw text.
fn text_bytes(event: &Event) -> usize {
    event.raw.len() + (event.bytes() - event.raw.len()) / 4
}

/// Why events cannot be made a segment.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0} bytes in one event are too many")]
    Event(usize),
    #[error("a column lies outside of the file")]
    Outside,
    #[error("the file is too short")]
    Short,
    #[error("the footer is too long")]
    LongFooter,
    #[error("the footer has no checksum")]
    NoChecksum,
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Index(#[from] postcard::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn encode(events: &[Event], shape: &Shape) -> Result<Written, WriteError> {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by(|a, b| (a.timestamp_ms, &a.id).cmp(&(b.timestamp_ms, &b.id)));
    let names = column_names(&sorted, shape.columns);
    let schema = schema(&names);
    let options = ArrowWriterOptions::new()
        .with_properties(properties()?)
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options)?;

    let mut groups = Vec::new();
    let mut rest = sorted.as_slice();
    while !rest.is_empty() {
        let (mut bytes, mut largest) = (0, 0);
        let full = rest.iter().position(|event| {
            bytes += text_bytes(event);
            largest = largest.max(event.bytes());
            bytes >= shape.group_bytes
        });
        if largest > MAX_EVENT_BYTES {
            return Err(WriteError::Event(largest));
        }
        let (group, after) = rest.split_at(full.map_or(rest.len(), |last| last + 1));
        rest = after;
        let built = RowGroup::build(group, &names, &schema)?;
        writer.write(&built.batch)?;
        writer.flush()?;
        groups.push(built);
    }
    let bytes = finish(writer, groups)?;
    Ok(Written {
        bytes,
        events: events.len() as u64,
        raw_bytes: events.iter().map(|event| event.raw.len() as u64).sum(),
        start_ms: sorted.first().map_or(0, |event| event.timestamp_ms),
        end_ms: sorted.last().map_or(0, |event| event.timestamp_ms),
    })
}

/// Adds filters, index and footer.
fn finish(writer: ArrowWriter<Vec<u8>>, groups: Vec<RowGroup>) -> Result<Bytes, WriteError> {
    let (mut writer, _) = writer.into_serialized_writer()?;
    writer.flush()?;
    let mut index = Index {
        version: VERSION,
        groups: Vec::with_capacity(groups.len()),
    };
    let written = writer.flushed_row_groups().to_vec();
    for (group, metadata) in groups.into_iter().zip(&written) {
        let filter = Piece {
            offset: writer.bytes_written() as u64,
            length: group.filter.len() as u64,
            crc32: crc32fast::hash(&group.filter),
        };
        writer.write_all(&group.filter)?;
        let mut chunks = Vec::with_capacity(metadata.num_columns());
        for column in metadata.columns() {
            let (offset, length) = column.byte_range();
            let bytes = usize::try_from(offset)
                .ok()
                .zip(usize::try_from(length).ok())
                .and_then(|(from, length)| writer.inner().get(from..from.checked_add(length)?))
                .ok_or(WriteError::Outside)?;
            chunks.push(Piece {
                offset,
                length,
                crc32: crc32fast::hash(bytes),
            });
        }
        index.groups.push(Group {
            rows: group.batch.num_rows() as u32,
            start_ms: group.start_ms,
            end_ms: group.end_ms,
            filter,
            odd_case: group.odd_case,
            chunks,
            own_texts: group.own_texts,
        });
    }
    let index = postcard::to_stdvec(&index)?;
    let place = format!(
        "{} {} {}",
        writer.bytes_written(),
        index.len(),
        crc32fast::hash(&index)
    );
    writer.write_all(&index)?;
    writer.append_key_value_metadata(KeyValue::new(INDEX_KEY.to_owned(), place));
    writer.append_key_value_metadata(KeyValue::new(FOOTER_KEY.to_owned(), NO_CHECKSUM.to_owned()));
    let mut bytes = writer.into_inner()?;
    seal_footer(&mut bytes)?;
    Ok(bytes.into())
}

/// Writes the footer's checksum into the footer.
fn seal_footer(bytes: &mut [u8]) -> Result<(), WriteError> {
    let length = bytes
        .last_chunk::<8>()
        .map(|[a, b, c, d, ..]| u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        .ok_or(WriteError::Short)?;
    let start = bytes
        .len()
        .checked_sub(8 + length)
        .ok_or(WriteError::LongFooter)?;
    let footer = bytes.get_mut(start..).ok_or(WriteError::LongFooter)?;
    let sum = crc32fast::hash(footer);
    let at = memmem::rfind(footer, NO_CHECKSUM.as_bytes()).ok_or(WriteError::NoChecksum)?;
    let place = footer
        .get_mut(at..at + NO_CHECKSUM.len())
        .ok_or(WriteError::NoChecksum)?;
    place.copy_from_slice(format!("crc32={sum:08x}").as_bytes());
    Ok(())
}

/// Names that get a column: the most frequent, then by name, so that the file does not depend on
/// the order of the events.
fn column_names(events: &[&Event], most: usize) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for event in events {
        for (name, _) in event.attributes() {
            match counts.get_mut(name.as_ref()) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(name.into_owned(), 1);
                }
            }
        }
    }
    let mut names: Vec<(String, usize)> = counts
        .into_iter()
        .filter(|(name, _)| !name.is_empty() && name != MORE)
        .collect();
    if names.len() > most {
        // Not sorted: there may be as many names as values.
        names.select_nth_unstable_by(most, |(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        names.truncate(most);
    }
    let mut names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

fn schema(names: &[String]) -> SchemaRef {
    let mut fields = vec![
        Field::new(TIMESTAMP, DataType::Int64, false),
        Field::new(RAW, DataType::Utf8, false),
        Field::new(ID, DataType::Utf8, false),
        Field::new(MORE, DataType::Utf8, true),
    ];
    fields.extend(
        names
            .iter()
            .map(|name| Field::new(name, DataType::Utf8, true)),
    );
    Arc::new(Schema::new(fields))
}

fn properties() -> Result<WriterProperties, WriteError> {
    let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let level = ZstdLevel::try_new(ZSTD_LEVEL)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Pages are read one after the other; the index would be a third of the footer.
        .set_offset_index_disabled(true)
        .set_data_page_size_limit(256 << 10)
        .set_column_encoding(path(TIMESTAMP), Encoding::DELTA_BINARY_PACKED);
    for name in [TIMESTAMP, RAW, ID, MORE] {
        // Nearly every value is there once.
        properties = properties.set_column_dictionary_enabled(path(name), false);
    }
    for name in [RAW, ID, MORE] {
        properties = properties.set_column_statistics_enabled(path(name), EnabledStatistics::None);
    }
    // Long values in the footer would be read by every query.
    Ok(properties.set_statistics_truncate_length(Some(32)).build())
}

struct RowGroup {
    batch: RecordBatch,
    filter: Vec<u8>,
    odd_case: bool,
    own_texts: Vec<u32>,
    start_ms: i64,
    end_ms: i64,
}

impl RowGroup {
    fn build(events: &[&Event], names: &[String], schema: &SchemaRef) -> Result<Self, WriteError> {
        let text_bytes = events.iter().map(|event| text_bytes(event)).sum();
        let mut filter = Builder::new(text_bytes);
        let mut own_texts = vec![false; FIXED_COLUMNS + names.len()];
        let columns: HashMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(index, name)| (name.as_str(), index))
            .collect();
        let mut values: Vec<StringBuilder> = names.iter().map(|_| StringBuilder::new()).collect();
        // What a column had last: most tags, and many fields, repeat.
        let mut repeated: Vec<Option<&str>> = vec![None; names.len()];
        let mut raws = StringBuilder::with_capacity(events.len(), text_bytes);
        let mut ids = StringBuilder::new();
        let mut mores = StringBuilder::new();
        let mut folded = Vec::new();
        let mut odd_case = false;

        for (row, event) in events.iter().enumerate() {
            raws.append_value(&event.raw);
            ids.append_value(&event.id);
            filter.insert_both(Key::pair(ID, &event.id));
            odd_case |= add_text(&mut filter, &event.raw, &mut folded);
            let mut more = Row::new();
            let mut known = Within::new(&event.raw);
            for (name, value) in event.attributes() {
                let column = columns.get(name.as_ref()).copied();
                let last = column.and_then(|column| repeated.get_mut(column));
                if last.as_ref().is_none_or(|last| **last != Some(value)) {
                    filter.insert_both(Key::name(&name));
                    filter.insert_both(Key::pair(&name, value));
                }
                if let Some(last) = last {
                    *last = Some(value);
                }
                if is_text(&name) && !known.has(value) {
                    odd_case |= add_text(&mut filter, value, &mut folded);
                    let place = column.map_or(MORE_COLUMN, |column| FIXED_COLUMNS + column);
                    if let Some(own) = own_texts.get_mut(place) {
                        *own = true;
                    }
                }
                match column.and_then(|column| values.get_mut(column)) {
                    Some(builder) => {
                        (builder.len()..row).for_each(|_| builder.append_null());
                        builder.append_value(value);
                    }
                    None => {
                        more.insert(name.into_owned(), value.into());
                    }
                }
            }
            if more.is_empty() {
                mores.append_null();
            } else {
                mores.append_value(serde_json::to_string(&more)?);
            }
        }
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(
                events.iter().map(|event| event.timestamp_ms),
            )),
            Arc::new(raws.finish()),
            Arc::new(ids.finish()),
            Arc::new(mores.finish()),
        ];
        for mut builder in values {
            (builder.len()..events.len()).for_each(|_| builder.append_null());
            arrays.push(Arc::new(builder.finish()));
        }
        Ok(Self {
            batch: RecordBatch::try_new(schema.clone(), arrays)?,
            filter: filter.finish(),
            odd_case,
            own_texts: (0_u32..)
                .zip(own_texts)
                .filter_map(|(column, own)| own.then_some(column))
                .collect(),
            start_ms: events.first().map_or(0, |event| event.timestamp_ms),
            end_ms: events.last().map_or(0, |event| event.timestamp_ms),
        })
    }
}

/// Which values of an event are pieces of its raw text.
///
/// A search through the whole text for each of its values would be quadratic: a line of a few MB
/// may have hundreds of thousands. Values mostly stand there in the order of the fields, so each is
/// looked for behind the one before it first; and all searches together look at no more than
/// [`MAX_TEXT_SCANS`] times the text. A value that is not found for want of that counts as not there, which
/// makes the file a little larger, and no search miss it.
struct Within<'a> {
    raw: &'a [u8],
    /// Behind the last value that was found.
    from: usize,
    /// Bytes that may still be looked at.
    left: usize,
}

/// How often a raw text may be looked through for its values.
const MAX_TEXT_SCANS: usize = 32;

impl<'a> Within<'a> {
    fn new(raw: &'a str) -> Self {
        Self {
            raw: raw.as_bytes(),
            from: 0,
            left: raw.len().saturating_mul(MAX_TEXT_SCANS),
        }
    }

    fn has(&mut self, value: &str) -> bool {
        value.is_empty()
            || self.look(self.from, value.as_bytes())
            || (self.from > 0 && self.look(0, value.as_bytes()))
    }

    fn look(&mut self, from: usize, value: &[u8]) -> bool {
        let end = from.saturating_add(self.left).min(self.raw.len());
        let Some(text) = self.raw.get(from..end) else {
            return false;
        };
        let found = memmem::find(text, value).map(|at| at + value.len());
        let looked = found.unwrap_or(text.len());
        work::add(looked);
        self.left -= looked;
        self.from = found.map_or(self.from, |behind| from + behind);
        found.is_some()
    }
}

/// Adds the grams of a text; says whether it has odd letters.
fn add_text(filter: &mut Builder, text: &str, folded: &mut Vec<u8>) -> bool {
    folded.clear();
    work::add(text.len());
    gram::fold(text, folded);
    gram::grams(folded, |gram| filter.insert_gram(gram));
    gram::has_odd_case(text)
}
