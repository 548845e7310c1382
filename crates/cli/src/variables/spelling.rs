//! Whether a variable is ours, and which one was meant if it is not. Pure.

use std::collections::BTreeSet;

/// So many letters wrong, missing, added or exchanged still make a misspelling.
const MAX_EDIT_DISTANCE: usize = 2;
/// Our own prefix.
const PREFIX: &str = "BACKSTAY_";

/// The names that are read.
pub struct Known {
    pub names: BTreeSet<String>,
    /// What is read as well, and meant for nobody who sets variables by hand.
    pub internal: BTreeSet<String>,
    /// Those of them that decide what a node recovers.
    pub deciding: BTreeSet<String>,
    /// What is behind this prefix is for another reader to judge.
    pub overrides: &'static str,
}

/// What is to be said of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is read.
    Known,
    /// It is somebody else's.
    Foreign,
    /// It is not read, and seems to be meant for us.
    Unknown {
        /// The name that it resembles.
        nearest: Option<String>,
    },
    /// It is not read, and the one that is meant decides what a node recovers, and is not set.
    Decides {
        /// The name that it resembles.
        meant: String,
    },
}

impl Known {
    /// What is to be said of this one; `is_set` knows the others.
    pub fn verdict(&self, name: &str, value: &str, is_set: &dyn Fn(&str) -> bool) -> Verdict {
        let is_known = self.names.contains(name) || self.internal.contains(name);
        if is_known || name.starts_with(self.overrides) {
            return Verdict::Known;
        }
        if of_kubernetes(name, value) {
            return Verdict::Foreign;
        }
        let spelt = name.to_uppercase().replace(['-', '.'], "_");
        let (distance, nearest) = self.nearest(&spelt);
        let close = distance <= MAX_EDIT_DISTANCE;
        if close && self.deciding.contains(nearest) {
            return if is_set(nearest) {
                Verdict::Unknown {
                    nearest: Some(nearest.to_owned()),
                }
            } else {
                Verdict::Decides {
                    meant: nearest.to_owned(),
                }
            };
        }
        let looks_like_ours = spelt.starts_with(PREFIX)
            || spelt.contains("_RECOVER_FROM_")
            || close && nearest.starts_with(PREFIX);
        if !looks_like_ours {
            return Verdict::Foreign;
        }
        // Beyond that, a resemblance is an accident.
        let alike = distance <= spelt.len().saturating_sub(PREFIX.len()) / 3;
        Verdict::Unknown {
            nearest: alike.then(|| nearest.to_owned()),
        }
    }

    fn nearest(&self, spelt: &str) -> (usize, &str) {
        let distances = self.names.iter().map(|known| {
            let distance = strsim::osa_distance(spelt, known);
            (distance, known.as_str())
        });
        distances.min().unwrap_or((usize::MAX, ""))
    }
}

/// Kubernetes puts such variables into every pod of a namespace for each service there, and one may
/// be called `backstay`.
fn of_kubernetes(name: &str, value: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.contains("://"))
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
            name.split_once(protocol).is_some_and(|(front, behind)| {
                let (_, port) = front.rsplit_once('_').unwrap_or_default();
                let number = !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
                number && matches!(behind, "" | "_PROTO" | "_PORT" | "_ADDR")
            })
        })
}
