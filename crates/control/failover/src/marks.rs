//! The marks: what all instances share, as annotations on the standby's operator Deployment.
//!
//! They are read with the object's `resourceVersion` and changed only on condition that it is
//! still the same. So whoever decides on marks that somebody else has changed meanwhile (because
//! that one saw the primary answer, say) writes nothing. The beginning of a run is such a change
//! of the same object: there is no moment between the last veto and the beginning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Epoch;

pub use backstay_kinds::annotation::{
    ANSWERED, DEGRADED_SINCE, FAILOVER_RUN as RUN, LAST_FAILOVER, PAUSED, SEEN_DOWN, UNSTABLE_SINCE,
};

/// A `resourceVersion`: opaque, only equal or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Revision(pub String);

/// How far a run is. What it has done is not kept here: it is read from the world each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Begun. There is no way back but by hand.
    Acting,
    /// All is done; the secondary serves.
    Done,
}

/// A run of the takeover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its name, in every line of the log.
    pub id: String,
    /// When it began.
    pub began: Epoch,
    /// How far it is.
    pub stage: Stage,
}

impl Run {
    /// As in the annotation: `acting 1700000000 <id>`.
    fn to_text(&self) -> String {
        let stage = match self.stage {
            Stage::Acting => "acting",
            Stage::Done => "done",
        };
        format!("{stage} {} {}", self.began, self.id)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let stage = match parts.next()? {
            "acting" => Stage::Acting,
            "done" => Stage::Done,
            _ => return None,
        };
        let began = Epoch(parts.next()?.parse().ok()?);
        let id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        Some(Self { id, began, stage })
    }
}

/// What the instances share of a failover, from annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// [`DEGRADED_SINCE`].
    pub degraded_since: Option<Epoch>,
    /// [`SEEN_DOWN`].
    pub seen_down: Option<Epoch>,
    /// [`ANSWERED`].
    pub answered: Option<Epoch>,
    /// [`UNSTABLE_SINCE`].
    pub unstable_since: Option<Epoch>,
    /// [`LAST_FAILOVER`].
    pub last_failover: Option<Epoch>,
    /// [`PAUSED`].
    pub paused: Option<String>,
    /// [`RUN`].
    pub run: Option<Run>,
    /// Annotations of ours that cannot be read, with what is in them.
    ///
    /// A time that cannot be read counts as not set, but for [`LAST_FAILOVER`], which then counts
    /// as just set: a cooldown is not lost by a slip of the pen. With a [`RUN`] that cannot be
    /// read nothing is begun.
    pub unreadable: Vec<(String, String)>,
}

impl Marks {
    /// Reads them out of an object's annotations.
    pub fn read(annotations: &BTreeMap<String, String>) -> Self {
        let mut marks = Self::default();
        for (name, text) in annotations {
            let time = text.trim().parse().ok().map(Epoch);
            let run = Run::parse(text);
            let readable = match name.as_str() {
                DEGRADED_SINCE => set(&mut marks.degraded_since, time),
                SEEN_DOWN => set(&mut marks.seen_down, time),
                ANSWERED => set(&mut marks.answered, time),
                UNSTABLE_SINCE => set(&mut marks.unstable_since, time),
                LAST_FAILOVER => {
                    marks.last_failover = Some(time.unwrap_or(Epoch(u64::MAX)));
                    time.is_some()
                }
                PAUSED => set(&mut marks.paused, Some(text.clone())),
                RUN => set(&mut marks.run, run),
                _ => true,
            };
            if !readable {
                marks.unreadable.push((name.clone(), text.clone()));
            }
        }
        marks
    }

    /// Whether the annotation of this name could not be read.
    pub fn unreadable(&self, name: &str) -> Option<&str> {
        let mut all = self.unreadable.iter();
        all.find(|it| it.0 == name).map(|it| it.1.as_str())
    }

    fn texts(&self) -> [(&'static str, Option<String>); 7] {
        let time = |mark: Option<Epoch>| mark.map(|it| it.to_string());
        [
            (DEGRADED_SINCE, time(self.degraded_since)),
            (SEEN_DOWN, time(self.seen_down)),
            (ANSWERED, time(self.answered)),
            (UNSTABLE_SINCE, time(self.unstable_since)),
            (LAST_FAILOVER, time(self.last_failover)),
            (PAUSED, self.paused.clone()),
            (RUN, self.run.as_ref().map(Run::to_text)),
        ]
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

/// The marks as read, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What the annotations say.
    pub marks: Marks,
    /// The object's `resourceVersion`.
    pub revision: Revision,
    /// The API server's clock in that answer.
    pub now: Epoch,
}

/// A change of the marks, on condition that nobody has changed the object meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persist {
    /// The `resourceVersion` that the object must still have.
    pub expected: Revision,
    /// The marks as they were read.
    pub from: Marks,
    /// The marks as they shall be.
    pub to: Marks,
}

impl Persist {
    /// The change from a reading to these marks; `None` if there is none.
    pub fn change(reading: &Reading, to: Marks) -> Option<Self> {
        let change = Self {
            expected: reading.revision.clone(),
            from: reading.marks.clone(),
            to,
        };
        (!change.annotations().is_empty()).then_some(change)
    }

    /// The end of a run: it is done, and the holdoff is over with it. `None` if there is no run
    /// under way.
    pub fn finish(reading: &Reading) -> Option<Self> {
        let run = reading.marks.run.as_ref()?;
        let done = Run {
            stage: Stage::Done,
            ..run.clone()
        };
        let to = Marks {
            run: Some(done),
            degraded_since: None,
            seen_down: None,
            answered: None,
            unstable_since: None,
            ..reading.marks.clone()
        };
        Self::change(reading, to)
    }

    /// The annotations to write, `None` for those to remove: only those that change. What could
    /// not be read is overwritten or left, never taken for the old value.
    pub fn annotations(&self) -> BTreeMap<&'static str, Option<String>> {
        let pairs = self.from.texts().into_iter().zip(self.to.texts());
        let changed = pairs.filter(|(from, to)| from.1 != to.1);
        changed.map(|(_, to)| to).collect()
    }
}

#[cfg(test)]
mod tests;
