//! One holder at a time, by a Lease: the decision, without I/O.
//!
//! As in client-go's leader election
//! (<https://pkg.go.dev/k8s.io/client-go/tools/leaderelection>), nobody compares the times that
//! others have written. A lease is judged by how long *we have seen no change* of it, on our own
//! monotonic clock; so clocks may be wrong by any amount, they only may not run at very different
//! speeds:
//!
//! - Who waits takes over only after it has seen the same version for the whole of the duration that
//!   the holder has promised, counted from when it saw that version first. At first sight it takes
//!   over nothing but what is free.
//! - The holder believes in itself for two thirds of that duration, counted from *before* it sent
//!   the write that succeeded, and so stops before anybody can have begun.
//!
//! A person may have a lease [taken over](Election::take_over) that has not run out. Its holder then
//! believes in itself until it looks at the lease again, for two thirds of the duration at most; it
//! does not take it back, since for it this is a holder like any other.
//!
//! A change is another `resourceVersion`, so a write by anybody prolongs the wait: too careful, never
//! too bold. The lease does not guard data; the journal's seal does. It keeps two of us from doing
//! the same work at once.

use std::time::Duration;

/// A moment on a process's own monotonic clock, since its start.
pub type Moment = Duration;

/// No lease is shorter, whatever is written in it.
const MIN_LEASE: Duration = Duration::from_secs(1);

/// What a lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it is free.
    pub holder: String,
    /// For how long without a change it is held.
    pub duration: Duration,
    /// Which state of the lease this is.
    pub version: String,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectionStep {
    /// There is no lease: make it.
    Create,
    /// Write it as ours over this version: to renew it, or because it is free or has run out.
    Write {
        /// The `resourceVersion` that may be overwritten.
        version: String,
    },
    /// Another holds it.
    Wait {
        /// The holder's name, as the Lease has it.
        holder: String,
        /// When it runs out if nothing changes until then.
        until: Moment,
    },
}

/// What one candidate knows.
#[derive(Clone, Debug)]
pub struct Election {
    me: String,
    duration: Duration,
    seen: Option<(Record, Moment)>,
    held_until: Option<Moment>,
}

impl Election {
    /// A candidate. No two may have the same name, not even one after the other. Whole seconds
    /// count, one at least: a Lease knows no others.
    pub fn new(me: impl Into<String>, duration: Duration) -> Self {
        Self {
            me: me.into(),
            duration: Duration::from_secs(duration.as_secs()).max(MIN_LEASE),
            seen: None,
            held_until: None,
        }
    }

    /// The name that we write into the Lease.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// The duration that we write.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The lease was read. `now` is when the answer had come.
    pub fn observe(&mut self, now: Moment, record: Option<Record>) {
        let Some(record) = record else {
            self.seen = None;
            self.held_until = None;
            return;
        };
        if record.holder != self.me {
            self.held_until = None;
        }
        let same = self
            .seen
            .as_ref()
            .is_some_and(|(seen, _)| seen.version == record.version);
        if !same {
            self.seen = Some((record, now));
        }
    }

    /// What to do, by what was observed last.
    pub fn next(&self, now: Moment) -> ElectionStep {
        let Some((record, since)) = &self.seen else {
            return ElectionStep::Create;
        };
        let until = ends(record, *since);
        if record.holder.is_empty() || record.holder == self.me || now >= until {
            return ElectionStep::Write {
                version: record.version.clone(),
            };
        }
        ElectionStep::Wait {
            holder: record.holder.clone(),
            until,
        }
    }

    /// What to do to keep it. What is not ours any more, also because it is free, is not taken again:
    /// whoever had it meanwhile may have ended what we were doing.
    pub fn renew(&self, now: Moment) -> ElectionStep {
        match &self.seen {
            Some((record, _)) if record.holder == self.me => self.next(now),
            Some((record, since)) => ElectionStep::Wait {
                holder: record.holder.clone(),
                until: ends(record, *since),
            },
            None => ElectionStep::Wait {
                holder: String::new(),
                until: now,
            },
        }
    }

    /// Who holds it, as was observed last, if it is another.
    pub fn rival(&self) -> Option<&str> {
        let (record, _) = self.seen.as_ref()?;
        let holder = record.holder.as_str();
        (!holder.is_empty() && holder != self.me).then_some(holder)
    }

    /// What to do to take it over from this holder, because a person said so and although it may not
    /// have run out. From anybody else it is not taken: that would be one who has taken it over
    /// as well, and came first.
    pub fn take_over(&self, now: Moment, from: Option<&str>) -> ElectionStep {
        match (self.next(now), &self.seen) {
            (ElectionStep::Wait { holder, .. }, Some((record, _)))
                if from == Some(holder.as_str()) =>
            {
                ElectionStep::Write {
                    version: record.version.clone(),
                }
            }
            (step, _) => step,
        }
    }

    /// Our write has succeeded. `asked` is a moment before it was sent.
    pub fn written(&mut self, asked: Moment, now: Moment, record: Record) {
        let ours = record.holder == self.me;
        let promised = record.duration.min(self.duration);
        self.observe(now, Some(record));
        if ours {
            self.held_until = Some(asked.saturating_add(promised * 2 / 3));
        }
    }

    /// Whether we hold it.
    pub fn holds(&self, now: Moment) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Until when we hold it, unless it is renewed.
    pub fn held_until(&self) -> Option<Moment> {
        self.held_until
    }

    /// We give it up, from now on and before it is written.
    pub fn resign(&mut self) {
        self.held_until = None;
    }

    /// The version that is to be written over to give it back, if it is ours as far as we know.
    pub fn ours(&self) -> Option<&str> {
        let (record, _) = self.seen.as_ref()?;
        (record.holder == self.me).then_some(record.version.as_str())
    }
}

/// When a lease runs out that has been seen so since then, if nothing changes.
fn ends(record: &Record, since: Moment) -> Moment {
    since.saturating_add(record.duration.max(MIN_LEASE))
}

#[cfg(test)]
mod tests;
