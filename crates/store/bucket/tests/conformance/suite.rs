//! What every bucket must do, whatever is behind it.

use std::collections::BTreeSet;
use std::ops::Range;

use async_trait::async_trait;
use backstay_bucket::{Bucket, BucketConfig, Created, Error, Secret};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;

/// A store under test, with a way past the bucket to the stored bytes.
#[async_trait]
pub trait Backend: Send + Sync {
    /// A bucket with this prefix; the encryption key is the same each time.
    fn config(&self, prefix: &str) -> BucketConfig;
    /// The stored bytes of the object of this full name.
    async fn read_raw(&self, name: &str) -> Vec<u8>;
    /// Puts these bytes in its place.
    async fn write_raw(&self, name: &str, stored: Vec<u8>);
}

const CHUNK_BYTES: usize = 64 * 1024;
const HEADER_BYTES: usize = 40;

/// Bytes that differ from place to place, so that a wrong offset shows.
pub fn content(size: usize) -> Bytes {
    (0..size)
        .map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ (at >> 16) as u8)
        .collect::<Vec<u8>>()
        .into()
}

/// The whole suite, each part under a prefix of its own.
pub async fn run(backend: &dyn Backend) {
    round_trips(backend).await;
    ranges(backend).await;
    replacing(backend).await;
    put_if_absent_races(backend).await;
    missing_objects(backend).await;
    listing(backend).await;
    deleting(backend).await;
    streams(backend).await;
    prefixes(backend).await;
    names(backend).await;
    tampering(backend).await;
    wrong_key(backend).await;
}

async fn open(backend: &dyn Backend, prefix: &str) -> Bucket {
    Bucket::open(backend.config(prefix)).await.unwrap()
}

async fn keys(bucket: &Bucket, prefix: &str, after: Option<&str>) -> Vec<String> {
    let listed = bucket.list(prefix, after).map_ok(|object| object.key);
    listed.try_collect().await.unwrap()
}

async fn collect(bucket: &Bucket, key: &str) -> Result<Vec<u8>, Error> {
    let stream = bucket.get_stream(key).await?;
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat())
}

async fn round_trips(backend: &dyn Backend) {
    let bucket = open(backend, "round/").await;
    for size in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES,
        // Above the size of one request, for reading as for writing.
        8 * 1024 * 1024 + 3 * CHUNK_BYTES + 17,
    ] {
        let data = content(size);
        bucket.put("object", data.clone()).await.unwrap();
        assert_eq!(bucket.get("object").await.unwrap(), data, "{size}");
        assert_eq!(collect(&bucket, "object").await.unwrap(), data, "{size}");
        let info = bucket.head("object").await.unwrap();
        assert_eq!(info.key, "object");
        assert_eq!(info.size, size as u64);
        assert!(info.stored_size > info.size);
        let listed: Vec<_> = bucket.list("", None).try_collect().await.unwrap();
        assert_eq!(listed, [info]);
        assert!(bucket.exists("object").await.unwrap());
    }
}

async fn ranges(backend: &dyn Backend) {
    let bucket = open(backend, "ranges/").await;
    let size = 10 * 1024 * 1024 + 5;
    let data = content(size);
    bucket.put("object", data.clone()).await.unwrap();
    let chunk = CHUNK_BYTES;
    for Range { start, end } in [
        0..1,
        0..size,
        0..chunk,
        1..chunk + 1,
        chunk - 1..chunk + 1,
        chunk..2 * chunk,
        3 * chunk + 5..3 * chunk + 6,
        chunk..chunk,
        size..size,
        0..0,
        size - 1..size,
        // Above the size of one request.
        5..9 * 1024 * 1024,
        chunk + 7..size,
    ] {
        let read = bucket
            .get_range("object", start as u64..end as u64)
            .await
            .unwrap();
        assert!(read == data[start..end], "{start}..{end}");
    }
    let size = size as u64;
    for limit in [0, 1, CHUNK_BYTES as u64, size - 1, size, 2 * size] {
        let read = bucket.get_small("object", limit).await.unwrap();
        assert_eq!(read.is_some(), limit >= size, "{limit}");
        assert!(read.is_none_or(|read| read == data), "{limit}");
    }
    for (bytes, chunks) in [(0, 1), (1, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2)] {
        let start = bucket.get_start("object", bytes as u64).await.unwrap();
        assert!(start == data.slice(..chunks * CHUNK_BYTES), "{bytes}");
    }
    let small = data.slice(..CHUNK_BYTES + 1);
    bucket.put("small", small.clone()).await.unwrap();
    let start = bucket.get_start("small", size).await.unwrap();
    assert!(start == small);
    for limit in [0, CHUNK_BYTES as u64, CHUNK_BYTES as u64 + 1, size] {
        let read = bucket.get_small("small", limit).await.unwrap();
        let expected = (limit > CHUNK_BYTES as u64).then(|| small.clone());
        assert!(read == expected, "{limit}");
    }
    #[allow(clippy::reversed_empty_ranges)]
    for range in [
        0..size + 1,
        size..size + 1,
        size + 1..size + 1,
        size - 1..size + 100 * CHUNK_BYTES as u64,
        10 * size..10 * size + 1,
        u64::MAX - 1..u64::MAX,
        5..4,
    ] {
        let error = bucket.get_range("object", range.clone()).await.unwrap_err();
        assert!(
            matches!(error, Error::OutOfRange { size: has, .. } if has == size),
            "{range:?}: {error}"
        );
    }
    bucket.put("empty", Bytes::new()).await.unwrap();
    assert_eq!(bucket.get_range("empty", 0..0).await.unwrap().len(), 0);
    assert!(matches!(
        bucket.get_range("empty", 0..1).await,
        Err(Error::OutOfRange { size: 0, .. })
    ));
}

async fn replacing(backend: &dyn Backend) {
    let bucket = open(backend, "replacing/").await;
    for size in [100, 10, 1000] {
        bucket.put("object", content(size)).await.unwrap();
        assert_eq!(bucket.get("object").await.unwrap(), content(size));
    }
}

/// Eight writers, each with a client of its own, race for the same names.
async fn put_if_absent_races(backend: &dyn Backend) {
    let buckets = join_all((0..8).map(|_| open(backend, "races/"))).await;
    for slot in 0..40 {
        let key = format!("journal/0000/{slot:020}");
        let tries = join_all(buckets.iter().enumerate().map(|(writer, bucket)| {
            bucket.put_if_absent(&key, Bytes::from(format!("writer {writer}")))
        }))
        .await;
        let winners: Vec<usize> = tries
            .into_iter()
            .map(Result::unwrap)
            .enumerate()
            .filter(|(_, created)| *created == Created::New)
            .map(|(writer, _)| writer)
            .collect();
        assert_eq!(winners.len(), 1, "{key}: {winners:?}");
        let stored = buckets[0].get(&key).await.unwrap();
        assert_eq!(stored, format!("writer {}", winners[0]));
    }
    // Late comers lose as well, and change nothing.
    let key = "journal/0000/00000000000000000000";
    let before = buckets[0].get(key).await.unwrap();
    let late = buckets[1].put_if_absent(key, content(10)).await.unwrap();
    assert_eq!(late, Created::AlreadyExists);
    assert_eq!(buckets[2].get(key).await.unwrap(), before);
    // A name is free again when its object is deleted.
    buckets[3].delete(key).await.unwrap();
    let again = buckets[4].put_if_absent(key, content(10)).await.unwrap();
    assert_eq!(again, Created::New);
}

async fn missing_objects(backend: &dyn Backend) {
    let bucket = open(backend, "missing/").await;
    let is_missing = |error: Error| {
        assert!(error.is_missing(), "{error}");
        assert!(error.to_string().contains("missing/no/such"), "{error}");
    };
    is_missing(bucket.get("no/such").await.unwrap_err());
    is_missing(bucket.get_small("no/such", 1).await.unwrap_err());
    is_missing(bucket.get_start("no/such", 1).await.unwrap_err());
    is_missing(bucket.get_range("no/such", 0..1).await.unwrap_err());
    is_missing(
        bucket
            .get_range("no/such", 200_000..200_001)
            .await
            .unwrap_err(),
    );
    is_missing(bucket.head("no/such").await.unwrap_err());
    is_missing(bucket.get_stream("no/such").await.map(drop).unwrap_err());
    assert!(!bucket.exists("no/such").await.unwrap());
    // A folder is no object.
    bucket.put("no/such/object", content(1)).await.unwrap();
    is_missing(bucket.get("no/such").await.unwrap_err());
}

async fn listing(backend: &dyn Backend) {
    let bucket = open(backend, "listing/").await;
    assert_eq!(keys(&bucket, "", None).await, Vec::<String>::new());
    assert_eq!(bucket.list_dirs("").await.unwrap(), Vec::<String>::new());
    let mut all: Vec<String> = (0..150)
        .map(|at| format!("journal/global/{at:020}"))
        .collect();
    for key in [
        "globalsnapshots/a/0-1/global-snapshot.json",
        "globalsnapshots/a-b/0-1/global-snapshot.json",
        "globalsnapshots/b/0-1/global-snapshot.json",
        "journal/0001/x",
        "journal-mark",
        "zebra",
    ] {
        all.push(key.to_owned());
    }
    join_all(all.iter().map(|key| bucket.put(key, content(3))))
        .await
        .into_iter()
        .for_each(Result::unwrap);
    all.sort();
    let expected = |prefix: &str, after: Option<&str>| -> Vec<String> {
        let wanted = |key: &&String| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        };
        all.iter().filter(wanted).cloned().collect()
    };
    for (prefix, after) in [
        ("", None),
        ("journal/", None),
        ("journal", None),
        ("journal/global/", None),
        ("journal/global/0000000000000000001", None),
        (
            "journal/global/",
            Some("journal/global/00000000000000000100"),
        ),
        (
            "journal/global/",
            Some("journal/global/00000000000000000149"),
        ),
        ("journal/global/", Some("journal/")),
        ("", Some("journal/0001/x")),
        ("globalsnapshots/a/", None),
        ("nothing/", None),
        ("nothing", None),
    ] {
        assert_eq!(
            keys(&bucket, prefix, after).await,
            expected(prefix, after),
            "{prefix:?} after {after:?}"
        );
    }
    for (prefix, folders) in [
        ("", vec!["globalsnapshots", "journal"]),
        ("globalsnapshots/", vec!["a", "a-b", "b"]),
        ("globalsnapshots", vec!["a", "a-b", "b"]),
        ("globalsnapshots/a/", vec!["0-1"]),
        ("journal/global/", vec![]),
        ("nothing/", vec![]),
    ] {
        assert_eq!(bucket.list_dirs(prefix).await.unwrap(), folders, "{prefix}");
    }
}

async fn deleting(backend: &dyn Backend) {
    let bucket = open(backend, "deleting/").await;
    bucket.put("kept", content(1)).await.unwrap();
    bucket.put("one", content(1)).await.unwrap();
    for _ in 0..3 {
        bucket.delete("one").await.unwrap();
        assert!(!bucket.exists("one").await.unwrap());
    }
    // More than one batch, with some that are not there.
    let many: Vec<String> = (0..300).map(|at| format!("many/{at:03}")).collect();
    join_all(many.iter().skip(20).map(|key| bucket.put(key, content(1))))
        .await
        .into_iter()
        .for_each(Result::unwrap);
    bucket.delete_all(many.clone()).await.unwrap();
    assert_eq!(keys(&bucket, "", None).await, ["kept"]);
    bucket.delete_all(many).await.unwrap();
    bucket.delete_all(Vec::new()).await.unwrap();
    assert_eq!(keys(&bucket, "", None).await, ["kept"]);
}

async fn streams(backend: &dyn Backend) {
    let bucket = open(backend, "streams/").await;
    let part = 8 * 1024 * 1024;
    for (size, step) in [
        (0, 1),
        (10, 3),
        (2 * CHUNK_BYTES, CHUNK_BYTES),
        (2 * CHUNK_BYTES + 1, 1000),
        (part, 1_000_000),
        (2 * part + 12345, 3_000_000),
    ] {
        let data = content(size);
        let mut writer = bucket.put_stream("object").await.unwrap();
        for piece in data.chunks(step) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writer.finish().await.unwrap();
        assert!(collect(&bucket, "object").await.unwrap() == data, "{size}");
        assert!(bucket.get("object").await.unwrap() == data, "{size}");
        assert_eq!(bucket.head("object").await.unwrap().size, size as u64);
    }
    // What is not finished does not appear.
    for size in [10, 2 * part] {
        let mut aborted = bucket.put_stream("aborted").await.unwrap();
        aborted.write(content(size)).await.unwrap();
        let mut dropped = bucket.put_stream("dropped").await.unwrap();
        dropped.write(content(size)).await.unwrap();
        aborted.abort().await.unwrap();
        drop(dropped);
        assert_eq!(keys(&bucket, "", None).await, ["object"]);
        assert!(!bucket.exists("aborted").await.unwrap());
        assert!(!bucket.exists("dropped").await.unwrap());
    }
}

/// A prefix is put in front of the key as it is, with or without a slash.
async fn prefixes(backend: &dyn Backend) {
    let (one, two) = (
        open(backend, "z1-pri/").await,
        open(backend, "z1-sec/").await,
    );
    let bare = open(backend, "z1-").await;
    one.put("globalsnapshots/x", content(1)).await.unwrap();
    two.put("globalsnapshots/y", content(2)).await.unwrap();
    bare.put("z", content(3)).await.unwrap();
    assert_eq!(keys(&one, "", None).await, ["globalsnapshots/x"]);
    assert_eq!(keys(&two, "", None).await, ["globalsnapshots/y"]);
    assert_eq!(
        keys(&bare, "", None).await,
        ["pri/globalsnapshots/x", "sec/globalsnapshots/y", "z"]
    );
    assert_eq!(bare.get("pri/globalsnapshots/x").await.unwrap(), content(1));
    assert_eq!(two.list_dirs("").await.unwrap(), ["globalsnapshots"]);
}

async fn names(backend: &dyn Backend) {
    let bucket = open(backend, "names/").await;
    for key in ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a#1"] {
        assert!(
            matches!(bucket.put(key, content(1)).await, Err(Error::Name { .. })),
            "{key:?}"
        );
        assert!(
            matches!(bucket.get(key).await, Err(Error::Name { .. })),
            "{key:?}"
        );
    }
    for key in ["a b", "ü", "a+b", "a=b&c", "x.y_z-0~"] {
        bucket.put(key, content(5)).await.unwrap();
        assert_eq!(bucket.get(key).await.unwrap(), content(5), "{key:?}");
        assert_eq!(keys(&bucket, key, None).await, [key]);
        bucket.delete(key).await.unwrap();
    }
}

async fn tampering(backend: &dyn Backend) {
    let bucket = open(backend, "tampering/").await;
    let data = content(3 * CHUNK_BYTES + 100);
    bucket.put("object", data.clone()).await.unwrap();
    bucket
        .put("other", content(3 * CHUNK_BYTES + 100))
        .await
        .unwrap();
    let stored = backend.read_raw("tampering/object").await;
    let other = backend.read_raw("tampering/other").await;
    let sealed = CHUNK_BYTES + 16;
    let flipped = |at: usize| {
        let mut stored = stored.clone();
        stored[at] ^= 1;
        stored
    };
    let mut exchanged = stored.clone();
    exchanged[HEADER_BYTES..HEADER_BYTES + sealed]
        .copy_from_slice(&stored[HEADER_BYTES + sealed..HEADER_BYTES + 2 * sealed]);
    for (what, altered) in [
        ("a flipped bit in the magic", flipped(0)),
        ("a flipped bit in the key id", flipped(10)),
        ("a flipped bit in the salt", flipped(20)),
        ("a flipped bit in the first chunk", flipped(HEADER_BYTES)),
        (
            "a flipped bit in a middle chunk",
            flipped(HEADER_BYTES + sealed + 9),
        ),
        ("a flipped bit in the last tag", flipped(stored.len() - 1)),
        ("a byte less", stored[..stored.len() - 1].to_vec()),
        (
            "the last chunk missing",
            stored[..HEADER_BYTES + 3 * sealed].to_vec(),
        ),
        ("cut in the header", stored[..HEADER_BYTES / 2].to_vec()),
        ("only the header", stored[..HEADER_BYTES].to_vec()),
        ("nothing left", Vec::new()),
        ("a byte more", [&stored[..], &[0]].concat()),
        ("a chunk in another's place", exchanged),
        ("another object", other),
        ("foreign bytes", vec![7; 5000]),
    ] {
        backend.write_raw("tampering/object", altered).await;
        let is_corrupt = |error: &Error| match error {
            Error::Corrupt { object, .. } => object == "tampering/object",
            _ => false,
        };
        let error = bucket.get("object").await.unwrap_err();
        assert!(is_corrupt(&error), "{what}: {error}");
        let error = collect(&bucket, "object").await.unwrap_err();
        assert!(is_corrupt(&error), "{what}: {error}");
        // A range either is an error or exactly what was written there: never anything else.
        for range in [
            0..10,
            CHUNK_BYTES..CHUNK_BYTES + 10,
            3 * CHUNK_BYTES..3 * CHUNK_BYTES + 100,
        ] {
            match bucket
                .get_range("object", range.start as u64..range.end as u64)
                .await
            {
                Ok(read) => assert_eq!(read, data[range], "{what}"),
                Err(Error::Corrupt { .. } | Error::OutOfRange { .. }) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
        // It can still be seen and deleted.
        assert_eq!(
            keys(&bucket, "", None)
                .await
                .into_iter()
                .collect::<BTreeSet<_>>()
                .len(),
            2
        );
    }
    backend.write_raw("tampering/object", stored).await;
    assert_eq!(bucket.get("object").await.unwrap(), data);
    bucket.delete("object").await.unwrap();
}

async fn wrong_key(backend: &dyn Backend) {
    let bucket = open(backend, "keys/").await;
    bucket.put("object", content(100)).await.unwrap();
    let config = BucketConfig {
        encryption_key: Secret::new("not the key"),
        ..backend.config("keys/")
    };
    let variable = config.encryption_key_variable();
    let stranger = Bucket::open(config).await.unwrap();
    for error in [
        stranger.get("object").await.unwrap_err(),
        stranger.get_range("object", 0..5).await.unwrap_err(),
        stranger.get_stream("object").await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::WrongKey { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("keys/object") && text.contains(&variable));
        assert!(!text.contains("not the key"));
    }
    assert_eq!(keys(&stranger, "", None).await, ["object"]);
}
