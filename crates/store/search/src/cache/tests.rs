#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::Unbounded;

struct Counting {
    id: String,
    bytes: Vec<u8>,
    reads: AtomicUsize,
}

impl Counting {
    fn new(id: &str, length: usize) -> Arc<Self> {
        let seed = id.len();
        Arc::new(Self {
            id: id.to_owned(),
            bytes: (0..length).map(|n| (n * 31 + seed) as u8).collect(),
            reads: AtomicUsize::new(0),
        })
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl SegmentSource for Counting {
    fn id(&self) -> &str {
        &self.id
    }
    fn start_ms(&self) -> i64 {
        1
    }
    fn end_ms(&self) -> i64 {
        2
    }
    async fn size(&self) -> Result<u64, SourceError> {
        Ok(self.bytes.len() as u64)
    }
    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let range = range.start as usize..range.end as usize;
        let bytes = self
            .bytes
            .get(range)
            .ok_or_else(|| SourceError::new("outside"))?;
        Ok(Bytes::copy_from_slice(bytes))
    }
}

async fn cache_in(folder: PathBuf, max_bytes: u64) -> std::io::Result<DiskCache> {
    DiskCache::new(folder, max_bytes, Arc::new(Unbounded)).await
}

async fn read(cache: &DiskCache, source: &Arc<Counting>, range: Range<u64>) {
    let cached = cache.wrap(source.clone());
    assert_eq!(cached.size().await.unwrap(), source.bytes.len() as u64);
    cached.bring().await.unwrap();
    let bytes = cached.read(range.clone()).await.unwrap();
    assert_eq!(
        bytes,
        source.bytes[range.start as usize..range.end as usize]
    );
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect()
}

#[tokio::test]
async fn reads_a_segment_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache_in(dir.path().join("cache"), 10_000).await.unwrap();
    let source = Counting::new("a/b c", 1000);
    for range in [0..10, 990..1000, 0..1000, 5..5] {
        read(&cache, &source, range).await;
    }
    assert_eq!(source.reads(), 1);
    assert_eq!(cache.bytes(), 1000);
}

#[tokio::test]
async fn searches_at_the_same_time_bring_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache_in(dir.path().to_owned(), 10_000).await.unwrap();
    let source = Counting::new("a", 1000);
    futures::future::join_all((0..20).map(|n| read(&cache, &source, n..n + 10))).await;
    assert_eq!(source.reads(), 1);
}

#[tokio::test]
async fn the_one_used_longest_ago_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache_in(dir.path().to_owned(), 2500).await.unwrap();
    let [a, bb, ccc] = ["a", "bb", "ccc"].map(|id| Counting::new(id, 1000));
    read(&cache, &a, 0..1).await;
    read(&cache, &bb, 0..1).await;
    read(&cache, &a, 0..1).await;
    read(&cache, &ccc, 0..1).await;
    assert_eq!(cache.bytes(), 2000);
    assert_eq!(files(dir.path()).len(), 2);
    read(&cache, &a, 0..1).await;
    assert_eq!((a.reads(), bb.reads()), (1, 1));
    read(&cache, &bb, 0..1).await;
    assert_eq!(bb.reads(), 2);
}

#[tokio::test]
async fn survives_a_restart_within_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let sources = ["a", "bb", "ccc"].map(|id| Counting::new(id, 1000));
    let cache = cache_in(dir.path().to_owned(), 5000).await.unwrap();
    for source in &sources {
        read(&cache, source, 0..1).await;
    }
    drop(cache);
    fs::write(dir.path().join("9.part"), "half").unwrap();
    fs::write(dir.path().join("notes.txt"), "of someone else").unwrap();

    let cache = cache_in(dir.path().to_owned(), 5000).await.unwrap();
    for source in &sources {
        read(&cache, source, 100..200).await;
        assert_eq!(source.reads(), 1);
    }
    assert!(!dir.path().join("9.part").exists());
    assert!(dir.path().join("notes.txt").exists());
    drop(cache);

    let cache = cache_in(dir.path().to_owned(), 1000).await.unwrap();
    assert_eq!(cache.bytes(), 1000);
}

#[tokio::test]
async fn a_file_that_rotted_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let source = Counting::new("a", 1000);
    for damage in [
        |bytes: &mut Vec<u8>| bytes[700] ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(500),
        |bytes: &mut Vec<u8>| bytes.clear(),
    ] {
        let cache = cache_in(dir.path().to_owned(), 5000).await.unwrap();
        read(&cache, &source, 0..1).await;
        let before = source.reads();
        drop(cache);
        let file = files(dir.path()).remove(0);
        let mut bytes = fs::read(&file).unwrap();
        damage(&mut bytes);
        fs::write(&file, bytes).unwrap();

        let cache = cache_in(dir.path().to_owned(), 5000).await.unwrap();
        read(&cache, &source, 600..1000).await;
        assert_eq!(source.reads(), before + 1);
        assert_eq!(cache.bytes(), 1000);
    }
}

#[tokio::test]
async fn a_file_that_someone_removed_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache_in(dir.path().to_owned(), 5000).await.unwrap();
    let source = Counting::new("a", 1000);
    read(&cache, &source, 0..1).await;
    fs::remove_file(files(dir.path()).remove(0)).unwrap();
    read(&cache, &source, 0..1000).await;
    assert_eq!(source.reads(), 2);
}

#[tokio::test]
async fn what_does_not_fit_or_cannot_be_written_is_read_from_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache_in(dir.path().join("cache"), 500).await.unwrap();
    let large = Counting::new("large", 1000);
    read(&cache, &large, 0..10).await;
    read(&cache, &large, 0..10).await;
    assert_eq!((large.reads(), cache.bytes()), (2, 0));

    fs::remove_dir_all(dir.path().join("cache")).unwrap();
    let small = Counting::new("small", 100);
    read(&cache, &small, 0..10).await;
    read(&cache, &small, 0..10).await;
    // One try to bring it, then only what is asked for.
    assert_eq!((small.reads(), cache.bytes()), (3, 0));
}

#[tokio::test]
async fn errors_of_the_source_are_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache_in(dir.path().to_owned(), 5000).await.unwrap();
    let source = Counting::new("a", 1000);
    let error = cache
        .wrap(source.clone())
        .read(900..1100)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "outside");
    read(&cache, &source, 0..10).await;
}

#[tokio::test]
async fn only_its_user_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| {
        let metadata = std::fs::metadata(path).unwrap();
        metadata.permissions().mode() & 0o777
    };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cache");
    let source = Counting::new("a", 100);
    let open = || cache_in(folder.clone(), 10_000);
    let cache = open().await.unwrap();
    read(&cache, &source, 0..10).await;
    let file = || {
        let mut files = std::fs::read_dir(&folder).unwrap();
        files.next().unwrap().unwrap().path()
    };
    assert_eq!((mode(&folder), mode(&file())), (0o700, 0o600));
    // What an earlier version left is closed when it is opened.
    for (path, open) in [(folder.clone(), 0o755), (file(), 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(open)).unwrap();
    }
    open().await.unwrap();
    assert_eq!((mode(&folder), mode(&file())), (0o700, 0o600));
}
