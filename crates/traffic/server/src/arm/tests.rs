#![allow(clippy::unwrap_used)]

use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use proptest::prelude::*;

use super::etag::{Conditions, etag};
use super::path::Place;
use super::*;
use crate::resource::ResourceId;

#[test]
fn paths_are_the_same_in_either_case() {
    let id = ResourceId {
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
        assert_eq!(
            parse(&profile).unwrap(),
            Place::Resource(Kind::Profile, id.clone())
        );
        assert_eq!(
            parse(&format!("{profile}/")).unwrap(),
            Place::Resource(Kind::Profile, id.clone())
        );
        for endpoints in [
            "externalEndpoints",
            "ExternalEndpoints",
            "externalendpoints",
        ] {
            let place = parse(&format!("{profile}/{endpoints}/E")).unwrap();
            assert_eq!(place, Place::Endpoint(id.clone(), "E".to_owned()));
        }
        let scope = Scope {
            subscription: "S-1".to_owned(),
            resource_group: Some("My Group".to_owned()),
        };
        let group = Place::Collection(Kind::Profile, scope);
        assert_eq!(parse(&format!("{base}/{kind}")).unwrap(), group);
    }
    assert_eq!(parse("/Subscriptions").unwrap(), Place::Subscriptions);
    for other in [
        "",
        "/",
        "/subscriptions/S-1",
        "/metrics",
        &format!("{base}/virtualNetworks/v"),
    ] {
        assert_eq!(
            parse(other).unwrap_err().status,
            StatusCode::NOT_FOUND,
            "{other}"
        );
    }
    let azure = parse(&format!("{base}/trafficManagerProfiles/P/AzureEndpoints/E"));
    assert_eq!(azure.unwrap_err().status, StatusCode::BAD_REQUEST);
}

#[test]
fn conditions_hold_or_they_do_not() {
    let conditions = |if_match: Option<&str>, if_none_match: Option<&str>| {
        let mut headers = HeaderMap::new();
        for (name, value) in [(IF_MATCH, if_match), (IF_NONE_MATCH, if_none_match)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        Conditions::of(&headers).unwrap()
    };
    let here = Some(&"resource");
    let tag = etag(&"resource");
    let listed = format!("\"x\", {tag}");
    let table = [
        (None, None, here, true),
        (None, None, None, true),
        (Some(tag.as_str()), None, here, true),
        (Some(listed.as_str()), None, here, true),
        (Some("*"), None, here, true),
        (Some("\"x\""), None, here, false),
        (Some(tag.as_str()), None, None, false),
        (Some("*"), None, None, false),
        (None, Some("*"), None, true),
        (None, Some("*"), here, false),
        (None, Some(tag.as_str()), here, false),
        (None, Some("\"x\""), here, true),
    ];
    for (if_match, if_none_match, resource, good) in table {
        let held = conditions(if_match, if_none_match).hold(resource);
        assert_eq!(
            held.is_ok(),
            good,
            "{if_match:?} {if_none_match:?} {resource:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in "(/|%|[a-zA-Z0-9.%é]|subscriptions|resourceGroups|providers|Microsoft.Network|trafficManagerProfiles|externalEndpoints|Microsoft.AlertsManagement|alerts|listKeys){0,30}") {
        let _ = parse(&path);
    }
}
