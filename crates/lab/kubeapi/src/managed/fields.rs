//! Sets of fields, and their written form `FieldsV1`
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kind::{Kind, ListRule, default_key};

/// A tree of fields. What has nothing below it is a field that is owned whole. Steps are written
/// as in `FieldsV1`: `f:<name>`, `k:<keys of a list's item>`, `v:<value of a set>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<String, Fields>);

/// What the server itself writes: nobody's.
const NOBODYS: [&str; 10] = [
    "name",
    "namespace",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
];

fn is_nobodys(path: &[&str], key: &str) -> bool {
    match path {
        [] => matches!(key, "apiVersion" | "kind"),
        ["metadata"] => NOBODYS.contains(&key) || key == "selfLink",
        _ => false,
    }
}

/// The step to an item of a keyed list.
pub(super) fn item_step(keys: &[&str], item: &Value) -> String {
    let mut identity = Map::new();
    for key in keys {
        let value = match item.get(*key) {
            Some(value) => value.clone(),
            None => match default_key(key) {
                Some(default) => json!(default),
                None => continue,
            },
        };
        identity.insert((*key).to_owned(), value);
    }
    format!("k:{}", Value::Object(identity))
}

pub(super) fn value_step(item: &Value) -> String {
    format!("v:{item}")
}

impl Fields {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn children(&self) -> &BTreeMap<String, Fields> {
        &self.0
    }

    /// All fields of a document.
    pub(crate) fn of(kind: &Kind, document: &Value) -> Self {
        Self::collect(kind, &mut Vec::new(), None, document)
    }

    /// The fields of `new` that `old` lacks or has otherwise.
    pub(crate) fn changed(kind: &Kind, old: &Value, new: &Value) -> Self {
        Self::collect(kind, &mut Vec::new(), Some(old), new)
    }

    /// With `old`, leaves out what is the same there. Below a field that `old` lacks, everything
    /// is collected.
    fn collect<'a>(
        kind: &Kind,
        path: &mut Vec<&'a str>,
        old: Option<&Value>,
        new: &'a Value,
    ) -> Self {
        let mut fields = BTreeMap::new();
        match new {
            Value::Object(map) => {
                for (key, value) in map {
                    if is_nobodys(path, key) {
                        continue;
                    }
                    let before = old.and_then(|old| old.get(key));
                    if before.is_some_and(|before| before == value) {
                        continue;
                    }
                    path.push(key);
                    let below = Self::collect(kind, path, before, value);
                    path.pop();
                    // Nothing below although it differs: something was only removed there.
                    let only_removed = before.is_some() && below.is_empty() && {
                        let whole = Self::collect(kind, &mut path.clone(), None, value);
                        !whole.is_empty()
                    };
                    let only_nobodys = path.is_empty() && key == "metadata" && below.is_empty();
                    if !only_removed && !only_nobodys {
                        fields.insert(format!("f:{key}"), below);
                    }
                }
            }
            Value::Array(list) => {
                let empty = Vec::new();
                let before = old.and_then(Value::as_array).unwrap_or(&empty);
                match kind.list_rule(path) {
                    Some(ListRule::Keyed(keys)) => {
                        let before: BTreeMap<String, &Value> = before
                            .iter()
                            .map(|item| (item_step(keys, item), item))
                            .collect();
                        for item in list {
                            let step = item_step(keys, item);
                            let before = before.get(&step).copied();
                            if before.is_some_and(|before| before == item) {
                                continue;
                            }
                            let below = Self::collect(kind, path, before, item);
                            if before.is_none() || !below.is_empty() {
                                fields.insert(step, below);
                            }
                        }
                    }
                    Some(ListRule::Set) => {
                        for item in list.iter().filter(|item| !before.contains(item)) {
                            fields.insert(value_step(item), Self::default());
                        }
                    }
                    None => {}
                }
            }
            _ => {}
        }
        Self(fields)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.0.clone();
        for (step, theirs) in &other.0 {
            let merged = match all.get(step) {
                Some(ours) => ours.union(theirs),
                None => theirs.clone(),
            };
            all.insert(step.clone(), merged);
        }
        Self(all)
    }

    /// What is in both. A field that one owns whole and the other in parts is in neither's way.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = BTreeMap::new();
        for (step, ours) in &self.0 {
            let Some(theirs) = other.0.get(step) else {
                continue;
            };
            let below = ours.intersection(theirs);
            let whole = ours.is_empty() && theirs.is_empty();
            if whole || !below.is_empty() || step.starts_with("k:") {
                both.insert(step.clone(), below);
            }
        }
        Self(both)
    }

    /// What `other` has not. A field with fields below it is left with what is left below.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut rest = BTreeMap::new();
        for (step, ours) in &self.0 {
            match other.0.get(step) {
                None => {
                    rest.insert(step.clone(), ours.clone());
                }
                Some(theirs) => {
                    let below = ours.difference(theirs);
                    if !below.is_empty() || (ours.is_empty() && !theirs.is_empty()) {
                        rest.insert(step.clone(), below);
                    }
                }
            }
        }
        Self(rest)
    }

    /// From `FieldsV1`. What is not understood is dropped.
    pub(crate) fn from_json(written: &Value) -> Self {
        let Value::Object(map) = written else {
            return Self::default();
        };
        Self(
            map.iter()
                .filter(|(step, _)| step.as_str() != ".")
                .map(|(step, below)| (step.clone(), Self::from_json(below)))
                .collect(),
        )
    }

    /// As `FieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (step, below) in &self.0 {
            let mut written = below.to_json();
            if step.starts_with("k:")
                && let Value::Object(item) = &mut written
            {
                item.insert(".".to_owned(), json!({}));
            }
            map.insert(step.clone(), written);
        }
        Value::Object(map)
    }
}
