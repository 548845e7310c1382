//! What is wrong with a custom resource, in the words of kube-apiserver
//! (`k8s.io/kube-openapi/pkg/validation`, `apiextensions-apiserver/pkg/apiserver/validation`).

use serde_json::Value;

use super::{Choice, Form, Schema, child};
use crate::kind::ListRule;
use crate::status::Cause;

impl Schema {
    /// Everything that is wrong with `value`, which stands at `path` in its document.
    pub(crate) fn check(&self, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        let schema = self.resolved();
        if value.is_null() && (schema.nullable || schema.form == Form::Any) {
            return;
        }
        if let Err(wanted) = schema.fits(value) {
            causes.push(of_type(path, wanted, value));
            return;
        }
        schema.check_bounds(value, path, causes);
        match value {
            Value::Object(map) => {
                for name in &schema.required {
                    if !map.contains_key(name) {
                        causes.push(Cause::required(child(path, name)));
                    }
                }
                for (name, value) in map {
                    if let Some(below) = schema.properties.get(name).or(schema.values.as_deref()) {
                        below.check(value, &child(path, name), causes);
                    }
                }
            }
            Value::Array(list) => {
                schema.check_unique(list, path, causes);
                if let Some(items) = &schema.items {
                    for (index, item) in list.iter().enumerate() {
                        items.check(item, &format!("{path}[{index}]"), causes);
                    }
                }
            }
            _ => {}
        }
        schema.check_choices(value, path, causes);
        for rule in &schema.rules {
            if !holds(&rule.text, value) {
                causes.push(Cause {
                    message: format!("Invalid value: \"{}\": {}", type_of(value), rule.problem()),
                    ..Cause::invalid(path, &Value::Null, "")
                });
            }
        }
    }

    /// The type that is wanted, where the value has another.
    fn fits(&self, value: &Value) -> Result<(), &'static str> {
        let (fits, wanted) = match self.form {
            Form::Any | Form::Named(_) => (true, ""),
            Form::Object => (value.is_object(), "object"),
            Form::Array => (value.is_array(), "array"),
            Form::String => (value.is_string(), "string"),
            // A number without a fraction is an integer.
            Form::Integer => (is_whole(value), "integer"),
            Form::Number => (value.is_number(), "number"),
            Form::Boolean => (value.is_boolean(), "boolean"),
            Form::IntOrString | Form::Quantity => {
                (value.is_string() || is_whole(value), "integer,string")
            }
        };
        if fits { Ok(()) } else { Err(wanted) }
    }

    fn check_bounds(&self, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        let bounds = &self.bounds;
        let mut invalid = |why: String| {
            let why = format!("{path} in body {why}");
            causes.push(Cause::invalid(path, value, &why));
        };
        match value {
            Value::String(text) => {
                let length = text.chars().count() as u64;
                if let Some(least) = bounds.min_length.filter(|least| length < *least) {
                    invalid(format!("should be at least {least} chars long"));
                }
                if let Some(pattern) = bounds.pattern.as_ref().filter(|p| !p.is_match(text)) {
                    invalid(format!("should match '{pattern}'"));
                }
                if self.format == "date-time" && chrono::DateTime::parse_from_rfc3339(text).is_err()
                {
                    invalid(format!("must be of type date-time: {text:?}"));
                }
                if let Some(most) = bounds.max_length.filter(|most| length > *most) {
                    causes.push(Cause::too_long(path, most));
                }
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                if let Some((least, out)) = bounds.minimum
                    && (number < least || (out && number <= least))
                {
                    let or = if out { "" } else { " or equal to" };
                    invalid(format!("should be greater than{or} {least}"));
                }
                if let Some((most, out)) = bounds.maximum
                    && (number > most || (out && number >= most))
                {
                    let or = if out { "" } else { " or equal to" };
                    invalid(format!("should be less than{or} {most}"));
                }
                if let Some(factor) = bounds.multiple_of
                    && (number / factor).fract() != 0.0
                {
                    invalid(format!("should be a multiple of {factor}"));
                }
            }
            Value::Array(list) => {
                let count = list.len() as u64;
                if let Some(least) = bounds.min_items.filter(|least| count < *least) {
                    invalid(format!("should have at least {least} items"));
                }
                if let Some(most) = bounds.max_items.filter(|most| count > *most) {
                    causes.push(Cause::too_many(path, count, most));
                }
            }
            Value::Object(map) => {
                let count = map.len() as u64;
                if let Some(least) = bounds.min_properties.filter(|least| count < *least) {
                    invalid(format!("should have at least {least} properties"));
                }
                if let Some(most) = bounds.max_properties.filter(|most| count > *most) {
                    causes.push(Cause::too_many(path, count, most));
                }
            }
            _ => {}
        }
        if !bounds.one_of.is_empty() && !bounds.one_of.contains(value) {
            causes.push(Cause::unsupported_value(path, value, &bounds.one_of));
        }
    }

    fn check_unique(&self, list: &[Value], path: &str, causes: &mut Vec<Cause>) {
        let identity = |item: &Value| match self.list {
            Some(ListRule::Set) => Some(item.clone()),
            Some(ListRule::Keyed(keys)) => Some(
                keys.iter()
                    .filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone())))
                    .collect(),
            ),
            None => None,
        };
        let mut seen = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let Some(identity) = identity(item) else {
                return;
            };
            if seen.contains(&identity) {
                causes.push(Cause::duplicate(format!("{path}[{index}]"), &identity));
            } else {
                seen.push(identity);
            }
        }
    }

    fn check_choices(&self, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        for (choice, several) in &self.choices {
            let holding = several
                .iter()
                .filter(|one| {
                    let mut inner = Vec::new();
                    one.check(value, path, &mut inner);
                    inner.is_empty()
                })
                .count();
            let (holds, why) = match choice {
                Choice::All => (
                    holding == several.len(),
                    "must validate all the schemas (allOf)",
                ),
                Choice::Any => (holding > 0, "must validate at least one schema (anyOf)"),
                Choice::One => (
                    holding == 1,
                    "must validate one and only one schema (oneOf)",
                ),
                Choice::Not => (holding == 0, "must not validate the schema (not)"),
            };
            if !holds {
                causes.push(Cause::invalid(
                    path,
                    &Value::from(""),
                    &format!("{path:?} {why}"),
                ));
            }
        }
    }
}

impl super::Rule {
    fn problem(&self) -> String {
        if self.message.is_empty() {
            format!("failed rule: {}", self.text)
        } else {
            self.message.clone()
        }
    }
}

/// Whether a rule of CEL holds. Those of the definitions that are shipped are known by their text:
/// they are about which of two fields is there.
fn holds(rule: &str, value: &Value) -> bool {
    let has = |field: &str| value.get(field).is_some_and(|value| !value.is_null());
    let said = |field: &str| has(field) && value[field] != "";
    match rule {
        "!has(self.minAvailable) || !has(self.maxUnavailable)" => {
            !has("minAvailable") || !has("maxUnavailable")
        }
        "has(self.minAvailable) || has(self.maxUnavailable)" => {
            has("minAvailable") || has("maxUnavailable")
        }
        "(has(self.managedClusterName) && self.managedClusterName != \"\") != (has(self.externalClusterName) && self.externalClusterName != \"\")" => {
            said("managedClusterName") != said("externalClusterName")
        }
        _ => true,
    }
}

fn is_whole(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.is_i64()
                || number.is_u64()
                || number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => false,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_whole(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn of_type(path: &str, wanted: &str, value: &Value) -> Cause {
    let is = type_of(value);
    Cause {
        reason: "FieldValueTypeInvalid",
        ..Cause::invalid(
            path,
            &Value::from(is),
            &format!("{path} in body must be of type {wanted}: {is:?}"),
        )
    }
}
