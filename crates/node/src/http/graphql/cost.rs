//! What a GraphQL request would cost, before anything walks through it.
//!
//! A fragment may be used many times, also by other fragments: a request of a kilobyte can stand for
//! more fields than there are atoms. The library's own limits walk through all of them. Here each
//! fragment is counted once, and the text's nesting before it is parsed at all, because parser and
//! validation are recursive.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Positioned, Request};

/// Longest text of a request.
const MAX_BYTES: usize = 256 << 10;
/// Deepest nesting of brackets.
const MAX_NESTING: usize = 64;
/// Fields and fragments of a request, each as often as it is used.
const MAX_FIELDS: u64 = 10_000;

/// Why a request is not executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooCostly {
    /// Its text is too long.
    #[error("the GraphQL query has {bytes} bytes, {MAX_BYTES} are allowed; split it")]
    Long {
        /// How many it has.
        bytes: usize,
    },
    /// Its brackets are nested too deep.
    #[error(
        "the GraphQL query nests brackets deeper than {MAX_NESTING} levels; ask for less at once"
    )]
    Deep,
    /// It asks for too many fields.
    #[error(
        "the GraphQL query asks for more than {MAX_FIELDS} fields, its fragments written out; use \
         each fragment less often"
    )]
    Fields,
    /// A fragment contains itself.
    #[error("the GraphQL fragment `{name}` contains itself; take it out")]
    Endless {
        /// Its name.
        name: String,
    },
}

/// Refuses a request that costs too much. What is not GraphQL passes: executing it says why.
pub(super) fn check(request: &mut Request) -> Result<(), TooCostly> {
    if request.query.len() > MAX_BYTES {
        return Err(TooCostly::Long {
            bytes: request.query.len(),
        });
    }
    if nesting(&request.query) > MAX_NESTING {
        return Err(TooCostly::Deep);
    }
    let Ok(document) = request.parsed_query() else {
        return Ok(());
    };
    let mut fragments = Fragments {
        document,
        known: HashMap::new(),
        depth: 0,
    };
    let mut fields = 0;
    for (_, operation) in document.operations.iter() {
        fields = limited(fields, fragments.fields(&operation.node.selection_set)?)?;
    }
    // Also those that nothing uses: validation looks at them.
    for name in document.fragments.keys() {
        fragments.fragment(name)?;
    }
    Ok(())
}

/// How deep the brackets of a text are nested, those in its strings and comments left out.
fn nesting(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => {
                let rest = bytes.get(at..).unwrap_or(&[]);
                let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                at += end.unwrap_or(rest.len());
            }
            b'"' => at = behind_string(bytes, at),
            _ => {}
        }
    }
    deepest
}

/// Where the string ends whose first quote is before `at`. One without an end ends the text: the
/// parser reads no further either.
fn behind_string(bytes: &[u8], at: usize) -> usize {
    let rest = |at: usize| bytes.get(at..).unwrap_or(&[]);
    let is_block = rest(at).starts_with(b"\"\"");
    let mut at = if is_block { at + 2 } else { at };
    while let Some(byte) = bytes.get(at) {
        match (byte, is_block) {
            (b'\\', true) if rest(at).starts_with(b"\\\"\"\"") => at += 4,
            (b'\\', false) => at += 2,
            (b'"', true) if rest(at).starts_with(b"\"\"\"") => return at + 3,
            (b'"', false) => return at + 1,
            (b'\n' | b'\r', false) => return bytes.len(),
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The sum, if it is allowed.
fn limited(a: u64, b: u64) -> Result<u64, TooCostly> {
    let sum = a.saturating_add(b);
    if sum > MAX_FIELDS {
        return Err(TooCostly::Fields);
    }
    Ok(sum)
}

/// The fragments of a request, and what is known of them.
struct Fragments<'a> {
    document: &'a ExecutableDocument,
    /// How many fields each has; nothing while it is counted.
    known: HashMap<&'a Name, Option<u64>>,
    /// Selections that are being counted, one within the other: levels of recursion, here and in
    /// the library.
    depth: usize,
}

impl<'a> Fragments<'a> {
    /// The fields of a selection.
    fn fields(&mut self, set: &'a Positioned<SelectionSet>) -> Result<u64, TooCostly> {
        if self.depth > MAX_NESTING {
            return Err(TooCostly::Deep);
        }
        self.depth += 1;
        let mut fields = 0;
        for item in &set.node.items {
            let more = match &item.node {
                Selection::Field(field) => self.fields(&field.node.selection_set)?,
                Selection::InlineFragment(inline) => self.fields(&inline.node.selection_set)?,
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node)?
                }
            };
            fields = limited(fields, limited(more, 1)?)?;
        }
        self.depth -= 1;
        Ok(fields)
    }

    fn fragment(&mut self, name: &Name) -> Result<u64, TooCostly> {
        // One that is not there is refused by the validation.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(0);
        };
        match self.known.get(name) {
            Some(Some(fields)) => return Ok(*fields),
            Some(None) => {
                return Err(TooCostly::Endless {
                    name: name.to_string(),
                });
            }
            None => {}
        }
        self.known.insert(name, None);
        let fields = self.fields(&fragment.node.selection_set)?;
        self.known.insert(name, Some(fields));
        Ok(fields)
    }
}

#[cfg(test)]
mod tests;
