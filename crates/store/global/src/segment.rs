//! Segments: by far the most numerous entity, so they are compact and parsed without detours.
//!
//! A million of them take about 110 MB: 16 bytes of id, a shared repository id, numbers, and one
//! pointer for what is rarely there.

mod set;

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entity::{HostId, RepositoryId};
use crate::raw::{Extra, Key};

pub use set::SegmentSet;

/// The bucket id of a segment that is in no bucket, but only on its hosts.
pub const NO_BUCKET: u32 = 0;

/// A segment's id: a UUID, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(Uuid);

impl SegmentId {
    /// A new id; later ones are greater.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for SegmentId {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Uuid> for SegmentId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// Text that is no segment id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a segment id is 32 lower-case hexadecimal digits")]
pub struct NotASegmentId;

impl FromStr for SegmentId {
    type Err = NotASegmentId;

    fn from_str(text: &str) -> Result<Self, NotASegmentId> {
        // Other spellings of a UUID would not be written again as they were read.
        let digits = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        if text.len() != 32 || !text.as_bytes().iter().all(digits) {
            return Err(NotASegmentId);
        }
        Uuid::try_parse_ascii(text.as_bytes())
            .map(Self)
            .map_err(|_| NotASegmentId)
    }
}

impl Serialize for SegmentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; uuid::fmt::Simple::LENGTH];
        serializer.serialize_str(self.0.simple().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for SegmentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = SegmentId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 lower-case hexadecimal digits")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<SegmentId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(IdVisitor)
    }
}

/// A segment: events of one repository and one partition, in one object of one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its id; part of the object's name.
    pub id: SegmentId,
    /// The repository that its events belong to.
    pub repository: RepositoryId,
    /// The [`crate::BucketEntity`] that has it; [`NO_BUCKET`] if none has.
    pub bucket: u32,
    /// Bytes of the object, before encryption.
    pub size: u64,
    /// Bytes of the events' raw text.
    pub raw_bytes: u64,
    /// Number of its events.
    pub events: u64,
    /// The earliest event's time.
    pub start_ms: i64,
    /// The latest event's time.
    pub end_ms: i64,
    /// The partition that its events were written to.
    pub partition: u32,
    /// The first journal entry that it covers.
    pub from_seq: u64,
    /// The entry behind the last one that it covers.
    pub to_seq: u64,
    /// What few segments have.
    pub rest: Option<Box<SegmentRest>>,
}

/// What few segments have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmentRest {
    /// Hosts that have a copy on their disks.
    pub hosts: Vec<HostId>,
    /// The recovery that has taken its events in from the recovered cluster's journal; they are
    /// none that this cluster was sent. Says nothing any more after the next recovery.
    pub imported_by: Option<Box<str>>,
    /// Fields of other versions, carried as they are.
    pub extra: Extra,
}

impl Segment {
    /// The object's name, relative to the bucket's prefix.
    pub fn key(&self) -> String {
        format!("segments/{}/{}", self.repository, self.id)
    }

    /// By which the segment is found in a [`SegmentSet`].
    pub fn reference(&self) -> SegmentRef {
        SegmentRef {
            repository: self.repository.clone(),
            end_ms: self.end_ms,
            id: self.id,
        }
    }
}

/// Names a segment, with what is needed to find it without a search.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SegmentRef {
    /// [`Segment::repository`].
    pub repository: RepositoryId,
    /// [`Segment::end_ms`].
    #[serde(rename = "end")]
    pub end_ms: i64,
    /// [`Segment::id`].
    pub id: SegmentId,
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("repository", &self.repository)?;
        map.serialize_entry("bucket", &self.bucket)?;
        map.serialize_entry("size", &self.size)?;
        map.serialize_entry("rawBytes", &self.raw_bytes)?;
        map.serialize_entry("events", &self.events)?;
        map.serialize_entry("start", &self.start_ms)?;
        map.serialize_entry("end", &self.end_ms)?;
        map.serialize_entry("partition", &self.partition)?;
        map.serialize_entry("fromSeq", &self.from_seq)?;
        map.serialize_entry("toSeq", &self.to_seq)?;
        if let Some(rest) = &self.rest {
            if !rest.hosts.is_empty() {
                map.serialize_entry("hosts", &rest.hosts)?;
            }
            if let Some(recovery) = &rest.imported_by {
                map.serialize_entry("importedBy", recovery)?;
            }
            rest.extra.write(&mut map)?;
        }
        map.end()
    }
}

/// Gives segments of one repository one id to share. Snapshots list them together.
#[derive(Default)]
pub(crate) struct Interner {
    last: Option<RepositoryId>,
    all: std::collections::BTreeSet<RepositoryId>,
}

impl Interner {
    fn intern(&mut self, id: &str) -> RepositoryId {
        if let Some(last) = &self.last
            && last.as_str() == id
        {
            return last.clone();
        }
        let id = RepositoryId::from(id);
        let id = match self.all.get(&id) {
            Some(known) => known.clone(),
            None => {
                self.all.insert(id.clone());
                id
            }
        };
        self.last = Some(id.clone());
        id
    }
}

/// Reads one segment; see [`Interner`].
pub(crate) struct SegmentSeed<'a>(pub(crate) &'a mut Interner);

enum Field<'de> {
    Id,
    Repository,
    Bucket,
    Size,
    RawBytes,
    Events,
    Start,
    End,
    Partition,
    FromSeq,
    ToSeq,
    Hosts,
    ImportedBy,
    Other(Key<'de>),
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = Key::deserialize(deserializer)?;
        Ok(match &*key.0 {
            "id" => Self::Id,
            "repository" => Self::Repository,
            "bucket" => Self::Bucket,
            "size" => Self::Size,
            "rawBytes" => Self::RawBytes,
            "events" => Self::Events,
            "start" => Self::Start,
            "end" => Self::End,
            "partition" => Self::Partition,
            "fromSeq" => Self::FromSeq,
            "toSeq" => Self::ToSeq,
            "hosts" => Self::Hosts,
            "importedBy" => Self::ImportedBy,
            _ => Self::Other(key),
        })
    }
}

struct Interned<'a>(&'a mut Interner);

impl<'de> DeserializeSeed<'de> for Interned<'_> {
    type Value = RepositoryId;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RepositoryId, D::Error> {
        let id = Key::deserialize(deserializer)?;
        Ok(self.0.intern(&id.0))
    }
}

impl<'de> DeserializeSeed<'de> for SegmentSeed<'_> {
    type Value = Segment;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Segment, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SegmentSeed<'_> {
    type Value = Segment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a segment")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Segment, A::Error> {
        fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
            slot: &mut Option<T>,
            name: &'static str,
            map: &mut A,
        ) -> Result<(), A::Error> {
            match slot.replace(map.next_value()?) {
                None => Ok(()),
                Some(_) => Err(A::Error::duplicate_field(name)),
            }
        }
        let (mut id, mut repository, mut bucket, mut size) = (None, None, None, None);
        let (mut raw_bytes, mut events, mut start, mut end) = (None, None, None, None);
        let (mut partition, mut from_seq, mut to_seq) = (None, None, None);
        let mut rest: Option<Box<SegmentRest>> = None;
        while let Some(field) = map.next_key::<Field<'de>>()? {
            match field {
                Field::Id => once(&mut id, "id", &mut map)?,
                Field::Repository => {
                    let found = map.next_value_seed(Interned(&mut *self.0))?;
                    if repository.replace(found).is_some() {
                        return Err(A::Error::duplicate_field("repository"));
                    }
                }
                Field::Bucket => once(&mut bucket, "bucket", &mut map)?,
                Field::Size => once(&mut size, "size", &mut map)?,
                Field::RawBytes => once(&mut raw_bytes, "rawBytes", &mut map)?,
                Field::Events => once(&mut events, "events", &mut map)?,
                Field::Start => once(&mut start, "start", &mut map)?,
                Field::End => once(&mut end, "end", &mut map)?,
                Field::Partition => once(&mut partition, "partition", &mut map)?,
                Field::FromSeq => once(&mut from_seq, "fromSeq", &mut map)?,
                Field::ToSeq => once(&mut to_seq, "toSeq", &mut map)?,
                Field::Hosts => rest.get_or_insert_default().hosts = map.next_value()?,
                Field::ImportedBy => {
                    rest.get_or_insert_default().imported_by = map.next_value()?;
                }
                Field::Other(name) => rest.get_or_insert_default().extra.read(&name.0, &mut map)?,
            }
        }
        let missing = A::Error::missing_field;
        Ok(Segment {
            id: id.ok_or_else(|| missing("id"))?,
            repository: repository.ok_or_else(|| missing("repository"))?,
            bucket: bucket.ok_or_else(|| missing("bucket"))?,
            size: size.ok_or_else(|| missing("size"))?,
            raw_bytes: raw_bytes.ok_or_else(|| missing("rawBytes"))?,
            events: events.ok_or_else(|| missing("events"))?,
            start_ms: start.ok_or_else(|| missing("start"))?,
            end_ms: end.ok_or_else(|| missing("end"))?,
            partition: partition.ok_or_else(|| missing("partition"))?,
            from_seq: from_seq.ok_or_else(|| missing("fromSeq"))?,
            to_seq: to_seq.ok_or_else(|| missing("toSeq"))?,
            rest,
        })
    }
}

impl<'de> Deserialize<'de> for Segment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SegmentSeed(&mut Interner::default()).deserialize(deserializer)
    }
}
