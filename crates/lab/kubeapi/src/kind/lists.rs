//! Which lists are maps in disguise: their items are told apart by keys. Strategic merge patch and
//! server-side apply merge those item by item, and replace all others whole.
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>)

use super::Kind;

/// How the items of a list are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListRule {
    /// By the values of these keys; strategic merge patch uses the first alone.
    Keyed(&'static [&'static str]),
    /// Each value is there once.
    Set,
}

/// Field, what it stands in (or anything), rule.
const RULES: &[(&str, Option<&str>, ListRule)] = {
    use ListRule::{Keyed, Set};
    &[
        ("finalizers", Some("metadata"), Set),
        ("ownerReferences", Some("metadata"), Keyed(&["uid"])),
        ("containers", Some("spec"), Keyed(&["name"])),
        ("initContainers", Some("spec"), Keyed(&["name"])),
        ("volumes", Some("spec"), Keyed(&["name"])),
        ("imagePullSecrets", None, Keyed(&["name"])),
        ("hostAliases", Some("spec"), Keyed(&["ip"])),
        (
            "topologySpreadConstraints",
            Some("spec"),
            Keyed(&["topologyKey", "whenUnsatisfiable"]),
        ),
        ("taints", Some("spec"), Keyed(&["key", "effect"])),
        ("env", Some("containers"), Keyed(&["name"])),
        ("env", Some("initContainers"), Keyed(&["name"])),
        (
            "ports",
            Some("containers"),
            Keyed(&["containerPort", "protocol"]),
        ),
        (
            "ports",
            Some("initContainers"),
            Keyed(&["containerPort", "protocol"]),
        ),
        ("ports", Some("spec"), Keyed(&["port", "protocol"])),
        ("volumeMounts", None, Keyed(&["mountPath"])),
        ("volumeDevices", None, Keyed(&["devicePath"])),
        ("conditions", Some("status"), Keyed(&["type"])),
        ("addresses", Some("status"), Keyed(&["type"])),
        ("podIPs", Some("status"), Keyed(&["ip"])),
        ("secrets", None, Keyed(&["name"])),
    ]
};

impl Kind {
    /// The rule of the list at this path of field names (items of lists add nothing to it).
    /// Those of custom resources are as their definition says.
    pub(crate) fn list_rule(&self, path: &[&str]) -> Option<ListRule> {
        let (field, above) = path.split_last()?;
        let within = above.last().copied();
        if self.custom && above != ["metadata"] {
            return self.schema()?.at(path)?.list;
        }
        RULES
            .iter()
            .find(|(name, place, _)| name == field && (place.is_none() || *place == within))
            .map(|(_, _, rule)| *rule)
    }
}

/// What a missing key counts as.
pub(crate) fn default_key(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}
