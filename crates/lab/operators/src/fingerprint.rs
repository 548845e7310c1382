//! Fingerprints of documents, and names that follow from them.

use ring::digest::{Context, Digest, SHA256};
use serde_json::Value;

/// How many hexadecimal digits tell two specifications apart.
const DIGITS: usize = 16;

/// What tells this specification from another one, whatever the order of its fields.
pub(crate) fn of(document: &Value) -> String {
    let mut context = Context::new(&SHA256);
    feed(&mut context, document);
    hex(&context.finish())
}

fn feed(context: &mut Context, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            context.update(b"{");
            for (key, value) in fields {
                feed_text(context, key);
                feed(context, value);
            }
            context.update(b"}");
        }
        Value::Array(list) => {
            context.update(b"[");
            for value in list {
                feed(context, value);
            }
            context.update(b"]");
        }
        Value::String(text) => feed_text(context, text),
        Value::Null => context.update(b"n"),
        Value::Bool(true) => context.update(b"t"),
        Value::Bool(false) => context.update(b"f"),
        Value::Number(number) => {
            context.update(b"#");
            feed_text(context, &number.to_string());
        }
    }
}

/// With its length before it, so that no two lists of texts are fed alike.
fn feed_text(context: &mut Context, text: &str) {
    context.update(b"\"");
    context.update(&(text.len() as u64).to_le_bytes());
    context.update(text.as_bytes());
}

fn hex(digest: &Digest) -> String {
    let mut text: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    text.truncate(DIGITS);
    text
}

/// A name that follows from `seed`: whoever sees the same gives the same. Names in `taken` were
/// tried and belong to something else.
pub(crate) fn name(prefix: &str, count: usize, seed: &[&str], taken: &[String]) -> String {
    let mut attempt = 0_u32;
    loop {
        let attempts = attempt.to_string();
        let seed = seed.iter().copied().chain([attempts.as_str()]);
        let name = format!("{prefix}{}", letters(seed, count));
        if !taken.contains(&name) {
            return name;
        }
        attempt += 1;
    }
}

fn letters<'a>(seed: impl IntoIterator<Item = &'a str>, count: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    let mut context = Context::new(&SHA256);
    for text in seed {
        feed_text(&mut context, text);
    }
    context
        .finish()
        .as_ref()
        .iter()
        .take(count)
        .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests;
