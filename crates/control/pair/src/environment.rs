//! Variables as Kubernetes has them in a pod's spec, and how wanted ones are merged into a list
//! that is there.

use std::collections::HashMap;

use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::pair::SecretKey;

/// One variable of a list like `spec.environmentVariables`. It is read and written in Kubernetes'
/// form (`EnvVar` of `core/v1`), and what is not understood goes through unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// Where its value comes from.
    pub source: EnvSource,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum EnvSource {
    /// The value itself.
    Value(String),
    /// A key of a secret.
    Secret(SecretKey),
    /// Anything else that Kubernetes knows: the fields beside the name, as they are.
    Other(Map<String, Value>),
}

impl EnvVar {
    /// A variable with its value.
    pub fn value(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            source: EnvSource::Value(value.into()),
        }
    }

    /// A variable with a secret's value.
    pub fn secret(name: impl Into<String>, key: &SecretKey) -> Self {
        Self {
            name: name.into(),
            source: EnvSource::Secret(key.clone()),
        }
    }
}

impl Serialize for EnvVar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        match &self.source {
            EnvSource::Value(value) => map.serialize_entry("value", value)?,
            EnvSource::Secret(SecretKey { secret, key }) => map.serialize_entry(
                "valueFrom",
                &json!({ "secretKeyRef": { "name": secret, "key": key } }),
            )?,
            EnvSource::Other(fields) => {
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for EnvVar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let Some(Value::String(name)) = fields.remove("name") else {
            return Err(D::Error::custom("a variable without a name"));
        };
        Ok(Self {
            name,
            source: source(fields),
        })
    }
}

fn source(fields: Map<String, Value>) -> EnvSource {
    if fields.len() == 1 {
        if let Some(Value::String(value)) = fields.get("value") {
            return EnvSource::Value(value.clone());
        }
        if let Some(key) = fields.get("valueFrom").and_then(secret_key) {
            return EnvSource::Secret(key);
        }
    }
    EnvSource::Other(fields)
}

/// The reference, if there is nothing else beside it (`optional`, for one).
fn secret_key(value_from: &Value) -> Option<SecretKey> {
    let only = |value: &Value, count: usize| value.as_object().is_some_and(|it| it.len() == count);
    let reference = value_from.get("secretKeyRef")?;
    if !only(value_from, 1) || !only(reference, 2) {
        return None;
    }
    Some(SecretKey {
        secret: reference.get("name")?.as_str()?.to_owned(),
        key: reference.get("key")?.as_str()?.to_owned(),
    })
}

/// Puts `wanted` into `existing`: what is there under the same name is replaced where it stands,
/// what is new comes after it, in the order given; all else stays as and where it is.
///
/// The answer has no name twice, because the operator refuses such a list. Where `existing` has
/// one, its first place and last value stay, which is the value that Kubernetes would use.
/// Merging again changes nothing, so a caller may compare to see if there is anything to patch:
/// a changed environment replaces all pods at once.
pub fn merge_environment(existing: &[EnvVar], wanted: &[EnvVar]) -> Vec<EnvVar> {
    let mut merged: Vec<EnvVar> = Vec::with_capacity(existing.len() + wanted.len());
    let mut places: HashMap<&str, usize> = HashMap::new();
    for variable in existing.iter().chain(wanted) {
        match places.get(variable.name.as_str()) {
            Some(place) => merged[*place].source = variable.source.clone(),
            None => {
                places.insert(&variable.name, merged.len());
                merged.push(variable.clone());
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests;
