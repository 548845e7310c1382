#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::Role;
use crate::Secret;

#[test]
fn azurite_has_the_account_in_its_path_and_azure_in_its_host() {
    for (base, endpoint) in [
        ("http://127.0.0.1:10000", "http://127.0.0.1:10000/acct"),
        ("http://127.0.0.1:10000/", "http://127.0.0.1:10000/acct"),
        ("http://127.0.0.1:10000/acct", "http://127.0.0.1:10000/acct"),
        ("http://localhost:10000", "http://localhost:10000/acct"),
        ("http://[::1]:10000", "http://[::1]:10000/acct"),
        (
            "https://acct.blob.core.windows.net",
            "https://acct.blob.core.windows.net",
        ),
        (
            "https://acct.privatelink.example",
            "https://acct.privatelink.example",
        ),
    ] {
        assert_eq!(azure_endpoint(base, "acct"), endpoint, "{base}");
    }
}

#[test]
fn a_credential_that_cannot_be_used_is_named_but_not_shown() {
    let config = BucketConfig {
        provider: Provider::Azure {
            account: "acct".to_owned(),
            key: Secret::new("not base64: hush"),
            endpoint_base: None,
        },
        ..BucketConfig::local("/tmp/x", Secret::new("k"), Role::RecoverFrom)
    };
    let error = build(&config, false).map(drop).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("AZURE_RECOVER_FROM_ACCOUNTKEY"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}
