#![allow(clippy::unwrap_used)]

use EndpointMonitorStatus::{
    CheckingEndpoint, Degraded, Disabled, Inactive, Online, Stopped, Unmonitored,
};
use proptest::prelude::*;

use super::*;
use crate::tests::profile;

/// Statuses in the order of priority → which endpoint, from 1; 0 for none.
#[test]
fn the_first_available_endpoint_by_priority() {
    let table: [(&[EndpointMonitorStatus], usize); 17] = [
        (&[], 0),
        (&[Online], 1),
        (&[Online, Online], 1),
        (&[Degraded, Online], 2),
        (&[Disabled, Online], 2),
        (&[Stopped, Online], 2),
        (&[CheckingEndpoint, Online], 1),
        (&[Unmonitored, Online], 1),
        (&[Degraded, CheckingEndpoint], 2),
        (&[Degraded, Unmonitored], 2),
        // All degraded: as if they were online.
        (&[Degraded, Degraded], 1),
        (&[Disabled, Degraded], 2),
        (&[Stopped, Degraded, Degraded], 2),
        (&[Degraded, Disabled], 1),
        // Nothing in play.
        (&[Disabled], 0),
        (&[Stopped, Disabled], 0),
        (&[Inactive], 0),
    ];
    for (statuses, expected) in table {
        let profile = profile(statuses.len());
        let found = match answer(&profile, statuses) {
            Answer::Endpoint(endpoint) => endpoint.priority as usize,
            Answer::Nothing => 0,
            Answer::NoName => panic!("{statuses:?}"),
        };
        assert_eq!(found, expected, "{statuses:?}");
    }
}

#[test]
fn priority_decides_and_not_the_order_of_the_list() {
    let mut profile = profile(3);
    profile.endpoints.reverse();
    let Answer::Endpoint(endpoint) = answer(&profile, &[Online, Online, Degraded]) else {
        panic!("no endpoint")
    };
    assert_eq!(endpoint.priority, 2);
}

#[test]
fn a_disabled_profile_has_no_name() {
    let mut profile = profile(2);
    profile.status = Switch::Disabled;
    assert_eq!(answer(&profile, &[Online, Online]), Answer::NoName);
}

proptest! {
    #[test]
    fn a_better_endpoint_is_never_passed_over(
        picks in proptest::collection::vec(0_usize..7, 0..12)
    ) {
        let statuses: Vec<_> = picks.iter().map(|it| EndpointMonitorStatus::ALL[*it]).collect();
        let profile = profile(statuses.len());
        match answer(&profile, &statuses) {
            Answer::NoName => prop_assert!(false),
            Answer::Nothing => prop_assert!(
                statuses.iter().all(|it| !it.available() && *it != Degraded)
            ),
            Answer::Endpoint(endpoint) => {
                let place = endpoint.priority as usize - 1;
                let before = &statuses[..place];
                prop_assert!(before.iter().all(|it| !it.available()));
                if !statuses[place].available() {
                    prop_assert_eq!(statuses[place], Degraded);
                    prop_assert!(statuses.iter().all(|it| !it.available()));
                    prop_assert!(!before.contains(&Degraded));
                }
            }
        }
    }
}
