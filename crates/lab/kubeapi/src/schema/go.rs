//! What the decoder of the built-in kinds says of a value of another type: their schemas are Go
//! structs, and the words are those of Go's `encoding/json`.

use base64::Engine as _;
use serde_json::Value;

use super::{Form, Schema, child};

impl Schema {
    /// What is wrong with the types in `value`, the first of it. `kind` is the name of its type, `path`
    /// where it stands in its document.
    pub(crate) fn mistyped(&self, kind: &str, value: &Value, path: &str) -> Option<String> {
        self.mistyped_below(kind, value, path)
    }

    /// `holder` is the struct that the value is a field of; `path` has no indices, as Go's has none.
    fn mistyped_below(&self, holder: &str, value: &Value, path: &str) -> Option<String> {
        let schema = self.resolved();
        let is = match value {
            // Null leaves a field as it is.
            Value::Null => return None,
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
        };
        let fits = match (schema.form, value) {
            (Form::Any, _) => true,
            (Form::Object, Value::Object(map)) => {
                let holder = match self.form {
                    Form::Named(name) => short(name),
                    _ => holder,
                };
                for (name, value) in map {
                    let (property, path) = match schema.properties.get(name) {
                        Some(property) => (property, child(path, name)),
                        // Go names a map, not its keys.
                        None => match schema.values.as_deref() {
                            Some(values) => (values, path.to_owned()),
                            None => continue,
                        },
                    };
                    if let Some(problem) = property.mistyped_below(holder, value, &path) {
                        return Some(problem);
                    }
                }
                true
            }
            (Form::Array, Value::Array(list)) => {
                let items = schema.items.as_deref()?;
                return list
                    .iter()
                    .find_map(|item| items.mistyped_below(holder, item, path));
            }
            (Form::String, Value::String(text)) if schema.format == "byte" => {
                let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                return decoded.err().map(|error| base64_problem(&error));
            }
            (Form::String, Value::String(_))
            | (Form::Boolean, Value::Bool(_))
            | (Form::Number, Value::Number(_)) => true,
            (Form::Integer, Value::Number(number)) => {
                let whole = number.as_i64();
                let fits = match schema.format.as_str() {
                    "int32" => whole.is_some_and(|whole| i32::try_from(whole).is_ok()),
                    _ => whole.is_some(),
                };
                if !fits {
                    return Some(unmarshal(&format!("number {number}"), holder, path, schema));
                }
                true
            }
            (Form::IntOrString, Value::String(_)) => true,
            (Form::IntOrString, Value::Number(number)) => number.is_i64(),
            (Form::Quantity, Value::String(_) | Value::Number(_)) => true,
            (Form::Quantity, _) => {
                return Some("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned());
            }
            _ => false,
        };
        (!fits).then(|| unmarshal(is, holder, path, self))
    }
}

fn unmarshal(is: &str, holder: &str, path: &str, schema: &Schema) -> String {
    let wanted = go_type(schema);
    if path.is_empty() {
        return format!("json: cannot unmarshal {is} into Go value of type {wanted}");
    }
    format!("json: cannot unmarshal {is} into Go struct field {holder}.{path} of type {wanted}")
}

/// The last part of a schema's name.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// As Go writes the type: `string`, `[]v1.EnvVar`, `map[string]string`.
fn go_type(schema: &Schema) -> String {
    if let Form::Named(name) = schema.form {
        let form = schema.resolved().form;
        // `v1.EnvVar`: the package and the type.
        let mut parts = name.rsplit('.');
        let (kind, package) = (
            parts.next().unwrap_or(name),
            parts.next().unwrap_or_default(),
        );
        return match form {
            Form::IntOrString => "int32".to_owned(),
            Form::String => "string".to_owned(),
            _ => format!("{package}.{kind}"),
        };
    }
    let of =
        |below: &Option<Box<Schema>>| below.as_deref().map_or("interface {}".to_owned(), go_type);
    match schema.form {
        Form::String if schema.format == "byte" => "[]uint8".to_owned(),
        Form::String => "string".to_owned(),
        Form::Boolean => "bool".to_owned(),
        Form::Number => "float64".to_owned(),
        Form::Integer if schema.format == "int32" => "int32".to_owned(),
        Form::Integer => "int64".to_owned(),
        Form::Array => format!("[]{}", of(&schema.items)),
        Form::Object => format!("map[string]{}", of(&schema.values)),
        _ => "interface {}".to_owned(),
    }
}

fn base64_problem(error: &base64::DecodeError) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _)
        | base64::DecodeError::InvalidLastSymbol(at, _)
        | base64::DecodeError::InvalidLength(at) => *at,
        base64::DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}
