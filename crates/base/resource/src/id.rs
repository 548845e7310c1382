//! Resource ids.

use std::fmt;
use std::str::FromStr;

/// Why a text is not a valid resource id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a valid resource id; one is /subscriptions/ID/resourceGroups/NAME/providers/NAMESPACE/TYPE/NAME"
)]
pub struct NotAnId(String);

/// The id of a resource: in a resource group, or of a subscription. Ids are the same in either
/// case, and are kept as they were given.
#[derive(Clone, Debug)]
pub struct ResourceId(String);

impl ResourceId {
    /// The subscription's id, the part behind `/subscriptions/`.
    pub fn subscription(&self) -> &str {
        self.segments().nth(1).unwrap_or_default()
    }

    /// Its resource group; none for what belongs to a subscription.
    pub fn resource_group(&self) -> Option<&str> {
        let mut segments = self.segments().skip(2);
        let marker = segments.next()?;
        marker
            .eq_ignore_ascii_case("resourceGroups")
            .then(|| segments.next())
            .flatten()
    }

    /// Its own name: the last part.
    pub fn name(&self) -> &str {
        self.segments().next_back().unwrap_or_default()
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource that this one is a part of: of an endpoint its profile.
    pub fn parent(&self) -> Option<Self> {
        let segments: Vec<&str> = self.segments().collect();
        let after = segments
            .iter()
            .rposition(|it| it.eq_ignore_ascii_case("providers"))?;
        let nested = segments.len() - after > 4;
        nested.then(|| {
            let kept = segments.get(..segments.len() - 2).unwrap_or_default();
            Self(format!("/{}", kept.join("/")))
        })
    }

    /// A part of it: `("externalEndpoints", "primary")`.
    ///
    /// # Errors
    /// When the name is none.
    pub fn child(&self, kind: &str, name: &str) -> Result<Self, NotAnId> {
        format!("{}/{kind}/{name}", self.0).parse()
    }

    /// Its parts, of which the first is `subscriptions`.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.strip_prefix('/').unwrap_or(&self.0).split('/')
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ResourceId {}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ResourceId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId(crate::text::excerpt(text));
        let parts: Vec<&str> = text
            .strip_prefix('/')
            .ok_or_else(wrong)?
            .split('/')
            .collect();
        // Azure's names allow these; a dot alone would be a path of another resource.
        let plain = |it: &&str| {
            !it.is_empty()
                && it.len() <= 260
                && it
                    .chars()
                    .all(|it| it.is_alphanumeric() || "-_.()~ ".contains(it))
                && !it.chars().all(|it| it == '.')
        };
        let is = |at: usize, name: &str| {
            parts
                .get(at)
                .is_some_and(|it| it.eq_ignore_ascii_case(name))
        };
        let providers = if is(2, "resourceGroups") { 4 } else { 2 };
        let after = parts.len().saturating_sub(providers);
        // `providers`, a namespace, and pairs of type and name.
        let whole = is(0, "subscriptions")
            && is(providers, "providers")
            && after >= 4
            && after.is_multiple_of(2)
            && parts.iter().all(plain);
        whole.then(|| Self(text.to_owned())).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests;
