//! What a request is about: its path, and the versions of the API that are answered there.

use axum::http::StatusCode;

use super::error::ArmError;
use crate::profile::shown;
use crate::resource::{Kind, ResourceId, Scope};

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All subscriptions.
    Subscriptions,
    /// The resources of a kind.
    Collection(Kind, Scope),
    /// A resource.
    Resource(Kind, ResourceId),
    /// An external endpoint of a profile.
    Endpoint(ResourceId, String),
    /// The keys of a storage account.
    ListKeys(ResourceId),
    /// Test notifications of an action group are to be sent.
    Notify(ResourceId),
    /// What has become of one, by its id.
    Notified(ResourceId, String),
    /// The alerts of a subscription that have fired.
    Alerts(String),
    /// One of them, and what about it.
    Alert(String, String, AboutAlert),
}

/// What of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AboutAlert {
    /// All of it.
    Itself,
    /// Its state is to change.
    ChangeState,
    /// What has become of it so far.
    History,
}

impl Place {
    /// The type that is addressed, and the versions of its API that are answered, all in the same
    /// way. Of subscriptions any is.
    pub(super) fn versions(&self) -> Option<(String, &'static [&'static str])> {
        let kind = match self {
            Self::Subscriptions => return None,
            Self::Alerts(_) | Self::Alert(..) => {
                return Some(("Microsoft.AlertsManagement/alerts".to_owned(), &ALERTS));
            }
            Self::Endpoint(..) => Kind::Profile,
            Self::ListKeys(_) => Kind::StorageAccount,
            Self::Notify(_) | Self::Notified(..) => Kind::ActionGroup,
            Self::Collection(kind, _) | Self::Resource(kind, _) => *kind,
        };
        let versions: &[&str] = match kind {
            Kind::Profile => &PROFILES,
            Kind::MetricAlert => &METRIC_ALERTS,
            Kind::ActionGroup => &ACTION_GROUPS,
            Kind::StorageAccount => &STORAGE_ACCOUNTS,
        };
        Some((kind.to_string(), versions))
    }
}

/// The newest stable one that is documented is 2022-04-01; 2026-09-01 is what the `az` of autumn
/// 2026 asks for.
const PROFILES: [&str; 13] = [
    "2015-11-01",
    "2017-03-01",
    "2017-05-01",
    "2017-09-01-preview",
    "2018-02-01",
    "2018-03-01",
    "2018-04-01",
    "2018-08-01",
    "2020-08-01",
    "2022-04-01",
    "2022-04-01-preview",
    "2024-04-01-preview",
    "2026-09-01",
];

const METRIC_ALERTS: [&str; 3] = ["2018-03-01", "2024-01-01-preview", "2024-03-01-preview"];

const ACTION_GROUPS: [&str; 11] = [
    "2017-04-01",
    "2018-03-01",
    "2018-09-01",
    "2019-03-01",
    "2019-06-01",
    "2021-09-01",
    "2022-04-01",
    "2022-06-01",
    "2023-01-01",
    "2023-09-01-preview",
    "2024-10-01-preview",
];

const ALERTS: [&str; 5] = [
    "2018-05-05",
    "2019-03-01",
    "2019-05-05-preview",
    "2023-07-12-preview",
    "2024-01-01-preview",
];

const STORAGE_ACCOUNTS: [&str; 24] = [
    "2016-12-01",
    "2017-06-01",
    "2017-10-01",
    "2018-02-01",
    "2018-07-01",
    "2018-11-01",
    "2019-04-01",
    "2019-06-01",
    "2021-01-01",
    "2021-02-01",
    "2021-04-01",
    "2021-06-01",
    "2021-08-01",
    "2021-09-01",
    "2022-05-01",
    "2022-09-01",
    "2023-01-01",
    "2023-04-01",
    "2023-05-01",
    "2024-01-01",
    "2025-01-01",
    "2025-06-01",
    "2025-08-01",
    "2026-04-01",
];

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
    let place = match lower.as_slice() {
        ["subscriptions"] => Some(Place::Subscriptions),
        [
            "subscriptions",
            _,
            "providers",
            provider,
            of_kind,
            rest @ ..,
        ] => match (*provider, *of_kind, rest) {
            ("microsoft.alertsmanagement", "alerts", rest) => about_alert(rest).map(|it| {
                it.map_or(Place::Alerts(part(1)), |it| {
                    Place::Alert(part(1), part(5), it)
                })
            }),
            (provider, of_kind, []) => kind(provider, of_kind).map(|kind| {
                let subscription = part(1);
                let resource_group = None;
                Place::Collection(
                    kind,
                    Scope {
                        subscription,
                        resource_group,
                    },
                )
            }),
            _ => None,
        },
        [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            provider,
            of_kind,
            rest @ ..,
        ] => {
            let id = || ResourceId {
                subscription: part(1),
                resource_group: part(3),
                name: part(7),
            };
            match (kind(provider, of_kind), rest) {
                (Some(kind), []) => {
                    let (subscription, resource_group) = (part(1), Some(part(3)));
                    Some(Place::Collection(
                        kind,
                        Scope {
                            subscription,
                            resource_group,
                        },
                    ))
                }
                (Some(kind), [_]) => Some(Place::Resource(kind, id())),
                (Some(Kind::Profile), [_, "externalendpoints", _]) => {
                    Some(Place::Endpoint(id(), part(9)))
                }
                (Some(Kind::Profile), [_, "azureendpoints" | "nestedendpoints", _]) => {
                    return Err(ArmError::bad(
                        "BadRequest",
                        format!(
                            "Endpoints of type '{}' are not offered by this server; use \
                             externalEndpoints.",
                            part(8)
                        ),
                    ));
                }
                (Some(Kind::StorageAccount), [_, "listkeys"]) => Some(Place::ListKeys(id())),
                (Some(Kind::ActionGroup), [_, "createnotifications"]) => Some(Place::Notify(id())),
                (Some(Kind::ActionGroup), [_, "notificationstatus", _]) => {
                    Some(Place::Notified(id(), part(9)))
                }
                _ => None,
            }
        }
        _ => None,
    };
    place.ok_or_else(|| nothing(path))
}

fn kind(provider: &str, of_kind: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|it| {
        let (its_provider, its_name) = it.parts();
        its_provider.eq_ignore_ascii_case(provider) && its_name.eq_ignore_ascii_case(of_kind)
    })
}

/// What follows `alerts`: nothing is all of them.
fn about_alert(rest: &[&str]) -> Option<Option<AboutAlert>> {
    match rest {
        [] => Some(None),
        [_] => Some(Some(AboutAlert::Itself)),
        [_, "changestate"] => Some(Some(AboutAlert::ChangeState)),
        [_, "history"] => Some(Some(AboutAlert::History)),
        _ => None,
    }
}

fn nothing(path: &str) -> ArmError {
    let kinds = Kind::ALL.map(|it| it.to_string());
    ArmError::new(
        StatusCode::NOT_FOUND,
        "NotFound",
        format!(
            "There is nothing at '{}'; this server has \
             /subscriptions/{{id}}/resourceGroups/{{name}}/providers/ with {}, and \
             /subscriptions/{{id}}/providers/Microsoft.AlertsManagement/alerts.",
            shown(path),
            kinds.join(", ")
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
