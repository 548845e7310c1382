//! The journal's suite over buckets: a folder always, and a real Azurite where there is one.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_global::journal_over;
use backstay_journal::WriterId;
use backstay_lab::region::{Azurite, Region};
use backstay_lab::workload::RunName;
use backstay_testkit::journal::conforms;

async fn conforms_over(region: &Region) {
    let variables = region.own();
    let config = BucketConfig::from_env(Role::Own, &|name| variables.get(name).cloned())
        .unwrap()
        .unwrap();
    let bucket = Bucket::open(config).await.unwrap();
    let journal = journal_over(&bucket, WriterId("the suite makes its own".to_owned()));
    conforms(Arc::clone(journal.store())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let region = Region::folder("east", folder.path().join("bucket")).unwrap();
    conforms_over(&region).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azurite() {
    let Some(azurite) = Azurite::for_tests().unwrap() else {
        return;
    };
    let run = RunName::new(rand::random(), 0);
    let region = Region::azurite("east", &azurite, &run).await.unwrap();
    conforms_over(&region).await;
    region.remove().await.unwrap();
}
