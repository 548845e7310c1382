//! What a call needs to be allowed, and how to allow it.

use std::fmt;

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// As `kubectl` writes it: `deployments.apps/scale`.
    pub resource: &'static str,
    /// The namespace that the object is in.
    pub namespace: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            resource,
            namespace,
        } = self;
        write!(f, "{verb} {resource} in namespace {namespace}")
    }
}

/// A permission that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What was asked for.
    pub permission: Permission,
    /// The server's words.
    pub message: String,
    /// What to type to give it.
    pub grant: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            permission,
            message,
            grant,
        } = self;
        write!(f, "may not {permission} ({message}); to allow it: {grant}")
    }
}

impl Permission {
    pub(crate) fn denied(self, message: String) -> Denied {
        Denied {
            grant: self.grant(&message),
            permission: self,
            message,
        }
    }

    /// What to type to give it to whom the server's refusal names.
    fn grant(&self, message: &str) -> String {
        let name = format!(
            "backstay-{}-{}",
            self.verb,
            self.resource.replace(['.', '/'], "-")
        );
        let user = message
            .split_once("User \"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let plain = |it: &&str| {
            it.chars()
                .all(|it| it.is_ascii_alphanumeric() || "-_.:@".contains(it))
        };
        let user = user.map(|(user, _)| user).filter(plain).unwrap_or("USER");
        let subject = match user.strip_prefix("system:serviceaccount:") {
            Some(account) => format!("--serviceaccount={account}"),
            None => format!("--user={user}"),
        };
        format!(
            "kubectl -n {0} create role {name} --verb={1} --resource={2} && \
             kubectl -n {0} create rolebinding {name} --role={name} {subject}",
            self.namespace, self.verb, self.resource
        )
    }
}

#[cfg(test)]
mod tests;
