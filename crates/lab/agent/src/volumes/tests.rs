#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

#[test]
fn paths_stay_within_the_volume() {
    for good in ["a", "a/b", "a.b", "..a", "./a"] {
        assert!(within(good).is_ok(), "{good}");
    }
    for bad in ["", "/", "/a", "..", "../a", "a/../../b", "a/..", "a\0b"] {
        assert!(within(bad).is_err(), "{bad}");
    }
    for bad in ["a/b", "..", ".", ""] {
        assert!(segment(bad).is_err(), "{bad}");
    }
}

fn secret(items: serde_json::Value) -> Held {
    let volume: Volume = serde_json::from_value(json!({
        "name": "v", "secret": { "secretName": "keys", "items": items },
    }))
    .unwrap();
    held(&volume).unwrap()
}

fn values() -> Values {
    Values::from([
        ("token".into(), b"s3cret".to_vec()),
        ("other".into(), vec![]),
    ])
}

#[test]
fn all_keys_or_those_that_are_named() {
    let all = files("v", &secret(json!(null)), values()).unwrap();
    assert_eq!(all.len(), 2);
    let items = json!([{ "key": "token", "path": "sub/t" }]);
    let one = files("v", &secret(items), values()).unwrap();
    assert_eq!(
        one.into_iter().collect::<Vec<_>>(),
        [("sub/t".into(), b"s3cret".to_vec())]
    );
    for (items, message) in [
        (
            json!([{ "key": "no", "path": "t" }]),
            "non-existent key \"no\" of \"keys\"",
        ),
        (
            json!([{ "key": "token", "path": "../t" }]),
            "must be a path within the volume",
        ),
    ] {
        let error = files("v", &secret(items), values())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(message) && !error.contains("s3cret"),
            "{error}"
        );
    }
}

#[test]
fn files_are_for_their_owner() {
    let folder = TempDir::new().unwrap();
    let own = folder.path().join("volumes/v");
    let all = BTreeMap::from([("sub/t".into(), b"s3cret".to_vec())]);
    write(&own, &all).unwrap();
    write(&own, &all).unwrap();
    let file = own.join("sub/t");
    assert_eq!(std::fs::read(&file).unwrap(), b"s3cret");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn mounts_name_volumes_of_the_pod() {
    let folder = TempDir::new().unwrap();
    let folders = Folders::from([("data".to_owned(), folder.path().to_owned())]);
    let of = |mount: serde_json::Value| {
        let container: Container =
            serde_json::from_value(json!({ "name": "c", "volumeMounts": [mount] })).unwrap();
        mounts(&container, &folders).map_err(|error| error.to_string())
    };
    let plain = of(json!({ "name": "data", "mountPath": "/data/" })).unwrap();
    assert_eq!(
        plain.map("/data/x"),
        format!("{}/x", folder.path().display())
    );
    let below = of(json!({ "name": "data", "mountPath": "/cache", "subPath": "a/b" })).unwrap();
    assert_eq!(
        below.map("/cache"),
        format!("{}/a/b", folder.path().display())
    );
    assert!(folder.path().join("a/b").is_dir());
    for (mount, message) in [
        (
            json!({ "name": "no", "mountPath": "/x" }),
            "the pod has no volume \"no\"",
        ),
        (
            json!({ "name": "data", "mountPath": "x" }),
            "must be absolute",
        ),
        (
            json!({ "name": "data", "mountPath": "//" }),
            "must be absolute and not /",
        ),
        (
            json!({ "name": "data", "mountPath": "/x", "subPath": "../y" }),
            "must be a path within",
        ),
    ] {
        let error = of(mount).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

proptest! {
    #[test]
    fn no_path_leaves_its_volume(path in "[a./]{0,12}") {
        if let Ok(within) = within(&path) {
            let mut depth = 0_i32;
            for part in within.components() {
                depth += match part {
                    Component::Normal(_) => 1,
                    Component::CurDir => 0,
                    _ => -100,
                };
            }
            prop_assert!(depth >= 0);
            prop_assert!(Path::new("/v").join(&within).starts_with("/v"));
        }
    }
}
