//! What the log of a starting node says about its recovery.
//!
//! The lines are those of LogScale's `DataSnapshotLoader`, of which the runbook says in what order
//! to expect them; our own node writes the same. A line may stand in any frame: with a time before
//! it, or in JSON.

/// Where in a stream of metadata a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochOffset {
    /// The first part of a position: LogScale's rises when Kafka is set up again, ours with each recovery.
    pub epoch: u64,
    /// The offset in it.
    pub offset: u64,
}

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Loading begins; whether there was nothing in the data folder.
    Checking {
        /// `localAndHttpWereEmpty`.
        empty: bool,
    },
    /// A snapshot is looked for in a bucket.
    Looking {
        /// The bucket as the line names it.
        bucket: String,
    },
    /// There is none in it.
    FoundNone,
    /// There is one.
    Found(EpochOffset),
    /// The bucket that is looked into next is another cluster's.
    FromSource,
    /// Its snapshot is here, and is patched now.
    Patching(EpochOffset),
    /// What there is to choose from is listed.
    Choosing,
    /// This one was chosen.
    Selected {
        /// `azure`, `local`, …
        source: String,
        /// The snapshot that was chosen.
        position: EpochOffset,
    },
    /// A region was replaced.
    PatchedRegion {
        /// The value that replaces it.
        to: String,
    },
    /// A bucket's name was replaced.
    PatchedBucket {
        /// The value that replaces it.
        to: String,
    },
    /// The source's bucket is accessed as the recovery variables say.
    PatchedAccess,
    /// A bucket is only read from now on.
    ReadOnly {
        /// The bucket as the line names it.
        bucket: String,
    },
}

/// Reads a line; `None` for any other.
pub fn read(line: &str) -> Option<Line> {
    let after = |marker: &str| line.split_once(marker).map(|(_, rest)| rest);
    if let Some(rest) = after("Checking bucket storage localAndHttpWereEmpty=") {
        return match word(rest) {
            "true" => Some(Line::Checking { empty: true }),
            "false" => Some(Line::Checking { empty: false }),
            _ => None,
        };
    }
    if after("Trying to fetch a global snapshot as recovery source").is_some() {
        return Some(Line::FromSource);
    }
    if let Some(rest) = after("Trying to fetch a global snapshot from bucket storage") {
        let bucket = value(rest, "if one exists in bucket=")?;
        return Some(Line::Looking { bucket });
    }
    if after("Fetching global snapshot from bucket storage")
        .is_some_and(|rest| rest.contains("found no snapshot to fetch"))
    {
        return Some(Line::FoundNone);
    }
    if let Some(rest) = after("Fetched a global snapshot as recovery source") {
        return position(rest).map(Line::Patching);
    }
    if let Some(rest) = after("Fetched global snapshot from bucket storage") {
        return position(rest).map(Line::Found);
    }
    if after("Snapshots to choose from").is_some() {
        return Some(Line::Choosing);
    }
    if let Some(rest) = after("Selecting snapshot from source=") {
        let source = word(rest).to_owned();
        return position(rest).map(|position| Line::Selected { source, position });
    }
    let patched = after("updateSnapshotForDisasterRecovery:")?;
    if patched.contains("Patching region using") {
        return value(patched, " to=").map(|to| Line::PatchedRegion { to });
    }
    if patched.contains("Patching bucket using") {
        return value(patched, " to=").map(|to| Line::PatchedBucket { to });
    }
    if patched.contains("Patching access configs from RECOVER_FROM") {
        return Some(Line::PatchedAccess);
    }
    if patched.contains("setting readOnly=true") {
        let bucket = value(patched, "new value for bucket=")?;
        return Some(Line::ReadOnly { bucket });
    }
    None
}

fn value(text: &str, before: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let value = word(rest);
    (!value.is_empty()).then(|| value.to_owned())
}

/// The name at the beginning of a text.
fn word(text: &str) -> &str {
    let end = text.find(|it: char| !(it.is_ascii_alphanumeric() || "-_.$".contains(it)));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// `epochOffset={epoch=0 offset=1329609}`.
fn position(text: &str) -> Option<EpochOffset> {
    let (_, rest) = text.split_once("epochOffset={epoch=")?;
    let (epoch, rest) = rest.split_once(" offset=")?;
    let (offset, _) = rest.split_once('}')?;
    Some(EpochOffset {
        epoch: epoch.parse().ok()?,
        offset: offset.parse().ok()?,
    })
}

/// How far a recovery has come. Later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing of it was seen.
    #[default]
    Unseen,
    /// The node has begun to load.
    Begun,
    /// It looks into the source's bucket.
    LookingAtSource,
    /// It has the source's snapshot and patches it.
    Patching,
    /// The source's bucket is set to be read only: the snapshot is patched.
    Patched,
}

/// A recovery, as its lines come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    stage: Stage,
    snapshot: Option<EpochOffset>,
    own: Option<EpochOffset>,
    source_is_empty: bool,
}

impl Recovery {
    /// Takes in a line, and answers what it says.
    pub fn take(&mut self, line: &str) -> Option<Line> {
        let line = read(line)?;
        match &line {
            // The process has been started again, and begins from the beginning.
            Line::Checking { .. } => {
                *self = Self {
                    stage: Stage::Begun,
                    ..Self::default()
                };
            }
            Line::FromSource => self.reached(Stage::LookingAtSource),
            Line::FoundNone => self.source_is_empty = self.stage >= Stage::LookingAtSource,
            Line::Found(found) if self.stage < Stage::LookingAtSource => self.own = Some(*found),
            Line::Found(found) => {
                self.snapshot = Some(*found);
                self.source_is_empty = false;
            }
            Line::Patching(found) => {
                self.snapshot = Some(*found);
                self.source_is_empty = false;
                self.reached(Stage::Patching);
            }
            Line::ReadOnly { .. } if self.stage >= Stage::Patching => self.reached(Stage::Patched),
            Line::Selected { .. }
            | Line::Looking { .. }
            | Line::Choosing
            | Line::PatchedRegion { .. }
            | Line::PatchedBucket { .. }
            | Line::PatchedAccess
            | Line::ReadOnly { .. } => {}
        }
        Some(line)
    }

    fn reached(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The source's snapshot, once it is found.
    pub fn snapshot(&self) -> Option<EpochOffset> {
        self.snapshot
    }

    /// A snapshot in the cluster's own bucket: it starts from that one, and recovers nothing.
    pub fn own_snapshot(&self) -> Option<EpochOffset> {
        self.own
    }

    /// Whether the source's bucket holds no snapshot.
    pub fn source_is_empty(&self) -> bool {
        self.source_is_empty
    }
}

#[cfg(test)]
mod tests;
