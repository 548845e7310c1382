#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::Environment;

fn cloud(authority: &str) -> Cloud {
    let environment: Environment = [("AZURE_AUTHORITY_HOST", authority)].into_iter().collect();
    Cloud::new(None, &environment).unwrap()
}

#[test]
fn issuers_and_keys_are_where_entra_says() {
    let id = "72F988BF-86f1-41af-91ab-2d7cd011db47";
    for authority in [
        "",
        "login.microsoftonline.com",
        "https://login.microsoftonline.com/",
    ] {
        let tenant = Tenant::new(&cloud(authority), id).unwrap();
        assert_eq!(
            tenant.issuers(),
            &[
                "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/",
                "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
            ]
        );
        assert_eq!(
            tenant.keys.as_str(),
            "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/discovery/v2.0/keys"
        );
    }
}

#[test]
fn a_domain_is_not_the_id_of_a_tenant() {
    for id in ["", "contoso.onmicrosoft.com", "common", "../x"] {
        let error = Tenant::new(&cloud(""), id).unwrap_err();
        assert!(matches!(error, TenantError::Id(_)), "{error}");
    }
}

#[test]
fn keys_of_other_kinds_are_left_out() {
    let read: WireKeys = serde_json::from_str(
        r#"{ "keys": [
            { "kid": "a", "kty": "RSA", "use": "sig", "n": "AQ", "e": "AQAB", "x5c": ["…"] },
            { "kid": "b", "kty": "RSA", "use": "enc", "n": "AQ", "e": "AQAB" },
            { "kid": "c", "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" },
            { "kty": "RSA", "n": "AQ", "e": "AQAB" },
            { "kid": "d", "kty": "RSA", "n": "AQ", "e": "AQAB" } ] }"#,
    )
    .unwrap();
    let ids: Vec<_> = read
        .keys
        .into_iter()
        .filter_map(WireKey::signing)
        .map(|it| it.id)
        .collect();
    assert_eq!(ids, ["a", "d"]);
}
