#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use backstay_bucket::{Bucket, BucketConfig, Role};

use super::{Azurite, Region};
use crate::workload::RunName;

#[test]
fn a_standby_knows_both_buckets_with_their_own_keys() {
    let folder = tempfile::tempdir().unwrap();
    let primary = Region::folder("primary", folder.path().join("p")).unwrap();
    let standby = Region::folder("secondary", folder.path().join("s")).unwrap();
    let mut env = standby.own();
    env.extend(primary.recover_from(&standby));
    let names: BTreeSet<&str> = env.keys().map(String::as_str).collect();
    let expected = [
        "BUCKET_STORAGE_MULTIPLE_ENDPOINTS",
        "LOCAL_RECOVER_FROM_ENCRYPTION_KEY",
        "LOCAL_RECOVER_FROM_PATH",
        "LOCAL_RECOVER_FROM_REPLACE_REGION",
        "LOCAL_STORAGE_ENCRYPTION_KEY",
        "LOCAL_STORAGE_PATH",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(
        env["LOCAL_RECOVER_FROM_REPLACE_REGION"],
        "primary/secondary"
    );
    assert_eq!(
        env["LOCAL_RECOVER_FROM_ENCRYPTION_KEY"],
        primary.own()["LOCAL_STORAGE_ENCRYPTION_KEY"]
    );
    assert_ne!(
        env["LOCAL_RECOVER_FROM_ENCRYPTION_KEY"],
        env["LOCAL_STORAGE_ENCRYPTION_KEY"]
    );
    assert_eq!(env["LOCAL_STORAGE_ENCRYPTION_KEY"].len(), 64);
}

#[test]
fn keys_are_not_in_debug() {
    let folder = tempfile::tempdir().unwrap();
    let region = Region::folder("primary", folder.path().join("p")).unwrap();
    assert!(!format!("{region:?}").contains(&region.own()["LOCAL_STORAGE_ENCRYPTION_KEY"]));
}

#[tokio::test]
async fn a_new_bucket_has_no_keys() {
    let folder = tempfile::tempdir().unwrap();
    let region = Region::folder("primary", folder.path().join("p")).unwrap();
    assert!(region.keys("segments/").await.unwrap().is_empty());
    region.remove().await.unwrap();
}

#[tokio::test]
async fn a_container_in_azurite_is_a_bucket_by_its_variables() {
    let Some(azurite) = Azurite::for_tests().unwrap() else {
        return;
    };
    let run = RunName::new(rand::random(), 0);
    let region = Region::azurite("primary", &azurite, &run).await.unwrap();
    let variables = region.own();
    let config = BucketConfig::from_env(Role::Own, &|name| variables.get(name).cloned());
    let bucket = Bucket::open(config.unwrap().unwrap()).await.unwrap();
    bucket.put("segments/1/a", "x".into()).await.unwrap();
    assert_eq!(region.keys("segments/").await.unwrap(), ["segments/1/a"]);
    region.remove().await.unwrap();
    assert!(region.keys("segments/").await.is_err());
}
