use EndpointMonitorStatus::{
    CheckingEndpoint, Degraded, Disabled, Inactive, Online, Stopped, Unmonitored,
};
use Health::{Healthy, Unhealthy, Unknown};

use super::*;

const ON: Switch = Switch::Enabled;
const OFF: Switch = Switch::Disabled;

/// profile, endpoint, always serve, runs, health → status. The rows of Azure's table; where it
/// says "any", both ends of what is possible.
#[test]
fn an_endpoint_has_the_status_of_azures_table() {
    let table = [
        (OFF, ON, OFF, true, Unknown, Inactive),
        (OFF, ON, OFF, true, Healthy, Inactive),
        (OFF, ON, OFF, true, Unhealthy, Inactive),
        (OFF, ON, ON, true, Unhealthy, Inactive),
        (OFF, ON, OFF, false, Unknown, Inactive),
        (ON, OFF, OFF, true, Unknown, Disabled),
        (ON, OFF, OFF, true, Healthy, Disabled),
        (ON, OFF, OFF, true, Unhealthy, Disabled),
        (ON, OFF, ON, true, Healthy, Disabled),
        (ON, OFF, OFF, false, Healthy, Disabled),
        (OFF, OFF, OFF, true, Healthy, Disabled),
        (OFF, OFF, ON, false, Unhealthy, Disabled),
        (ON, ON, OFF, true, Healthy, Online),
        (ON, ON, OFF, true, Unhealthy, Degraded),
        (ON, ON, OFF, true, Unknown, CheckingEndpoint),
        (ON, ON, OFF, false, Unknown, Stopped),
        (ON, ON, OFF, false, Unhealthy, Stopped),
        (ON, ON, ON, false, Healthy, Stopped),
        (ON, ON, ON, true, Unknown, Unmonitored),
        (ON, ON, ON, true, Healthy, Unmonitored),
        (ON, ON, ON, true, Unhealthy, Unmonitored),
    ];
    for (profile, endpoint, always_serve, runs, health, expected) in table {
        let facts = EndpointFacts {
            profile,
            endpoint,
            always_serve,
            runs,
            health,
        };
        assert_eq!(endpoint_status(facts), expected, "{facts:?}");
    }
}

#[test]
fn a_profile_has_the_status_of_azures_table() {
    use ProfileMonitorStatus as P;
    let table: [(Switch, &[EndpointMonitorStatus], P); 16] = [
        (OFF, &[], P::Disabled),
        (OFF, &[Inactive, Disabled], P::Disabled),
        (ON, &[Degraded], P::Degraded),
        (ON, &[Online, Degraded], P::Degraded),
        (ON, &[CheckingEndpoint, Degraded, Disabled], P::Degraded),
        (ON, &[Unmonitored, Degraded], P::Degraded),
        (ON, &[Online], P::Online),
        (ON, &[Online, CheckingEndpoint], P::Online),
        (ON, &[Disabled, Online, Stopped], P::Online),
        (ON, &[Unmonitored], P::Online),
        (ON, &[CheckingEndpoint], P::CheckingEndpoints),
        (
            ON,
            &[Disabled, CheckingEndpoint, Stopped],
            P::CheckingEndpoints,
        ),
        (ON, &[], P::Inactive),
        (ON, &[Disabled], P::Inactive),
        (ON, &[Stopped], P::Inactive),
        (ON, &[Disabled, Stopped], P::Inactive),
    ];
    for (profile, endpoints, expected) in table {
        assert_eq!(
            profile_status(profile, endpoints),
            expected,
            "{profile:?} {endpoints:?}"
        );
    }
}

#[test]
fn what_is_answered_and_what_is_probed_follows_from_the_status() {
    for status in EndpointMonitorStatus::ALL {
        let (available, monitored) = match status {
            Online | CheckingEndpoint => (true, true),
            Unmonitored => (true, false),
            Degraded => (false, true),
            Disabled | Inactive | Stopped => (false, false),
        };
        assert_eq!(status.available(), available, "{status:?}");
        assert_eq!(status.monitored(), monitored, "{status:?}");
    }
}
