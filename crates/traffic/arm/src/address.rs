//! What a request is about, as far as all resources have that in common: its path.

use std::borrow::Cow;

use backstay_resource::{ResourceName, Scope};
use percent_encoding::percent_decode_str;

/// What a path is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// The list of subscriptions.
    Subscriptions,
    /// Resources of a type.
    Below(Address),
}

/// Resources of a type, or what is below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The id of the subscription that holds it.
    pub subscription: String,
    /// The resource group, where one is named.
    pub resource_group: Option<String>,
    /// The resource provider, as it was given.
    pub namespace: String,
    /// The type within it, as it was given.
    pub of_type: String,
    /// What follows the type: the resource's name, and what is below it.
    pub below: Vec<String>,
}

impl Address {
    /// Reads the path of a request; none if it is not about resources of a type.
    pub fn parse(path: &str) -> Option<Self> {
        match parse(path)? {
            Path::Subscriptions => None,
            Path::Below(address) => Some(address),
        }
    }

    /// What is asked of, where no resource is named.
    pub fn scope(&self) -> Scope {
        Scope {
            subscription: self.subscription.clone(),
            resource_group: self.resource_group.clone(),
        }
    }

    /// The resource that is named, where there is one in a resource group.
    pub fn resource(&self) -> Option<ResourceName> {
        Some(ResourceName {
            subscription: self.subscription.clone(),
            resource_group: self.resource_group.clone()?,
            name: self.below.first()?.clone(),
        })
    }

    /// What follows the type, in lower case: names are the same in either case.
    pub fn below_in_lower_case(&self) -> Vec<String> {
        let below = self.below.iter();
        below.map(|it| it.to_ascii_lowercase()).collect()
    }
}

/// Reads the path of a request.
pub(crate) fn parse(path: &str) -> Option<Path> {
    let parts: Vec<String> = path
        .split('/')
        .filter(|it| !it.is_empty())
        .map(decode)
        .collect();
    let is = |at: usize, word: &str| {
        parts
            .get(at)
            .is_some_and(|it| it.eq_ignore_ascii_case(word))
    };
    if !is(0, "subscriptions") {
        return None;
    }
    if parts.len() == 1 {
        return Some(Path::Subscriptions);
    }
    let resource_group = is(2, "resourcegroups").then(|| parts.get(3)).flatten();
    let providers = if resource_group.is_some() { 4 } else { 2 };
    if !is(providers, "providers") {
        return None;
    }
    Some(Path::Below(Address {
        subscription: parts.get(1)?.clone(),
        resource_group: resource_group.cloned(),
        namespace: parts.get(providers + 1)?.clone(),
        of_type: parts.get(providers + 2)?.clone(),
        below: parts.get(providers + 3..)?.to_vec(),
    }))
}

/// Undoes percent-encoding. What is not encoded well, or not UTF-8, stays as it is: its `%` is what no
/// name may have, so whoever checks the name refuses it and can show it as it came.
fn decode(part: &str) -> String {
    let decoded = percent_decode_str(part).decode_utf8();
    decoded.map_or_else(|_| part.to_owned(), Cow::into_owned)
}
