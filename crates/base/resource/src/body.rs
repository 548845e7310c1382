//! What the JSON of all resources has in common, on the side of the server that reads it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ResourceType;
use crate::text::shown;

/// Why a request is refused: an Azure error code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// As Azure's `error.code`.
    pub code: &'static str,
    /// As Azure's `error.message`.
    pub message: String,
}

impl Invalid {
    /// With Azure's most general code.
    pub fn bad(message: impl Into<String>) -> Self {
        Self {
            code: "BadRequest",
            message: message.into(),
        }
    }
}

#[derive(Deserialize)]
struct WireResource<P> {
    location: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    properties: Option<P>,
}

/// Reads what all resources have in common, and returns tags and properties.
///
/// # Errors
/// When a part of it is missing, or it is not where such resources are.
pub fn read_resource<P: DeserializeOwned>(
    kind: ResourceType,
    body: Value,
) -> Result<(BTreeMap<String, String>, P), Invalid> {
    let wire: WireResource<P> = read(body)?;
    check_location(wire.location.as_deref(), kind)?;
    let properties = wire.properties;
    let properties = properties.ok_or_else(|| Invalid::bad("'properties' is missing."))?;
    Ok((wire.tags.unwrap_or_default(), properties))
}

/// Whether it is where such resources are.
fn check_location(location: Option<&str>, kind: ResourceType) -> Result<(), Invalid> {
    match location {
        None => Err(Invalid {
            code: "LocationRequired",
            message: "The location property is required for this definition.".to_owned(),
        }),
        Some(location) if location.eq_ignore_ascii_case("global") => Ok(()),
        Some(location) => Err(Invalid {
            code: "LocationNotAvailableForResourceType",
            message: format!(
                "The provided location '{}' is not available for resource type '{kind}'. List of \
                 available regions for the resource type is 'global'.",
                shown(location)
            ),
        }),
    }
}

/// Reads JSON whose form is known.
///
/// # Errors
/// When it is of another form.
pub fn read<T: DeserializeOwned>(body: Value) -> Result<T, Invalid> {
    serde_json::from_value(body).map_err(|error| Invalid {
        code: "InvalidRequestContent",
        message: format!(
            "The request content was invalid and could not be deserialized: '{error}'."
        ),
    })
}

/// Whether a resource may be called so: it is a part of a URL and of a resource id.
///
/// # Errors
/// When it may not.
pub fn check_resource_name(name: &str, what: &str) -> Result<(), Invalid> {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.() ".contains(it);
    if (1..=260).contains(&name.len()) && name.chars().all(plain) && name.trim() == name {
        return Ok(());
    }
    Err(Invalid {
        code: "InvalidResourceName",
        message: format!(
            "Resource name '{}' of the {what} is invalid: 1 to 260 letters, digits, hyphens, \
             underscores, dots, parentheses and inner spaces.",
            shown(name)
        ),
    })
}

/// What a PATCH makes of a resource: objects are merged, anything else is replaced, and null takes
/// a property away (RFC 7396, which is how Resource Manager reads a PATCH).
pub fn merge(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut merged = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            merged.remove(&key);
        } else {
            let old = merged.remove(&key).unwrap_or(Value::Null);
            merged.insert(key, merge(old, value));
        }
    }
    Value::Object(merged)
}
