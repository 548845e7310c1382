//! Which endpoint a name points to.
//!
//! Sources: <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-routing-methods>
//! (Priority), <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-monitoring>
//! (statuses, disabled profiles, all degraded).

use crate::status::EndpointMonitorStatus;
use crate::{Endpoint, Profile, Switch};

/// What a name points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The name does not exist (`NXDOMAIN`): the profile is disabled.
    NoName,
    /// The name exists and points nowhere: no endpoint is in play. Azure's page does not say what
    /// is answered here; an existing name without records is an empty answer.
    Nothing,
    /// One endpoint.
    Endpoint(&'a Endpoint),
}

/// What the name of this profile points to, with a status for each of its endpoints in their
/// order.
///
/// The first available endpoint by priority. When there is none and some are degraded, Azure
/// "responds as if all the Degraded status endpoints actually are in an online state", which with
/// Priority routing is the first of them; disabled and stopped ones "are not considered eligible".
pub fn answer<'a>(profile: &'a Profile, statuses: &[EndpointMonitorStatus]) -> Answer<'a> {
    if profile.status == Switch::Disabled {
        return Answer::NoName;
    }
    let first = |eligible: &dyn Fn(EndpointMonitorStatus) -> bool| {
        let with_status = profile.endpoints.iter().zip(statuses);
        let eligible = with_status.filter(|(_, status)| eligible(**status));
        eligible
            .min_by_key(|(endpoint, _)| endpoint.priority)
            .map(|(endpoint, _)| endpoint)
    };
    first(&EndpointMonitorStatus::available)
        .or_else(|| first(&|status| status == EndpointMonitorStatus::Degraded))
        .map_or(Answer::Nothing, Answer::Endpoint)
}

#[cfg(test)]
mod tests;
