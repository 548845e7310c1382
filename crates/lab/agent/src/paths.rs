//! Paths within a container, replaced by those of this machine: there are no mount namespaces.
//!
//! A mount path is replaced wherever it stands at a path's boundary in a text: in the value of a
//! variable, an argument, or in the middle of a line for `sh -c`. What only looks like it is left
//! alone: the path of a URL, a longer name, a path that continues another.

/// What may come before a path. A letter, a digit or a closing quote of an expansion may not: the
/// path would be a part of something.
fn begins_after(before: Option<char>) -> bool {
    match before {
        None => true,
        Some(c) => c.is_whitespace() || "\"'`=:,;|&<>(@{[".contains(c),
    }
}

/// What may come after a mount path: the end, a further segment, or what is in no name.
fn ends_before(after: Option<char>) -> bool {
    match after {
        None => true,
        Some(c) => !(c.is_alphanumeric() || "._-+~@%".contains(c)),
    }
}

/// Mount paths and the folders of this machine that stand for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// The longest first: the innermost mount wins.
    pairs: Vec<(String, String)>,
}

impl Mounts {
    /// Of pairs of mount path and folder. The root cannot be mounted over, and is left out.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut pairs: Vec<(String, String)> = pairs
            .into_iter()
            .map(|(mount, folder)| (mount.trim_end_matches('/').to_owned(), folder))
            .filter(|(mount, _)| mount.starts_with('/'))
            .collect();
        pairs.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        Self { pairs }
    }

    /// The text with this machine's folders in it.
    pub fn map(&self, text: &str) -> String {
        let mut mapped = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(c) = rest.chars().next() {
            if c == '/'
                && begins_after(before)
                && let Some((after, folder)) = self.at_start_of(rest)
            {
                mapped.push_str(folder);
                // What follows a mount path is never the beginning of another.
                before = Some('/');
                rest = after;
                continue;
            }
            mapped.push(c);
            before = Some(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        mapped
    }

    /// All of these texts.
    pub fn map_all<'a>(&self, texts: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        texts.into_iter().map(|text| self.map(text)).collect()
    }

    fn at_start_of<'a>(&self, text: &'a str) -> Option<(&'a str, &str)> {
        self.pairs.iter().find_map(|(mount, folder)| {
            let after = text.strip_prefix(mount.as_str())?;
            ends_before(after.chars().next()).then_some((after, folder.as_str()))
        })
    }
}

#[cfg(test)]
mod tests;
