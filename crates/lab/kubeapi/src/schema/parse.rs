//! A schema from its JSON.

use regex::Regex;
use serde_json::{Map, Value};

use super::built_in::name_of;
use super::{Bounds, Choice, Form, Rule, Schema, child};
use crate::kind::ListRule;
use crate::kind::keep;
use crate::status::Cause;

/// A schema may be nested so deep; deeper ones are cut off, with a cause.
const MAX_SCHEMA_DEPTH: usize = 64;

/// The schema in `json`, and what is wrong with it as a structural one; places are relative to it.
pub(crate) fn parse(json: &Value) -> (Schema, Vec<Cause>) {
    let mut causes = Vec::new();
    let schema = read(json, "", MAX_SCHEMA_DEPTH, true, &mut causes);
    (schema, causes)
}

/// `structural` is off within `anyOf` and the like, where types need not be said again.
fn read(
    json: &Value,
    place: &str,
    depth: usize,
    structural: bool,
    causes: &mut Vec<Cause>,
) -> Schema {
    let mut schema = Schema::default();
    let (Value::Object(map), Some(depth)) = (json, depth.checked_sub(1)) else {
        causes.push(Cause::invalid(place, &Value::Null, "must be a schema"));
        return schema;
    };
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
    let on = |name: &str| map.get(name) == Some(&Value::Bool(true));
    let below = |name: &str| child(place, name);

    let reference = text("$ref");
    if let Some(name) = name_of(reference) {
        schema.form = Form::Named(name);
        schema.default = map.get("default").cloned();
        return schema;
    }
    schema.form = form(map, &below("type"), structural, causes);
    text("format").clone_into(&mut schema.format);
    schema.nullable = on("nullable");
    schema.embedded = on("x-kubernetes-embedded-resource");
    schema.preserve = on("x-kubernetes-preserve-unknown-fields");
    schema.default = map.get("default").cloned();
    schema.required = map
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if let Some(Value::Object(properties)) = map.get("properties") {
        for (name, property) in properties {
            let place = below(&format!("properties[{name}]"));
            let property = read(property, &place, depth, structural, causes);
            schema.properties.insert(name.clone(), property);
        }
    }
    match map.get("additionalProperties") {
        Some(Value::Bool(true)) => {
            schema.values = Some(Box::new(Schema {
                preserve: true,
                ..Schema::default()
            }));
        }
        Some(values @ Value::Object(_)) => {
            if structural && !schema.properties.is_empty() {
                let why = "additionalProperties and properties are mutual exclusive";
                causes.push(Cause::forbidden(below("additionalProperties"), why));
            }
            let place = below("additionalProperties");
            schema.values = Some(Box::new(read(values, &place, depth, structural, causes)));
        }
        _ => {}
    }
    match map.get("items") {
        Some(items @ Value::Object(_)) => {
            let items = read(items, &below("items"), depth, structural, causes);
            schema.items = Some(Box::new(items));
        }
        Some(Value::Array(_)) => {
            causes.push(Cause::forbidden(
                below("items"),
                "items must be a schema object and not an array",
            ));
        }
        _ if structural && schema.form == Form::Array => {
            causes.push(Cause::required(below("items")));
        }
        _ => {}
    }
    schema.list = list_rule(map);
    schema.bounds = bounds(map, place, causes);
    for (word, choice) in [
        ("allOf", Choice::All),
        ("anyOf", Choice::Any),
        ("oneOf", Choice::One),
        ("not", Choice::Not),
    ] {
        let several = match map.get(word) {
            Some(Value::Array(several)) => several.as_slice(),
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => continue,
        };
        let several = several
            .iter()
            .map(|one| read(one, &below(word), depth, false, causes))
            .collect();
        // A port's `anyOf` only says again what its extension says.
        if schema.form != Form::IntOrString {
            schema.choices.push((choice, several));
        }
    }
    for rule in map
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        schema.rules.push(Rule {
            text: text("rule").to_owned(),
            message: text("message").to_owned(),
        });
    }
    schema
}

fn form(map: &Map<String, Value>, place: &str, structural: bool, causes: &mut Vec<Cause>) -> Form {
    let on = |name: &str| map.get(name) == Some(&Value::Bool(true));
    let name = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let format = map
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if on("x-kubernetes-int-or-string") || format == "int-or-string" {
        return Form::IntOrString;
    }
    match name {
        "object" => Form::Object,
        "array" => Form::Array,
        "string" => Form::String,
        "integer" => Form::Integer,
        "number" => Form::Number,
        "boolean" => Form::Boolean,
        "" => {
            if structural && !on("x-kubernetes-preserve-unknown-fields") {
                let why = "must not be empty for specified object fields";
                causes.push(Cause {
                    message: format!("Required value: {why}"),
                    ..Cause::required(place)
                });
            }
            Form::Any
        }
        _ => {
            causes.push(Cause::unsupported(
                place,
                name,
                &["array", "boolean", "integer", "number", "object", "string"],
            ));
            Form::Any
        }
    }
}

fn list_rule(map: &Map<String, Value>) -> Option<ListRule> {
    match map.get("x-kubernetes-list-type")?.as_str()? {
        "set" => Some(ListRule::Set),
        "map" => {
            let keys: Vec<&'static str> = map
                .get("x-kubernetes-list-map-keys")?
                .as_array()?
                .iter()
                .filter_map(|key| key.as_str().map(keep))
                .collect();
            Some(ListRule::Keyed(Vec::leak(keys)))
        }
        _ => None,
    }
}

fn bounds(map: &Map<String, Value>, place: &str, causes: &mut Vec<Cause>) -> Bounds {
    let count = |name: &str| map.get(name).and_then(Value::as_u64);
    let bound = |name: &str, excluded: &str| {
        let bound = map.get(name).and_then(Value::as_f64)?;
        Some((bound, map.get(excluded) == Some(&Value::Bool(true))))
    };
    let pattern = map.get("pattern").and_then(Value::as_str).and_then(|text| {
        Regex::new(text)
            .map_err(|_| {
                let place = child(place, "pattern");
                let why = "must be a valid regular expression";
                causes.push(Cause::invalid(place, &Value::from(text), why));
            })
            .ok()
    });
    Bounds {
        one_of: map
            .get("enum")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        pattern,
        minimum: bound("minimum", "exclusiveMinimum"),
        maximum: bound("maximum", "exclusiveMaximum"),
        multiple_of: map.get("multipleOf").and_then(Value::as_f64),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
    }
}
