//! What `humio-structured` and `humio-unstructured` have in common: an array of groups, each a list
//! of events and what is said of all of them.
//!
//! Around the events the body must be right: a group with a misspelt list is an error that names
//! the member, as nothing of it could be stored. Within the list each element stands for itself.

use super::json::{BodyValue, Document, Scanner};
use crate::BodyError;

/// What a group looks like.
pub(super) struct Shape {
    /// The name of the format.
    pub(super) format: &'static str,
    /// The member with the events.
    pub(super) list: &'static str,
    /// The same in the other format, and its name.
    pub(super) other: (&'static str, &'static str),
    /// A body to copy.
    pub(super) example: &'static str,
}

/// A group of events.
pub(super) struct Group<'a> {
    /// Its events, each as it stands.
    pub(super) list: Vec<BodyValue<'a>>,
    /// Its other members.
    pub(super) others: Vec<(String, Document<'a>)>,
}

impl Group<'_> {
    /// The JSON of a member; null is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.others.iter().rev().find(|(known, _)| known == name)?;
        Some(found.1.text.as_ref()).filter(|json| *json != "null")
    }
}

/// Reads the groups of a body.
pub(super) fn groups<'a>(
    body: &'a [u8],
    shape: &Shape,
    mut each: impl FnMut(usize, Group<'a>) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    let mut scanner = Scanner::new(body);
    let mut at = 0;
    let is_whole = scanner.elements::<BodyError>(|scanner| {
        let group = group(scanner, at, shape)?;
        each(at, group)?;
        at += 1;
        Ok(())
    })?;
    if is_whole && scanner.peek().is_none() {
        Ok(())
    } else {
        Err(malformed(shape, &scanner))
    }
}

fn malformed(shape: &Shape, scanner: &Scanner<'_>) -> BodyError {
    BodyError::malformed(format!(
        "the body is not valid {} JSON at byte {}; send {}",
        shape.format,
        scanner.offset(),
        shape.example
    ))
}

fn group<'a>(scanner: &mut Scanner<'a>, at: usize, shape: &Shape) -> Result<Group<'a>, BodyError> {
    let mut list = None;
    let mut others = Vec::new();
    let is_whole = scanner.members(|name, scanner| {
        let wrong = |problem: String| BodyError::malformed(format!("[{at}].{name}: {problem}"));
        if name == shape.other.0 {
            return Err(wrong(format!(
                "this is a member of {}; {} has `{}`: send {}",
                shape.other.1, shape.format, shape.list, shape.example
            )));
        }
        if name == shape.list && scanner.peek() == Some(b'[') {
            let list: &mut Vec<BodyValue<'a>> = list.get_or_insert_default();
            let is_whole = scanner.elements(|scanner| {
                list.extend(scanner.value());
                Ok::<_, BodyError>(())
            })?;
            return if is_whole {
                Ok(())
            } else {
                Err(wrong("the array does not end".to_owned()))
            };
        }
        let value = scanner
            .value()
            .ok_or_else(|| wrong("it has no value".to_owned()))?;
        let value = value.read().map_err(|broken| wrong(broken.problem))?;
        if name == shape.list && value.text != "null" {
            Err(wrong("it is not an array".to_owned()))
        } else {
            others.push((name.to_owned(), value));
            Ok(())
        }
    })?;
    if !is_whole {
        return Err(malformed(shape, scanner));
    }
    let known = ["tags", "fields", "type", "parser", shape.list];
    let unknown = || {
        others
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
    };
    let is_null = || others.iter().any(|(name, _)| name == shape.list);
    match (list, unknown()) {
        (None, Some((name, _))) => Err(BodyError::malformed(format!(
            "[{at}].{name}: {} has no such member, and the group has no `{}`; send {}",
            shape.format, shape.list, shape.example
        ))),
        // Nobody means to send nothing, and who misspells the only member says so in no other way.
        (None, None) if !is_null() => Err(BodyError::malformed(format!(
            "[{at}]: the group has no `{}`; send {}",
            shape.list, shape.example
        ))),
        (list, _) => Ok(Group {
            list: list.unwrap_or_default(),
            others,
        }),
    }
}
