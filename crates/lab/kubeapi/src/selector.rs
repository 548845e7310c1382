//! Label and field selectors: which documents a list or a watch is about.

use serde_json::Value;

use crate::document::{array, strings, text};
use crate::kind::Kind;
use crate::status::{ApiError, ApiResult};

/// Which documents are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

#[derive(Debug, Clone, PartialEq)]
struct FieldRequirement {
    pointer: String,
    equal: bool,
    value: String,
}

impl Selector {
    /// From the query's `labelSelector` and `fieldSelector`.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> ApiResult<Self> {
        Ok(Self {
            labels: parse_labels(labels).map_err(|why| {
                ApiError::bad_request(format!("unable to parse requirement: {why}"))
            })?,
            fields: parse_fields(kind, fields)?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether it means this document.
    pub(crate) fn matches(&self, document: &Value) -> bool {
        let labels = document.pointer("/metadata/labels");
        self.labels.iter().all(|requirement| {
            let value = labels
                .and_then(|labels| labels.get(&requirement.key))
                .and_then(Value::as_str);
            requirement.test.holds(value)
        }) && self.fields.iter().all(|requirement| {
            let found = match document.pointer(&requirement.pointer) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            };
            let found = found == requirement.value;
            found == requirement.equal
        })
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Self::NotIn(values) => !value.is_some_and(|value| values.iter().any(|v| v == value)),
            Self::Above(bound) => number().is_some_and(|number| number > *bound),
            Self::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.
fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    split_outside_parentheses(text)?
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(parse_requirement)
        .collect()
}

fn split_outside_parentheses(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' if inside => return Err(format!("found '(' inside of parentheses in {text:?}")),
            '(' => inside = true,
            ')' if !inside => return Err(format!("found ')' without '(' in {text:?}")),
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(format!("found no ')' in {text:?}"));
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn parse_requirement(part: &str) -> Result<Requirement, String> {
    let made = |key: &str, test: Test| {
        let key = key.trim();
        check_label_key(key).map_err(|why| format!("<nil>: Invalid value: {key:?}: {why}"))?;
        let values = match &test {
            Test::In(values) | Test::NotIn(values) => values.as_slice(),
            _ => &[],
        };
        for value in values {
            check_label_value(value)
                .map_err(|why| format!("values[0][{key}]: Invalid value: {value:?}: {why}"))?;
        }
        Ok(Requirement {
            key: key.to_owned(),
            test,
        })
    };
    if let Some(open) = part.find('(') {
        let values: Vec<String> = part[open + 1..]
            .strip_suffix(')')
            .ok_or_else(|| format!("found text after ')' in {part:?}"))?
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect();
        let mut words = part[..open].split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => made(key, Test::In(values)),
            (Some(key), Some("notin"), None) => made(key, Test::NotIn(values)),
            _ => Err(format!(
                "found '(' but neither 'in' nor 'notin' in {part:?}"
            )),
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return made(key, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return made(key, Test::In(vec![value.trim().to_owned()]));
    }
    let bound = |value: &str| {
        value.trim().parse::<i64>().map_err(|_| {
            format!("for 'Gt', 'Lt' operators, the value must be an integer: {value:?}")
        })
    };
    if let Some((key, value)) = part.split_once('>') {
        return made(key, Test::Above(bound(value)?));
    }
    if let Some((key, value)) = part.split_once('<') {
        return made(key, Test::Below(bound(value)?));
    }
    if let Some(key) = part.strip_prefix('!') {
        return made(key, Test::Missing);
    }
    made(part, Test::Exists)
}

/// `metadata.name=a,status.phase!=Running`.
fn parse_fields(kind: &Kind, text: &str) -> ApiResult<Vec<FieldRequirement>> {
    let mut requirements = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
            (field, false, value)
        } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('='))
        {
            (field, true, value)
        } else {
            return Err(ApiError::bad_request(format!(
                "invalid selector: {text:?}; can't understand {part:?}"
            )));
        };
        let known = field == "metadata.name"
            || (field == "metadata.namespace" && kind.namespaced)
            || kind.selectable.contains(&field);
        if !known {
            return Err(ApiError::bad_request(format!(
                "field label not supported: {field}"
            )));
        }
        requirements.push(FieldRequirement {
            pointer: format!("/{}", field.replace('.', "/")),
            equal,
            value: value.to_owned(),
        });
    }
    Ok(requirements)
}

/// The selector of a workload as text, as `status.selector` of its scale has it.
pub(crate) fn of_workload(workload: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(Value::Object(labels)) = workload.pointer("/spec/selector/matchLabels") {
        parts.extend(
            labels
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())),
        );
    }
    for expression in array(workload, "/spec/selector/matchExpressions") {
        let key = text(expression, "/key");
        let values = strings(expression, "/values").join(",");
        parts.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}

const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// An optional DNS prefix and a name, as for labels and annotations.
pub(crate) fn check_label_key(key: &str) -> Result<(), String> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            if !is_subdomain(prefix) {
                return Err(format!("prefix part {SUBDOMAIN_RULE}"));
            }
            name
        }
        None => key,
    };
    if name.is_empty() {
        Err("name part must be non-empty".to_owned())
    } else if name.len() > 63 {
        Err("name part must be no more than 63 bytes".to_owned())
    } else if is_word(name) {
        Ok(())
    } else {
        Err(NAME_RULE.to_owned())
    }
}

/// Empty, or at most 63 letters.
pub(crate) fn check_label_value(value: &str) -> Result<(), String> {
    if value.len() > 63 {
        Err("must be no more than 63 bytes".to_owned())
    } else if value.is_empty() || is_word(value) {
        Ok(())
    } else {
        Err("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character".to_owned())
    }
}

fn is_word(text: &str) -> bool {
    let inside = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    let end = |letter: Option<&u8>| letter.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.iter().all(|letter| inside(*letter)) && end(bytes.first()) && end(bytes.last())
}

/// What a name must be, in Kubernetes' words.
pub(crate) const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Labels of lower case letters, digits and hyphens, joined by dots.
pub(crate) fn is_subdomain(text: &str) -> bool {
    let end = |letter: Option<&u8>| {
        letter.is_some_and(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    text.len() <= 253
        && text.split('.').all(|label| {
            let bytes = label.as_bytes();
            end(bytes.first())
                && end(bytes.last())
                && bytes.iter().all(|letter| {
                    letter.is_ascii_lowercase() || letter.is_ascii_digit() || *letter == b'-'
                })
        })
}

#[cfg(test)]
mod tests;
