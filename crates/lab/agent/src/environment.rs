//! The environment of a container, from what its pod says and what secrets and config maps hold.
//!
//! Follows `makeEnvironment` of the kubelet (`pkg/kubelet/kubelet_pods.go`), also in its messages:
//! whoever looks for the cause of a `CreateContainerConfigError` knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use crate::paths::Mounts;

/// What holds values for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    Secret,
    ConfigMap,
}

impl Holder {
    /// In "… not found".
    pub fn resource(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::ConfigMap => "configmap",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// The keys and values of one secret or config map.
pub(crate) type Values = BTreeMap<String, Vec<u8>>;
/// Those that are there, of those that were asked for.
pub(crate) type Holders = BTreeMap<(Holder, String), Values>;

/// Why there is no environment yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("{} {name:?} not found", .holder.resource())]
    NoHolder { holder: Holder, name: String },
    #[error("couldn't find key {key} in {} {namespace}/{name}", .holder.kind())]
    NoKey {
        holder: Holder,
        namespace: String,
        name: String,
        key: String,
    },
    #[error(
        "the value of {variable} is not text without NUL bytes, and cannot be in an environment; mount it as a volume"
    )]
    NotText { variable: String },
    #[error("{variable:?} cannot be the name of a variable")]
    Name { variable: String },
    #[error("{variable}: field {path} is not supported")]
    Field { variable: String, path: String },
    #[error("{variable}: only secretKeyRef, configMapKeyRef and fieldRef are supported")]
    Source { variable: String },
}

/// The secrets and config maps that a container's environment names.
pub(crate) fn holders(container: &Container) -> BTreeSet<(Holder, String)> {
    let mut all = BTreeSet::new();
    for from in container.env_from.iter().flatten() {
        if let Some(secret) = &from.secret_ref {
            all.insert((Holder::Secret, secret.name.clone()));
        }
        if let Some(map) = &from.config_map_ref {
            all.insert((Holder::ConfigMap, map.name.clone()));
        }
    }
    let sources = container.env.iter().flatten();
    for source in sources.filter_map(|variable| variable.value_from.as_ref()) {
        if let Some(secret) = &source.secret_key_ref {
            all.insert((Holder::Secret, secret.name.clone()));
        }
        if let Some(map) = &source.config_map_key_ref {
            all.insert((Holder::ConfigMap, map.name.clone()));
        }
    }
    all
}

/// What a pod is, as its containers may ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub pod: &'a Pod,
    pub address: Ipv4Addr,
}

impl Facts<'_> {
    /// The value of a field; `None` where it is not supported.
    fn field(&self, path: &str) -> Option<String> {
        let metadata = &self.pod.metadata;
        let spec = self.pod.spec.as_ref();
        let text = |text: Option<&String>| Some(text.cloned().unwrap_or_default());
        match path {
            "metadata.name" => text(metadata.name.as_ref()),
            "metadata.namespace" => text(metadata.namespace.as_ref()),
            "metadata.uid" => text(metadata.uid.as_ref()),
            "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
            "spec.serviceAccountName" => {
                text(spec.and_then(|spec| spec.service_account_name.as_ref()))
            }
            "status.podIP" | "status.podIPs" => Some(self.address.to_string()),
            _ => {
                let (map, key) = path.strip_suffix("']")?.split_once("['")?;
                let map = match map {
                    "metadata.labels" => metadata.labels.as_ref(),
                    "metadata.annotations" => metadata.annotations.as_ref(),
                    _ => return None,
                };
                text(map.and_then(|map| map.get(key)))
            }
        }
    }
}

/// The variables of a container: those of `envFrom`, then those of `env`, each of which may use
/// the ones before it; mount paths in them are those of this machine.
pub(crate) fn environment(
    container: &Container,
    facts: Facts<'_>,
    held: &Holders,
    mounts: &Mounts,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut variables = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let (holder, name, optional) = match (&from.secret_ref, &from.config_map_ref) {
            (Some(secret), _) => (Holder::Secret, &secret.name, secret.optional),
            (None, Some(map)) => (Holder::ConfigMap, &map.name, map.optional),
            (None, None) => continue,
        };
        let Some(values) = held.get(&(holder, name.clone())) else {
            if optional == Some(true) {
                continue;
            }
            let name = name.clone();
            return Err(EnvironmentError::NoHolder { holder, name });
        };
        for (key, value) in values {
            let variable = format!("{prefix}{key}");
            let value = text(&variable, value)?;
            variables.insert(variable, value);
        }
    }
    for variable in container.env.iter().flatten() {
        let name = &variable.name;
        let given = variable.value.as_deref().unwrap_or_default();
        let value = match &variable.value_from {
            Some(source) if given.is_empty() => match value_from(name, source, facts, held)? {
                Some(value) => value,
                None => continue,
            },
            _ => expand(given, &variables),
        };
        variables.insert(name.clone(), value);
    }
    for (name, value) in &mut variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            let variable = name.clone();
            return Err(EnvironmentError::Name { variable });
        }
        *value = text(name, mounts.map(value).as_bytes())?;
    }
    Ok(variables)
}

/// A value that is elsewhere; `None` where it may be missing, and is.
fn value_from(
    variable: &str,
    source: &EnvVarSource,
    facts: Facts<'_>,
    held: &Holders,
) -> Result<Option<String>, EnvironmentError> {
    let variable = || variable.to_owned();
    let (holder, name, key, optional) = match source {
        EnvVarSource {
            secret_key_ref: Some(of),
            ..
        } => (Holder::Secret, &of.name, &of.key, of.optional),
        EnvVarSource {
            config_map_key_ref: Some(of),
            ..
        } => (Holder::ConfigMap, &of.name, &of.key, of.optional),
        EnvVarSource {
            field_ref: Some(of),
            ..
        } => {
            let path = of.field_path.clone();
            let field = facts.field(&path);
            return match field {
                Some(value) => Ok(Some(value)),
                None => Err(EnvironmentError::Field {
                    variable: variable(),
                    path,
                }),
            };
        }
        _ => {
            return Err(EnvironmentError::Source {
                variable: variable(),
            });
        }
    };
    let values = held.get(&(holder, name.clone()));
    match values.map(|values| values.get(key)) {
        Some(Some(value)) => text(&variable(), value).map(Some),
        _ if optional == Some(true) => Ok(None),
        None => Err(EnvironmentError::NoHolder {
            holder,
            name: name.clone(),
        }),
        Some(None) => Err(EnvironmentError::NoKey {
            holder,
            namespace: facts.pod.metadata.namespace.clone().unwrap_or_default(),
            name: name.clone(),
            key: key.clone(),
        }),
    }
}

fn text(variable: &str, bytes: &[u8]) -> Result<String, EnvironmentError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(EnvironmentError::NotText {
            variable: variable.to_owned(),
        }),
    }
}

/// `$(NAME)` replaced by the variable's value, where there is one; `$$` is a dollar sign that
/// begins no reference (`third_party/forked/golang/expansion` of Kubernetes).
pub(crate) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) =
            rest.strip_prefix('(').and_then(|rest| rest.split_once(')'))
        {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests;
