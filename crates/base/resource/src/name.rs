//! Which types of resources there are, and what a resource is called among those of its type.
//!
//! Names are the same in either case, as all of Azure's are; each is kept in the case in which it
//! was made, and found by its key, which is in lower case.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ResourceId;

/// A type of resource: a resource provider's namespace, and the type within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// The provider, such as `Microsoft.Network`.
    pub namespace: &'static str,
    /// The type, such as `trafficManagerProfiles`.
    pub name: &'static str,
}

impl ResourceType {
    /// Whether a path or an id means this type.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace.eq_ignore_ascii_case(namespace) && self.name.eq_ignore_ascii_case(name)
    }
}

/// The type, as Azure writes it.
impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Which resource of its type, within a resource group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceName {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group.
    pub resource_group: String,
    /// Its own name.
    pub name: String,
}

impl ResourceName {
    /// The whole id, as text.
    pub fn path(&self, of: ResourceType) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{of}/{}",
            self.subscription, self.resource_group, self.name
        )
    }

    /// The id in lower case, by which resources are kept.
    pub fn key(&self, of: ResourceType) -> String {
        self.path(of).to_ascii_lowercase()
    }

    /// Reads a whole id of this type, as it stands in another resource.
    pub fn read(of: ResourceType, text: &str) -> Option<Self> {
        let id: ResourceId = text.parse().ok()?;
        let resource_group = id.resource_group()?;
        let segments: Vec<&str> = id.segments().collect();
        let [_, subscription, _, _, _, namespace, name_of_type, name] = segments.as_slice() else {
            return None;
        };
        of.is(namespace, name_of_type).then(|| Self {
            subscription: (*subscription).to_owned(),
            resource_group: resource_group.to_owned(),
            name: (*name).to_owned(),
        })
    }
}

/// A subscription, or one of its resource groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group; none is all of them.
    pub resource_group: Option<String>,
}

impl Scope {
    /// Whether a resource of this subscription and group is in it.
    pub fn holds(&self, subscription: &str, group: &str) -> bool {
        let wanted = self.resource_group.as_deref();
        self.subscription.eq_ignore_ascii_case(subscription)
            && wanted.is_none_or(|it| it.eq_ignore_ascii_case(group))
    }
}

#[cfg(test)]
mod tests;
