//! What a refusal (403) says: which permission is missing, and what gives it.
//!
//! Azure's own words are kept where they name the action:
//! <https://learn.microsoft.com/azure/role-based-access-control/troubleshooting>.

use std::fmt;

use crate::ResourceId;

/// A permission that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What was to be done: `Microsoft.Network/trafficManagerProfiles/write`.
    pub action: String,
    /// The resource or group that the role would have to be assigned on.
    pub scope: String,
    /// Who was to do it, if Azure says.
    pub object_id: Option<String>,
    /// What to type to allow it.
    pub grant: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing on {}; ", self.action, self.scope)?;
        write!(f, "to give it: {}", self.grant)
    }
}

/// What Azure's words of a refusal say; where they name no action, it is the one that the call
/// needs.
pub(crate) fn denied(message: &str, needs: &str, resource: &ResourceId) -> Denied {
    let action = quoted(message, "action '").filter(|it| {
        it.contains('/')
            && it
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || "./*_-".contains(it))
    });
    let scope = quoted(message, "scope '").and_then(scope);
    let object_id = quoted(message, "object id '")
        .filter(|it| it.len() <= 64 && it.chars().all(|it| it.is_ascii_hexdigit() || it == '-'));
    let action = action.unwrap_or(needs);
    // A role on an endpoint alone would not allow to read its profile.
    let whole = resource.parent().unwrap_or_else(|| resource.clone());
    let granted = match scope {
        // Such as the resource group, where the resource does not exist.
        Some(scope)
            if !scope
                .to_ascii_lowercase()
                .starts_with(&whole.as_str().to_ascii_lowercase()) =>
        {
            scope
        }
        _ => whole.as_str(),
    };
    let assignee = match object_id {
        Some(id) => format!("--assignee-object-id {id} --assignee-principal-type ServicePrincipal"),
        None => "--assignee 'CLIENT-ID'".to_owned(),
    };
    Denied {
        grant: format!(
            "az role assignment create {assignee} --role '{}' --scope '{granted}'",
            role(action)
        ),
        action: action.to_owned(),
        scope: scope.unwrap_or(resource.as_str()).to_owned(),
        object_id: object_id.map(str::to_owned),
    }
}

/// Azure's own role that has this action and as little else as there is.
///
/// Source: <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles>.
fn role(action: &str) -> &'static str {
    let action = action.to_ascii_lowercase();
    let of = |provider: &str| action.starts_with(provider);
    if of("microsoft.storage/storageaccounts/listkeys") {
        "Storage Account Key Operator Service Role"
    } else if action.ends_with("/read") {
        "Reader"
    } else if of("microsoft.network/trafficmanagerprofiles") {
        "Traffic Manager Contributor"
    } else if of("microsoft.insights/") || of("microsoft.alertsmanagement/") {
        "Monitoring Contributor"
    } else {
        "Contributor"
    }
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    let (quoted, _) = rest.split_once('\'')?;
    Some(quoted)
}

/// A scope that can stand between quotes on a command line.
fn scope(text: &str) -> Option<&str> {
    let plain = |it: char| it.is_alphanumeric() || "/-_.()~ ".contains(it);
    (text.starts_with('/') && text.len() <= 1000 && text.chars().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests;
