//! What a document of a kind may contain, as OpenAPI says it: types, and for custom resources also
//! bounds, defaults and which fields are kept. The built-in kinds' schemas are Kubernetes' own
//! ([`built_in`]); those of custom resources come with their definition, and are *structural*
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>).
//!
//! - `parse`: a schema from its JSON, and what is wrong with it;
//! - [`prune`](Schema::prune): removes the fields that no schema names, and names them;
//! - [`fill`](Schema::fill): defaults;
//! - [`check`](Schema::check): what is wrong with a document, in the words of kube-apiserver;
//! - `go`: what the decoder of the built-in kinds says of a wrong type.

mod built_in;
mod check;
mod go;
mod parse;
mod prune;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

pub(crate) use built_in::{built_in, built_in_json};
pub(crate) use parse::parse;

use crate::kind::ListRule;

/// What a value is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing is said.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// A port by number or name.
    IntOrString,
    /// An amount of something: `1Gi`, `0.5`, or a number.
    Quantity,
    /// What the built-in schema of this name says.
    Named(&'static str),
}

/// A schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub form: Form,
    /// `int32`, `date-time`, `byte`.
    pub format: String,
    pub nullable: bool,
    /// Fields that are not named are kept.
    pub preserve: bool,
    /// A Kubernetes document of its own.
    pub embedded: bool,
    pub properties: BTreeMap<String, Schema>,
    /// Of a map's values.
    pub values: Option<Box<Schema>>,
    /// Of a list's items.
    pub items: Option<Box<Schema>>,
    pub required: Vec<String>,
    pub default: Option<Value>,
    /// How the items of a list are told apart.
    pub list: Option<ListRule>,
    pub bounds: Bounds,
    /// Which of several must hold.
    pub choices: Vec<(Choice, Vec<Schema>)>,
    /// The rules of CEL that are known, by hand.
    pub rules: Vec<Rule>,
}

/// What restricts a value beyond its type.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    pub one_of: Vec<Value>,
    pub pattern: Option<Regex>,
    /// The bound, and whether it is itself left out.
    pub minimum: Option<(f64, bool)>,
    pub maximum: Option<(f64, bool)>,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
}

/// How many of several schemas must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    All,
    Any,
    One,
    Not,
}

/// A rule in CEL (`x-kubernetes-validations`). CEL is not spoken here: the rules of the definitions
/// that this project has are recognised by their text, all others hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub text: String,
    pub message: String,
}

impl Schema {
    /// The schema itself, not its name.
    pub(crate) fn resolved(&self) -> &Self {
        match self.form {
            Form::Named(name) => built_in(name).unwrap_or(self),
            _ => self,
        }
    }

    /// The schema of what a path of field names leads to; items of lists add nothing to it.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        let mut here = self.resolved();
        for name in path {
            while let Some(items) = &here.items {
                here = items.resolved();
            }
            let below = here.properties.get(*name).or(here.values.as_deref())?;
            here = below.resolved();
        }
        Some(here)
    }

    /// Fills in what the document leaves out, at every depth.
    pub(crate) fn fill(&self, value: &mut Value) {
        let schema = self.resolved();
        match value {
            Value::Object(map) => {
                for (name, property) in &schema.properties {
                    let absent = match map.get(name) {
                        None => true,
                        Some(value) => value.is_null() && !property.resolved().nullable,
                    };
                    if absent && let Some(default) = &property.default {
                        map.insert(name.clone(), default.clone());
                    }
                    if let Some(value) = map.get_mut(name) {
                        property.fill(value);
                    }
                }
                if let Some(values) = &schema.values {
                    map.iter_mut()
                        .filter(|(name, _)| !schema.properties.contains_key(*name))
                        .for_each(|(_, value)| values.fill(value));
                }
            }
            Value::Array(list) => {
                if let Some(items) = &schema.items {
                    list.iter_mut().for_each(|item| items.fill(item));
                }
            }
            _ => {}
        }
    }
}

/// `spec.nodePools[1]` and a field of it.
pub(crate) fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests;
