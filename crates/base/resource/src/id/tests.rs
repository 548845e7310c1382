#![allow(clippy::unwrap_used)]

use super::*;

const PROFILE: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Network/trafficManagerProfiles/logs";

#[test]
fn parts() {
    let profile: ResourceId = PROFILE.parse().unwrap();
    assert_eq!(profile.subscription(), "5e55");
    assert_eq!(profile.resource_group(), Some("dr"));
    assert_eq!(profile.name(), "logs");
    assert_eq!(profile.parent(), None);
    let endpoint = profile.child("externalEndpoints", "primary").unwrap();
    assert_eq!(endpoint.name(), "primary");
    assert_eq!(endpoint.parent().unwrap(), profile);
    assert_eq!(profile, PROFILE.to_uppercase().parse().unwrap());
    let alert: ResourceId = "/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts/1"
        .parse()
        .unwrap();
    assert_eq!(alert.resource_group(), None);
}

#[test]
fn what_is_none() {
    let profile: ResourceId = PROFILE.parse().unwrap();
    for name in ["", ".", "..", "a/b", "a?b", "a#b", "a%2fb", "a\nb", "a\\b"] {
        assert!(
            profile.child("externalEndpoints", name).is_err(),
            "{name:?}"
        );
    }
    for text in [
        "",
        "/",
        "logs",
        "/subscriptions/5e55",
        &PROFILE[1..],
        &format!("{PROFILE}/x"),
    ] {
        assert!(text.parse::<ResourceId>().is_err(), "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "(/[a-zA-Z.]*){0,12}") {
        if let Ok(id) = text.parse::<ResourceId>() {
            let _ = (id.subscription().len(), id.resource_group().is_some(), id.parent(), id.name().len());
        }
    }
}
