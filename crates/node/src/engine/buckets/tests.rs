#![allow(clippy::unwrap_used, clippy::expect_used)]

use backstay_bucket::{Provider, Role, Secret};

use super::*;

fn azure(account: &str, endpoint: &str, container: &str, prefix: &str) -> BucketConfig {
    BucketConfig {
        provider: Provider::Azure {
            account: account.to_owned(),
            key: Secret::new("a2V5"),
            endpoint_base: Some(endpoint.to_owned()),
        },
        container: container.to_owned(),
        prefix: prefix.to_owned(),
        ..BucketConfig::local("/x", Secret::new("k"), Role::RecoverFrom)
    }
}

/// Which of several buckets the variables are for: only the one at exactly their place. A
/// credential that is given for one account is never taken for another one.
#[test]
fn the_variables_are_for_the_bucket_at_their_place() {
    let of = |config: &BucketConfig, id| Place::of(config).entity(id, &format!("c{id}"), true);
    let entities = [
        of(&azure("a", "http://127.0.0.1:1", "logs", "p/"), 1),
        of(&azure("b", "http://127.0.0.1:1", "logs", "p/"), 2),
        of(&azure("a", "http://127.0.0.1:1", "logs", "q/"), 3),
        of(
            &azure("a", "https://a.blob.core.windows.net", "logs", "p/"),
            4,
        ),
        of(
            &BucketConfig::local("/srv/r0", Secret::new("k"), Role::Own),
            5,
        ),
    ];
    let table = [
        (azure("a", "http://127.0.0.1:1", "logs", "p/"), Some(1)),
        (azure("b", "http://127.0.0.1:1/", "logs", "p/"), Some(2)),
        (azure("a", "http://127.0.0.1:1", "logs", "q/"), Some(3)),
        (
            azure("a", "HTTPS://A.blob.core.windows.net", "logs", "p/"),
            Some(4),
        ),
        (azure("c", "http://127.0.0.1:1", "logs", "p/"), None),
        (azure("a", "http://127.0.0.1:2", "logs", "p/"), None),
        (azure("a", "http://127.0.0.1:1", "other", "p/"), None),
        // The cluster's own is never opened with the recovery variables.
        (
            BucketConfig::local("/srv/r0", Secret::new("k"), Role::RecoverFrom),
            None,
        ),
    ];
    for (given, expected) in table {
        let place = Place::of(&given);
        assert_eq!(given_for(&place, 5, &entities), expected, "{place:?}");
    }
    // An entity of an earlier version does not say its account.
    let mut old = entities[1].clone();
    old.account = String::new();
    let given = Place::of(&azure("b", "http://127.0.0.1:1", "logs", "p/"));
    assert_eq!(given_for(&given, 5, &[old]), Some(2));
}
