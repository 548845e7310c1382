//! Resource ids. They are the same in either case, as all of Azure's are.

use axum::http::StatusCode;

use super::error::ArmError;

/// The id of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProfileId {
    pub(super) subscription: String,
    pub(super) resource_group: String,
    pub(super) name: String,
}

impl ProfileId {
    /// The id in lower case, by which profiles are kept.
    pub(super) fn key(&self) -> String {
        format!(
            "/subscriptions/{}/resourcegroups/{}/providers/microsoft.network/trafficmanagerprofiles/{}",
            self.subscription, self.resource_group, self.name
        )
        .to_ascii_lowercase()
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All subscriptions.
    Subscriptions,
    /// The profiles of a subscription, or of one of its resource groups.
    Profiles {
        subscription: String,
        resource_group: Option<String>,
    },
    /// A profile.
    Profile(ProfileId),
    /// An external endpoint.
    Endpoint(ProfileId, String),
}

/// Reads the path of a request.
pub(super) fn parse(path: &str) -> Result<Place, ArmError> {
    let parts: Vec<String> = path
        .split('/')
        .filter(|it| !it.is_empty())
        .map(decode)
        .collect();
    let lower: Vec<String> = parts.iter().map(|it| it.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let part = |place: usize| parts.get(place).cloned().unwrap_or_default();
    let profile = || ProfileId {
        subscription: part(1),
        resource_group: part(3),
        name: part(7),
    };
    let kind = ["providers", "microsoft.network", "trafficmanagerprofiles"];
    match lower.as_slice() {
        ["subscriptions"] => Ok(Place::Subscriptions),
        ["subscriptions", _, rest @ ..] if rest == kind => Ok(Place::Profiles {
            subscription: part(1),
            resource_group: None,
        }),
        ["subscriptions", _, "resourcegroups", _, rest @ ..] if rest.starts_with(&kind) => {
            match rest.get(kind.len()..).unwrap_or_default() {
                [] => Ok(Place::Profiles {
                    subscription: part(1),
                    resource_group: Some(part(3)),
                }),
                [_] => Ok(Place::Profile(profile())),
                [_, "externalendpoints", _] => Ok(Place::Endpoint(profile(), part(9))),
                [_, "azureendpoints" | "nestedendpoints", _] => Err(ArmError::bad(
                    "BadRequest",
                    format!(
                        "Endpoints of type '{}' are not offered by this server; use \
                         externalEndpoints.",
                        part(8)
                    ),
                )),
                _ => Err(nothing(path)),
            }
        }
        _ => Err(nothing(path)),
    }
}

fn nothing(path: &str) -> ArmError {
    let shown: String = path
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect();
    ArmError::new(
        StatusCode::NOT_FOUND,
        "NotFound",
        format!(
            "There is nothing at '{shown}'; this server has \
             /subscriptions/{{id}}/resourceGroups/{{name}}/providers/Microsoft.Network/trafficManagerProfiles."
        ),
    )
}

/// Undoes percent-encoding. What is not encoded well stays as it is, and is then no valid name.
fn decode(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = part.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match hex.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| part.to_owned())
}
