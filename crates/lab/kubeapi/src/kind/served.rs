//! The kinds that a server has: the built-in ones, and those that definitions made.

use std::sync::Arc;

use super::{KINDS, Kind};
use crate::definition::kinds_of;

/// The kinds of one server at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Served(Arc<[&'static Kind]>);

/// A group and its versions, the preferred one first.
pub(crate) type Group = (&'static str, Vec<&'static str>);

impl Served {
    /// The built-in kinds and those of these definitions.
    pub(crate) fn with<'a>(definitions: impl Iterator<Item = &'a serde_json::Value>) -> Self {
        let defined: Vec<&'static Kind> = definitions.flat_map(kinds_of).collect();
        // What a definition says goes before what is built in.
        let replaced = |kind: &&Kind| defined.iter().any(|other| other.index() == kind.index());
        let built_in = KINDS.iter().filter(|kind| !replaced(kind));
        Self(built_in.chain(defined.iter().copied()).collect())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Kind> {
        self.0.iter().copied()
    }

    /// Those of one group and version.
    pub(crate) fn of(&self, group: &str, version: &str) -> impl Iterator<Item = &'static Kind> {
        self.all()
            .filter(move |kind| kind.group == group && kind.version == version)
    }

    /// The kind that a path names.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        self.of(group, version).find(|kind| kind.plural == plural)
    }

    /// The groups and their versions, `core` first.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for kind in self.all() {
            match groups.iter_mut().find(|(group, _)| *group == kind.group) {
                Some((_, versions)) if versions.contains(&kind.version) => {}
                Some((_, versions)) => versions.push(kind.version),
                None => groups.push((kind.group, vec![kind.version])),
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        }
        groups
    }
}

impl Default for Served {
    fn default() -> Self {
        Self::with(std::iter::empty())
    }
}

/// Stable before beta before alpha, then by their numbers; what is no version of that form last
/// (`k8s.io/apimachinery/pkg/version`).
fn rank(version: &str) -> (u8, u32, u32) {
    let none = (0, 0, 0);
    let Some(rest) = version.strip_prefix('v') else {
        return none;
    };
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let (major, rest) = rest.split_at(digits(rest));
    let Ok(major) = major.parse() else {
        return none;
    };
    let stage = match rest.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "" => return (3, major, 0),
        "beta" => 2,
        "alpha" => 1,
        _ => return none,
    };
    let minor = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    minor.parse().map_or(none, |minor| (stage, major, minor))
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn versions_are_ranked_as_kubernetes_does() {
        let mut versions = [
            "v1alpha1", "v2", "foo", "v1", "v11beta2", "v1beta2", "v1beta10",
        ];
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(
            versions,
            [
                "v2", "v1", "v11beta2", "v1beta10", "v1beta2", "v1alpha1", "foo"
            ]
        );
    }
}
