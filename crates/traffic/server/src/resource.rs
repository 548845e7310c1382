//! Which kinds of resources there are, and what their ids look like.
//!
//! Ids are the same in either case, as all of Azure's are; each is kept in the case in which it
//! was made, and found by its key, which is in lower case.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of resource that is configured within a resource group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Where a name points.
    Profile,
    /// When to raise an alarm.
    MetricAlert,
    /// Whom to tell.
    ActionGroup,
    /// Whose keys are handed out.
    StorageAccount,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self::Profile,
        Self::MetricAlert,
        Self::ActionGroup,
        Self::StorageAccount,
    ];

    /// The resource provider and the type within it.
    pub(crate) fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Profile => ("Microsoft.Network", "trafficManagerProfiles"),
            Self::MetricAlert => ("Microsoft.Insights", "metricAlerts"),
            Self::ActionGroup => ("Microsoft.Insights", "actionGroups"),
            Self::StorageAccount => ("Microsoft.Storage", "storageAccounts"),
        }
    }
}

/// The type, as Azure writes it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (provider, name) = self.parts();
        write!(f, "{provider}/{name}")
    }
}

/// Which resource of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceId {
    pub(crate) subscription: String,
    pub(crate) resource_group: String,
    pub(crate) name: String,
}

impl ResourceId {
    /// The whole id.
    pub(crate) fn path(&self, kind: Kind) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{kind}/{}",
            self.subscription, self.resource_group, self.name
        )
    }

    /// The id in lower case, by which resources are kept.
    pub(crate) fn key(&self, kind: Kind) -> String {
        self.path(kind).to_ascii_lowercase()
    }

    /// Reads a whole id of this kind, as it stands in another resource.
    pub(crate) fn read(kind: Kind, text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
        let [
            subscriptions,
            subscription,
            groups,
            group,
            providers,
            provider,
            of_kind,
            name,
        ] = parts.as_slice()
        else {
            return None;
        };
        let (wanted_provider, wanted_kind) = kind.parts();
        let fixed = [
            (subscriptions, "subscriptions"),
            (groups, "resourceGroups"),
            (providers, "providers"),
            (provider, wanted_provider),
            (of_kind, wanted_kind),
        ];
        let right = fixed.iter().all(|(it, must)| it.eq_ignore_ascii_case(must));
        let named = [subscription, group, name].iter().all(|it| !it.is_empty());
        (right && named).then(|| Self {
            subscription: (*subscription).to_owned(),
            resource_group: (*group).to_owned(),
            name: (*name).to_owned(),
        })
    }
}

/// A subscription, or one of its resource groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) subscription: String,
    pub(crate) resource_group: Option<String>,
}

impl Scope {
    /// Whether a resource of this subscription and group is in it.
    pub(crate) fn holds(&self, subscription: &str, group: &str) -> bool {
        let wanted = self.resource_group.as_deref();
        self.subscription.eq_ignore_ascii_case(subscription)
            && wanted.is_none_or(|it| it.eq_ignore_ascii_case(group))
    }
}
