#![allow(clippy::unwrap_used, clippy::expect_used)]

use backstay_pair::Side;

use super::*;
use crate::stage::{OPTIONS, Stage};

fn failing(found: &Whole) -> Vec<Check> {
    let bad = found.checks.iter().filter(|it| it.outcome != Outcome::Ok);
    bad.map(|it| it.check).collect()
}

#[tokio::test]
async fn each_object_that_is_gone_or_damaged_is_found_and_named() {
    let stage = Stage::new();
    let node = stage.start(Side::Primary, false).await;
    node.repository("r").await;
    node.snapshot().await;
    let segment = node.segment("r", "one").await;
    node.segment("r", "two").await;
    let bucket = stage.bucket(Side::Primary).await;
    let found = whole(&bucket, OPTIONS).await;
    assert!(found.ok, "{}", found.text());

    let root = stage.path(Side::Primary);
    // The last entries of a stream have nobody behind them that could say that they were there.
    let cases = [
        ("cluster.json".to_owned(), Check::OwnBucket),
        (segment, Check::Segments),
        (StreamId::Global.key(3), Check::Journal),
        (StreamId::Partition(0).key(1), Check::Journal),
    ];
    for (object, check) in cases {
        let path = root.join(&object);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let gone = whole(&bucket, OPTIONS).await;
        assert!(!gone.ok, "{object}");
        assert_eq!(failing(&gone), [check], "{object}: {}", gone.text());
        assert!(gone.text().contains(&object), "{object}: {}", gone.text());
        let mut flipped = bytes.clone();
        let at = flipped.len() * 2 / 3;
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let damaged = whole(&bucket, OPTIONS).await;
        assert!(!damaged.ok, "{object}");
        assert!(damaged.text().contains(&object), "{}", damaged.text());
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(whole(&bucket, OPTIONS).await.ok);
}
