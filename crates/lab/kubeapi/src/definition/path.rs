//! The part of JSONPath that printed columns use: names, indices, and one item by a field of it.

use serde_json::Value;

/// A path in a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    All,
    /// The items whose field has this value.
    Where(String, String),
}

impl JsonPath {
    /// Reads `.status.conditions[?(@.type=="Ready")].status`. `None` for what is no path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim().trim_start_matches('{').trim_end_matches('}');
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (inside, after) = bracket(inside)?;
                steps.push(inside);
                rest = after;
            } else {
                let (name, after) = name(rest.strip_prefix('.')?)?;
                steps.push(Step::Name(name));
                rest = after;
            }
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// The first value that it leads to.
    pub(crate) fn first<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        let mut here = vec![document];
        for step in &self.0 {
            here = here
                .into_iter()
                .flat_map(|value| step.below(value))
                .collect();
        }
        here.first().copied()
    }
}

impl Step {
    fn below<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Self::Name(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => items.get(*index).into_iter().collect(),
            Self::All => items.iter().collect(),
            Self::Where(field, wanted) => items
                .iter()
                .filter(|item| match item.get(field) {
                    Some(Value::String(text)) => text == wanted,
                    Some(other) => &other.to_string() == wanted,
                    None => false,
                })
                .collect(),
        }
    }
}

/// A name up to the next step; a backslash takes the next character as it is.
fn name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            '.' | '[' => return (!name.is_empty()).then_some((name, text.get(at..)?)),
            _ => name.push(letter),
        }
    }
    (!name.is_empty()).then_some((name, ""))
}

/// What is in brackets, and what comes after them.
fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(filter) = text.strip_prefix("?(@.") {
        let (field, rest) = filter.split_once("==")?;
        let rest = rest.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (wanted, rest) = rest.get(1..)?.split_once(quote)?;
        let rest = rest.trim_start().strip_prefix(")]")?;
        return Some((
            Step::Where(field.trim().to_owned(), wanted.to_owned()),
            rest,
        ));
    }
    let (inside, rest) = text.split_once(']')?;
    let step = match inside {
        "*" => Step::All,
        _ if inside.starts_with('\'') => Step::Name(inside.trim_matches('\'').replace("\\.", ".")),
        _ => Step::Index(inside.parse().ok()?),
    };
    Some((step, rest))
}
