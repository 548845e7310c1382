//! Kinds as data: names, scope, subresources, columns, defaults, and what may not change.

mod columns;
mod lists;
mod rows;
mod served;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::definition::{Defined, JsonPath};
use crate::schema::{Schema, built_in};

pub use lists::ListRule;
pub(crate) use lists::default_key;
pub(crate) use rows::{KINDS, NO_KIND};
pub(crate) use served::{Group, Served};

/// One kind of resource.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for `core`.
    pub group: &'static str,
    /// The one version that is served.
    pub version: &'static str,
    /// The kind, `Deployment`.
    pub kind: &'static str,
    /// The resource's name in paths, `deployments`.
    pub plural: &'static str,
    /// What `kubectl` also takes, `deployment`.
    pub singular: &'static str,
    /// What `kubectl` takes for short, `deploy`.
    pub short_names: &'static [&'static str],
    /// Groups of resources that it belongs to, `all`.
    pub categories: &'static [&'static str],
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Has a `status` that is written only through its subresource.
    pub status: bool,
    /// Has a `scale` over `spec.replicas`.
    pub scale: bool,
    /// A custom resource: takes no strategic merge patch, and an update must say its version.
    pub custom: bool,
    /// Counts changes outside of metadata and status in `metadata.generation`.
    pub generation: bool,
    /// Deleted in two steps when it runs somewhere: asked to end, then removed by its runner.
    pub graceful: bool,
    /// What a document gets where it says nothing: JSON text.
    pub defaults: &'static str,
    /// JSON pointers that must be there.
    pub required: &'static [&'static str],
    /// JSON pointers that may not change.
    pub immutable: &'static [&'static str],
    /// What field selectors may name besides `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    /// The printed columns between name and age.
    pub columns: &'static [Column],
    /// Removed when not written for so long.
    pub time_to_live: Option<Duration>,
    /// What a definition says of it, where one made it.
    pub(crate) defined: Option<&'static Defined>,
}

/// A column of `kubectl get`.
#[derive(Debug)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// `string`, `integer`, …
    pub kind: &'static str,
    /// Printed only by `-o wide`.
    pub wide: bool,
    /// What is in it.
    pub cell: Cell,
}

/// Where a cell comes from.
#[derive(Debug, Clone, Copy)]
pub enum Cell {
    /// The value at a JSON pointer.
    At(&'static str),
    /// The value at a JSON pointer, or else this text.
    AtOr(&'static str, &'static str),
    /// The status of the condition of this type.
    Condition(&'static str),
    /// How long ago the moment at a JSON pointer was.
    Age(&'static str),
    /// What a path of a definition leads to; whether that is a moment.
    Path(&'static JsonPath, bool),
    /// Anything else.
    Of(fn(&Value) -> Value),
}

impl Kind {
    /// `apps/v1`, or `v1` for core.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, or `pods` for core.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The path of the group and version, without a leading slash: `apis/apps/v1`.
    pub(crate) fn group_path(&self) -> String {
        group_path(self.group, self.version)
    }

    /// `com.humio.core.v1alpha1.HumioCluster`, `io.k8s.api.apps.v1.Deployment`.
    pub(crate) fn schema_name(&self) -> String {
        let (version, kind) = (self.version, self.kind);
        if self.custom {
            let mut parts: Vec<&str> = self.group.split('.').collect();
            parts.reverse();
            return format!("{}.{version}.{kind}", parts.join("."));
        }
        let group = match self.group.split('.').next() {
            Some("apiextensions") => {
                return format!(
                    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}"
                );
            }
            None | Some("") => "core",
            Some(group) => group,
        };
        format!("io.k8s.api.{group}.{version}.{kind}")
    }

    /// What a document may contain.
    pub(crate) fn schema(&self) -> Option<&'static Schema> {
        match self.defined {
            Some(defined) => Some(&defined.schema),
            None => built_in(&self.schema_name()),
        }
    }

    /// Where its documents stand among those of all kinds: the versions of a kind have one place.
    pub(crate) fn index(&self) -> usize {
        if let Some(defined) = self.defined {
            return defined.index;
        }
        KINDS
            .iter()
            .position(|kind| std::ptr::eq(kind, self))
            .unwrap_or_default()
    }

    /// The parsed defaults.
    pub(crate) fn default_fields(&self) -> &'static Map<String, Value> {
        static PARSED: LazyLock<Vec<Map<String, Value>>> = LazyLock::new(|| {
            // `tests` parse every row's text, so nothing is lost here.
            let parse = |kind: &Kind| serde_json::from_str(kind.defaults).unwrap_or_default();
            KINDS.iter().map(parse).collect()
        });
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        PARSED.get(self.index()).unwrap_or(&NONE)
    }

    /// All columns in order, with the name's and the age's.
    pub(crate) fn all_columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        const NAME: Column = Column {
            name: "Name",
            kind: "string",
            wide: false,
            cell: Cell::At("/metadata/name"),
        };
        const AGE: Column = Column {
            name: "Age",
            kind: "string",
            wide: false,
            cell: Cell::Age("/metadata/creationTimestamp"),
        };
        static ENDS: (Column, Column) = (NAME, AGE);
        let first_wide = self.columns.iter().position(|column| column.wide);
        let (narrow, wide) = self
            .columns
            .split_at(first_wide.unwrap_or(self.columns.len()));
        // Events begin with their age and have no name worth printing.
        let own_ends = self.plural == "events";
        let name = (!own_ends).then_some(&ENDS.0);
        let age = (!own_ends).then_some(&ENDS.1);
        name.into_iter().chain(narrow).chain(age).chain(wide)
    }
}

/// A built-in kind.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// `text` for as long as the process lives, each once: kinds are data that lives so long.
pub(crate) fn keep(text: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock();
    if let Some(text) = kept.get(text) {
        return text;
    }
    let text: &'static str = Box::leak(text.into());
    kept.insert(text);
    text
}

/// `api/v1` or `apis/<group>/<version>`.
pub(crate) fn group_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

#[cfg(test)]
mod tests;
