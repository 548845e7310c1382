#![allow(clippy::unwrap_used)]

use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use backstay_resource::body::check_resource_name;
use proptest::prelude::*;

use super::address::{Path, parse};
use super::etag::{Conditions, etag};
use super::*;

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

#[test]
fn what_is_not_below_a_type_is_not_an_address() {
    assert_eq!(parse("/Subscriptions"), Some(Path::Subscriptions));
    for other in [
        "",
        "/",
        "/subscriptions/S-1",
        "/metrics",
        "/subscriptions/S-1/providers",
        "/subscriptions/S-1/providers/Microsoft.Network",
        "/subscriptions/S-1/resourceGroups",
        "/subscriptions/S-1/resourceGroups/g/providers/Microsoft.Network",
        "/subscriptions/S-1/resourceGroups/providers/Microsoft.Network/x",
    ] {
        assert_eq!(parse(other), None, "{other}");
    }
    let group = "/SUBSCRIPTIONS/S-1/ResourceGroups/My%20Group/Providers/Microsoft.Network/Kind/";
    let address = Address::parse(group).unwrap();
    assert_eq!(address.resource_group.as_deref(), Some("My Group"));
    assert_eq!(
        (address.of_type.as_str(), address.resource()),
        ("Kind", None)
    );
    let below = Address::parse("/subscriptions/s/providers/N/t/Name/Part").unwrap();
    assert_eq!(below.below_in_lower_case(), ["name", "part"]);
    assert_eq!(below.resource_group, None);
}

#[test]
fn what_is_not_encoded_well_is_not_a_name() {
    let name = |encoded: &str| {
        let address = Address::parse(&format!(
            "/subscriptions/s/resourceGroups/g/providers/N/t/{encoded}"
        ));
        address.unwrap().below.remove(0)
    };
    assert_eq!(name("a%20%41%c3%A9"), "a Aé");
    for encoded in [
        "%+f", "%", "a%", "%4", "%zz", "%é", "%%34%31", "a%ff", "%C3",
    ] {
        let name = name(encoded);
        let refused = check_resource_name(&name, "profile").unwrap_err();
        assert_eq!(refused.code, "InvalidResourceName", "{encoded}");
        assert!(name.contains('%'), "{encoded} became {name}");
    }
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in "(/|%|[a-zA-Z0-9.%é]|subscriptions|resourceGroups|providers|Microsoft.Network|trafficManagerProfiles|externalEndpoints|Microsoft.AlertsManagement|alerts|listKeys){0,30}") {
        let _ = parse(&path);
    }
}
