//! Who may do what: tokens, the roles behind them, and the rules of the roles, as data.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use backstay_kinds::{HUMIO_CLUSTER, KAFKA, LEASE, STRIMZI_POD_SET};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use ring::digest::{SHA256, digest};

use crate::kind::Kind;
use crate::server::StartError;

/// What a role may do: every verb on every resource listed.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or `*`.
    pub verbs: &'static [&'static str],
    /// API groups (`""` is core), or `*`.
    pub groups: &'static [&'static str],
    /// Resources, with their subresource where one is meant (`pods/log`), or `*`.
    pub resources: &'static [&'static str],
    /// Names that it is restricted to; empty for all.
    pub names: &'static [&'static str],
}

/// A role and its rules. Who has several has them under one name: what they allow is added up.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// What it is called; also the name of the user that has it.
    pub name: &'static str,
    /// Where it may do that; `None` for everywhere.
    pub namespace: Option<&'static str>,
    /// What it may do.
    pub rules: &'static [Rule],
}

const READ: &[&str] = &["get", "list", "watch"];
const EVERYTHING: &[&str] = &["*"];

const fn rule(
    verbs: &'static [&'static str],
    groups: &'static [&'static str],
    resources: &'static [&'static str],
) -> Rule {
    Rule {
        verbs,
        groups,
        resources,
        names: &[],
    }
}

impl Role {
    /// A role that may do everything, as `cluster-admin`.
    pub const ADMIN: Self = Self {
        name: "admin",
        namespace: None,
        rules: &[rule(EVERYTHING, EVERYTHING, EVERYTHING)],
    };

    /// A controller: everything with what runs the platform, but no nodes and no namespaces made
    /// or removed.
    pub const OPERATOR: Self = Self {
        name: "operator",
        namespace: None,
        rules: &[
            rule(READ, &[""], &["nodes", "namespaces"]),
            rule(
                EVERYTHING,
                &[""],
                &[
                    "pods",
                    "pods/status",
                    "pods/log",
                    "services",
                    "services/status",
                    "endpoints",
                    "secrets",
                    "configmaps",
                    "persistentvolumeclaims",
                    "persistentvolumeclaims/status",
                    "events",
                    "serviceaccounts",
                ],
            ),
            rule(
                EVERYTHING,
                &[
                    "apps",
                    LEASE.group,
                    "discovery.k8s.io",
                    HUMIO_CLUSTER.group,
                    KAFKA.group,
                    STRIMZI_POD_SET.group,
                ],
                EVERYTHING,
            ),
        ],
    };

    /// The failover function: it looks, and starts the standby's operator. Nothing else.
    pub const DR_FUNCTION: Self = Self {
        name: "dr-function",
        namespace: Some("logging"),
        rules: &[
            rule(
                &["get", "list", "watch", "patch", "update"],
                &["apps"],
                &["deployments", "deployments/scale"],
            ),
            rule(READ, &[HUMIO_CLUSTER.group], &[HUMIO_CLUSTER.plural]),
            rule(
                &["get", "list", "watch", "create", "update", "patch"],
                &[LEASE.group],
                &[LEASE.plural],
            ),
            rule(&["create", "patch"], &[""], &["events"]),
            rule(READ, &[""], &["pods"]),
            rule(&["get"], &[""], &["pods/log"]),
        ],
    };

    /// `backstay watch` and `backstay failover`: exactly what they need in the standby's cluster, as
    /// in `deploy/kubernetes/watch.yaml`.
    pub const FAILOVER: Self = Self {
        name: "failover",
        namespace: Some("logging"),
        rules: &[
            rule(&["get", "patch"], &["apps"], &["deployments"]),
            rule(&["patch"], &["apps"], &["deployments/scale"]),
            rule(&["get"], &[HUMIO_CLUSTER.group], &[HUMIO_CLUSTER.plural]),
            rule(&["get"], &[KAFKA.group], &[KAFKA.plural]),
            rule(&["get", "create", "patch"], &[LEASE.group], &[LEASE.plural]),
            rule(&["create"], &[""], &["events"]),
            rule(&["list"], &[""], &["pods", "services"]),
            rule(&["get"], &[""], &["pods/log"]),
            rule(&["get", "list", "delete"], &[""], &["secrets"]),
        ],
    };

    /// `backstay promote | failback | clean-secondary | runs`: exactly what they need in the primary's
    /// cluster, as in `deploy/kubernetes/runbook.yaml`.
    pub const RUNBOOK_PRIMARY: Self = Self {
        name: "runbook-primary",
        namespace: Some("logging"),
        rules: &[
            rule(&["get"], &["apps"], &["deployments"]),
            rule(&["patch"], &["apps"], &["deployments/scale"]),
            rule(
                &["get", "patch"],
                &[HUMIO_CLUSTER.group],
                &[HUMIO_CLUSTER.plural],
            ),
            rule(&["get"], &[KAFKA.group], &[KAFKA.plural]),
            rule(&["list", "watch", "delete"], &[""], &["pods"]),
            rule(&["list", "delete"], &[""], &["persistentvolumeclaims"]),
            rule(&["get"], &[""], &["pods/log"]),
            rule(&["get", "create"], &[""], &["pods/portforward"]),
            rule(&["get"], &[""], &["secrets"]),
        ],
    };

    /// The same one in the namespace of the primary's ingress controller.
    pub const RUNBOOK_INGRESS: Self = Self {
        name: Self::RUNBOOK_PRIMARY.name,
        namespace: Some("logging-ingress"),
        rules: &[
            rule(&["get"], &["apps"], &["deployments"]),
            rule(&["patch"], &["apps"], &["deployments/scale"]),
        ],
    };

    /// The same in the secondary's cluster.
    pub const RUNBOOK_SECONDARY: Self = Self {
        name: "runbook-secondary",
        namespace: Some("logging"),
        rules: &[
            rule(&["get", "patch"], &["apps"], &["deployments"]),
            rule(&["patch"], &["apps"], &["deployments/scale"]),
            rule(
                &["get", "patch"],
                &[HUMIO_CLUSTER.group],
                &[HUMIO_CLUSTER.plural],
            ),
            rule(&["get"], &[KAFKA.group], &[KAFKA.plural]),
            rule(
                &["list", "delete"],
                &[STRIMZI_POD_SET.group],
                &[STRIMZI_POD_SET.plural],
            ),
            rule(
                &["get", "create", "update", "patch"],
                &[LEASE.group],
                &[LEASE.plural],
            ),
            rule(
                &["get", "list", "create", "patch", "delete"],
                &[""],
                &["configmaps"],
            ),
            rule(&["create"], &[""], &["events"]),
            rule(&["list", "delete"], &[""], &["persistentvolumeclaims"]),
            rule(&["list", "watch", "delete"], &[""], &["pods"]),
            rule(&["get"], &[""], &["pods/log"]),
            rule(&["get", "create"], &[""], &["pods/portforward"]),
            rule(&["get", "list", "delete"], &[""], &["secrets"]),
            rule(&["get", "list", "patch"], &[""], &["services"]),
        ],
    };

    /// The ingress proxy: it reads where requests go, and the certificates it shows.
    pub const INGRESS: Self = Self {
        name: "ingress",
        namespace: Some("logging"),
        rules: &[
            rule(READ, &[""], &["services", "endpoints", "secrets"]),
            rule(READ, &["networking.k8s.io"], &["ingresses"]),
        ],
    };

    fn allows(&self, act: &Act<'_>) -> bool {
        let in_place = self.namespace.is_none_or(|place| place == act.namespace);
        let has = |list: &[&str], wanted: &str| list.contains(&"*") || list.contains(&wanted);
        let resource = act.resource();
        in_place
            && self.rules.iter().any(|rule| {
                has(rule.verbs, act.verb)
                    && has(rule.groups, act.kind.group)
                    && has(rule.resources, &resource)
                    && (rule.names.is_empty() || rule.names.contains(&act.name))
            })
    }
}

/// Something that a request wants to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act<'a> {
    pub verb: &'a str,
    pub kind: &'static Kind,
    pub subresource: &'a str,
    /// Empty for all, or for what is in none.
    pub namespace: &'a str,
    /// Empty for all.
    pub name: &'a str,
}

impl Act<'_> {
    fn resource(&self) -> String {
        if self.subresource.is_empty() {
            self.kind.plural.to_owned()
        } else {
            format!("{}/{}", self.kind.plural, self.subresource)
        }
    }
}

/// The users of one server: each has a token and a role, or several.
#[derive(Clone, Default)]
pub struct Access {
    /// By the digest of the token: finding one takes no longer the more of it is right.
    roles: HashMap<[u8; 32], Vec<Role>>,
    tokens: Vec<(&'static str, String)>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.tokens.iter().map(|(name, _)| name);
        f.debug_set().entries(users).finish()
    }
}

impl Access {
    /// These roles, each name with the token that it has in `folder`, or a new one written there. A
    /// token outlives the server, and so does a kubeconfig.
    ///
    /// # Errors
    /// When a token can be neither read nor written.
    pub fn in_folder(folder: &Path, roles: &[Role]) -> Result<Self, StartError> {
        let mut access = Self::default();
        for role in roles {
            let path = folder.join(format!("{}.token", role.name));
            let token = match std::fs::read_to_string(&path) {
                Ok(token) if !token.trim().is_empty() => token.trim().to_owned(),
                _ => {
                    let token = new_token();
                    crate::tls::write_private(&path, token.as_bytes())?;
                    token
                }
            };
            let roles = access.roles.entry(hash(&token)).or_default();
            roles.push(*role);
            if roles.len() == 1 {
                access.tokens.push((role.name, token));
            }
        }
        Ok(access)
    }

    /// The token of a role, by its name.
    pub fn token(&self, role: &str) -> Option<&str> {
        self.tokens
            .iter()
            .find(|(name, _)| *name == role)
            .map(|(_, token)| token.as_str())
    }

    /// Whose token this is.
    pub(crate) fn authenticate(&self, token: &str) -> Option<User> {
        self.roles
            .get(&hash(token))
            .map(|roles| User(roles.clone()))
    }
}

/// An authenticated user.
#[derive(Debug, Clone)]
pub(crate) struct User(Vec<Role>);

impl User {
    pub(crate) fn name(&self) -> &'static str {
        self.0.first().map_or("", |role| role.name)
    }

    /// Refuses what the role does not allow, in Kubernetes' words.
    pub(crate) fn check(&self, act: &Act<'_>) -> crate::status::ApiResult<()> {
        if self.may(act) {
            return Ok(());
        }
        let place = match act.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let what = format!(
            "User {:?} cannot {} resource {:?} in API group {:?} {place}",
            self.name(),
            act.verb,
            act.resource(),
            act.kind.group,
        );
        Err(crate::status::ApiError::forbidden(
            act.kind, act.name, &what,
        ))
    }

    pub(crate) fn may(&self, act: &Act<'_>) -> bool {
        self.0.iter().any(|role| role.allows(act))
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = digest(&SHA256, token.as_bytes());
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

fn new_token() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests;
