#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn at(path: &str) -> Result<Option<Place>, ArmError> {
    place(&Address::parse(path).unwrap())
}

#[test]
fn paths_are_the_same_in_either_case() {
    let id = ResourceName {
        subscription: "S-1".to_owned(),
        resource_group: "My Group".to_owned(),
        name: "P".to_owned(),
    };
    let base = "/subscriptions/S-1/resourceGroups/My%20Group/providers/Microsoft.Network";
    for kind in [
        "trafficmanagerprofiles",
        "trafficManagerProfiles",
        "TRAFFICMANAGERPROFILES",
    ] {
        let profile = format!("{base}/{kind}/P");
        assert_eq!(at(&profile).unwrap(), Some(Place::Profile(id.clone())));
        assert_eq!(
            at(&format!("{profile}/")).unwrap(),
            Some(Place::Profile(id.clone()))
        );
        for endpoints in [
            "externalEndpoints",
            "ExternalEndpoints",
            "externalendpoints",
        ] {
            let place = at(&format!("{profile}/{endpoints}/E")).unwrap();
            assert_eq!(place, Some(Place::Endpoint(id.clone(), "E".to_owned())));
        }
        let scope = Scope {
            subscription: "S-1".to_owned(),
            resource_group: Some("My Group".to_owned()),
        };
        let group = Some(Place::Profiles(scope));
        assert_eq!(at(&format!("{base}/{kind}")).unwrap(), group);
    }
    for other in [
        "/more",
        "/externalEndpoints",
        "/externalEndpoints/E/more",
        "/endpoints/E",
    ] {
        let path = format!("{base}/trafficManagerProfiles/P{other}");
        assert_eq!(at(&path).unwrap(), None, "{other}");
    }
    let alone = "/subscriptions/S-1/providers/Microsoft.Network/trafficManagerProfiles/P";
    assert_eq!(at(alone).unwrap(), None);
    let azure = at(&format!("{base}/trafficManagerProfiles/P/AzureEndpoints/E"));
    assert_eq!(azure.unwrap_err().status, StatusCode::BAD_REQUEST);
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in "/subscriptions/s(/resourceGroups/g)?/providers/Microsoft.Network/trafficManagerProfiles(/|%|[a-zA-Z0-9.%é]|externalEndpoints|nestedEndpoints){0,30}") {
        if let Some(address) = Address::parse(&path) {
            let _ = place(&address);
        }
    }
}
