//! The whole rule by which an occupied slot is judged, in one place: everybody who is answered
//! "already exists" asks here.

use std::fmt;

use crate::entry::{EntryKind, Header};

/// Who holds a stream instead of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The sealer's name, or the writer's where its data was met first.
    pub by: String,
    /// The term under which it holds the stream.
    pub term: u64,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "term {} by {}", self.term, self.by)
    }
}

impl Fence {
    pub(crate) fn of(header: &Header) -> Self {
        Self {
            by: match &header.kind {
                EntryKind::Seal { by } => by.to_string(),
                EntryKind::Data => header.writer.0.clone(),
            },
            term: header.term,
        }
    }
}

/// What an occupied slot means to someone who wanted to create it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Occupied {
    /// An earlier try of the same entry took effect.
    Own,
    /// A straggler of a lower term wrote above the seal that fenced it; nobody will read it.
    Dead,
    /// An entry of the same term by somebody else.
    Rival,
    /// A higher term holds the stream.
    Fenced(Fence),
}

/// Judges the slot for someone who tried to create it with `term` and `nonce`.
pub(crate) fn judge(found: &Header, term: u64, nonce: u128) -> Occupied {
    if found.nonce == nonce && found.term == term {
        Occupied::Own
    } else if found.term < term {
        Occupied::Dead
    } else if found.term == term {
        Occupied::Rival
    } else {
        Occupied::Fenced(Fence::of(found))
    }
}
