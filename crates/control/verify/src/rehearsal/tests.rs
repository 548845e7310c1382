#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use backstay_global::recovery::outside::end_source;
use backstay_global::{GlobalLog, snapshot};
use backstay_pair::Side;
use backstay_retry::WriteGuard;
use tempfile::TempDir;

use super::*;
use crate::finding::{Check, Outcome};
use crate::recovery::{self, CHAIN};
use crate::stage::repository;

const KEY: &str = "the key of the primary";

/// A primary's bucket in a folder: two repositories, of which the second is in the journal only.
struct Primary {
    folder: TempDir,
}

impl Primary {
    async fn new() -> Self {
        let primary = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let log = primary.log().await;
        commit(&log, "before").await;
        snapshot::write(&primary.bucket().await, &log.state())
            .await
            .unwrap();
        commit(&log, "behind").await;
        primary
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("primary")
    }

    fn config(&self, key: &str, role: Role) -> BucketConfig {
        BucketConfig::local(self.path(), Secret::new(key), role)
    }

    async fn bucket(&self) -> Bucket {
        Bucket::open(self.config(KEY, Role::Own)).await.unwrap()
    }

    async fn log(&self) -> GlobalLog {
        let options = LoadOptions {
            own: self.bucket().await,
            recover_from: None,
            data_dir: self.folder.path().join("data"),
            writer: WriterId("primary".to_owned()),
            partitions: 2,
            multiple_endpoints: true,
            source_reading: Reading::default(),
        };
        load(&options).await.unwrap().log
    }

    fn from(&self, key: &str) -> RecoverFrom {
        RecoverFrom {
            bucket: self.config(key, Role::RecoverFrom),
            replace_region: None,
            replace_bucket: None,
            // The rehearsal must not seal, whatever it is told.
            without_seal: false,
        }
    }

    fn snapshot(&self) -> std::path::PathBuf {
        let all = contents(&self.path()).into_keys();
        let mut snapshots = all.filter(|it| it.ends_with("global-snapshot.json"));
        self.path().join(snapshots.next().unwrap())
    }
}

async fn commit(log: &GlobalLog, name: &str) {
    let events = || Ok(vec![repository(name)]);
    log.commit(|_| events()).await.unwrap();
}

/// Every file with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                all.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    all
}

/// Which check fails, with what it says.
fn failing(why: &Unrehearsed) -> (Check, String) {
    let findings = recovery::unrehearsed(Side::Secondary, why);
    assert_eq!(
        findings.iter().map(|it| it.check).collect::<Vec<_>>(),
        CHAIN
    );
    let fails: Vec<_> = findings
        .iter()
        .filter(|it| it.outcome == Outcome::Fails)
        .collect();
    let [one] = fails.as_slice() else {
        panic!("{findings:?}")
    };
    (one.check, one.sentence.clone())
}

#[tokio::test]
async fn snapshot_and_journal_are_loaded_and_nothing_is_written() {
    let primary = Primary::new().await;
    let before = contents(&primary.path());
    let done = rehearse(&primary.from(KEY), None)
        .await
        .unwrap_or_else(|why| panic!("{why:?}"));
    assert_eq!(contents(&primary.path()), before);
    let names: Vec<_> = done
        .state
        .repositories
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["before", "behind"]);
    let snapshot = done.snapshot.unwrap();
    assert_eq!(snapshot.epoch, 0);
    assert_eq!(done.read_to.offset, snapshot.offset + 1);
    assert_eq!(
        (done.unread, done.newest, done.lost.as_str()),
        (0, None, "")
    );
    assert!(done.expected >= done.took);
    // The primary goes on as if nothing had been.
    commit(&primary.log().await, "later").await;
    let done = rehearse(&primary.from(KEY), None)
        .await
        .unwrap_or_else(|why| panic!("{why:?}"));
    assert_eq!(done.state.repositories.len(), 3);
}

#[tokio::test]
async fn a_primary_without_a_snapshot_is_loaded_from_its_journal() {
    let primary = Primary::new().await;
    std::fs::remove_dir_all(primary.path().join("globalsnapshots")).unwrap();
    let done = rehearse(&primary.from(KEY), None)
        .await
        .unwrap_or_else(|why| panic!("{why:?}"));
    assert_eq!((done.snapshot, done.state.repositories.len()), (None, 2));
}

#[tokio::test]
async fn a_wrong_key_is_no_damage() {
    let primary = Primary::new().await;
    let why = rehearse(&primary.from("another"), None)
        .await
        .err()
        .unwrap();
    let (check, said) = failing(&why);
    assert_eq!(check, Check::EncryptionKey, "{said}");
    assert!(said.contains("LOCAL_RECOVER_FROM_ENCRYPTION_KEY"), "{said}");
}

#[tokio::test]
async fn damage_is_no_wrong_key() {
    let primary = Primary::new().await;
    let path = primary.snapshot();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.last_mut().unwrap();
    *last ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let why = rehearse(&primary.from(KEY), None).await.err().unwrap();
    let (check, said) = failing(&why);
    assert_eq!(check, Check::Snapshot, "{said}");
    assert!(said.contains("global-snapshot.json"), "{said}");
}

#[tokio::test]
async fn a_damaged_journal_is_named() {
    let primary = Primary::new().await;
    let all = contents(&primary.path());
    let last = all
        .keys()
        .rfind(|it| it.starts_with("journal/global/"))
        .unwrap();
    std::fs::write(
        primary.path().join(last),
        b"BACKSTAY and then nothing of it",
    )
    .unwrap();
    let why = rehearse(&primary.from(KEY), None).await.err().unwrap();
    let (check, said) = failing(&why);
    assert_eq!(check, Check::Journal, "{said}");
    assert!(said.contains(last.as_str()), "{said}");
}

#[tokio::test]
async fn an_empty_bucket_has_nothing_to_recover_and_none_is_not_reached() {
    let primary = Primary::new().await;
    std::fs::remove_dir_all(primary.path()).unwrap();
    let why = rehearse(&primary.from(KEY), None).await.err().unwrap();
    assert_eq!(failing(&why).0, Check::RecoverySource);
    std::fs::create_dir_all(primary.path()).unwrap();
    let why = rehearse(&primary.from(KEY), None).await.err().unwrap();
    assert_eq!(failing(&why).0, Check::Snapshot);
    assert!(contents(&primary.path()).is_empty());
}

/// After a failover the source is sealed in the standby's name; that is no third cluster.
#[tokio::test]
async fn a_seal_of_our_own_is_no_obstacle() {
    let primary = Primary::new().await;
    let folder = tempfile::tempdir().unwrap();
    let config = BucketConfig::local(folder.path(), Secret::new("a generated secret"), Role::Own);
    let own = Bucket::open(config).await.unwrap();
    let id = end_source(&primary.bucket().await, &own, &WriteGuard::unguarded())
        .await
        .unwrap();
    let before = contents(&primary.path());
    let done = rehearse(&primary.from(KEY), Some(&id))
        .await
        .unwrap_or_else(|why| panic!("{why:?}"));
    assert_eq!(done.state.repositories.len(), 2);
    let why = rehearse(&primary.from(KEY), None).await.err().unwrap();
    assert_eq!(failing(&why).0, Check::Journal);
    assert_eq!(contents(&primary.path()), before);
}

#[test]
fn what_is_expected_is_what_was_measured_and_the_seals() {
    let second = Duration::from_secs(1);
    assert_eq!(expected(5 * second, second, 0), 9 * second);
    assert_eq!(expected(5 * second, second, 8), 13 * second);
    assert_eq!(expected(5 * second, second, 9), 17 * second);
    assert_eq!(expected(5 * second, Duration::ZERO, 24), 5 * second);
    assert_eq!(
        expected(Duration::MAX, Duration::MAX, usize::MAX),
        Duration::MAX
    );
}
