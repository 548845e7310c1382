//! A region of these tests: a folder bucket and a data folder.

use std::path::PathBuf;

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_global::recovery::{LoadError, LoadOptions, Loaded, RecoverFrom, load};
use backstay_global::{CommitError, Event, GlobalLog, Repository, RepositoryId, State, snapshot};
use backstay_journal::{Reading, WriterId};
use tempfile::TempDir;
use uuid::Uuid;

pub struct Region {
    pub folder: TempDir,
    pub name: &'static str,
}

impl Region {
    pub fn new(name: &'static str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            name,
        }
    }

    pub fn config(&self, role: Role) -> BucketConfig {
        let path = self.folder.path().join(self.name);
        std::fs::create_dir_all(&path).unwrap();
        BucketConfig::local(
            path,
            format!("the encryption key of {}", self.name).into(),
            role,
        )
    }

    pub async fn bucket(&self) -> Bucket {
        Bucket::open(self.config(Role::Own)).await.unwrap()
    }

    pub fn data(&self) -> PathBuf {
        let path = self.folder.path().join("data");
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub async fn options(&self, from: Option<&Region>) -> LoadOptions {
        LoadOptions {
            own: self.bucket().await,
            recover_from: from.map(|from| RecoverFrom {
                bucket: from.config(Role::RecoverFrom),
                replace_region: None,
                replace_bucket: None,
                without_seal: false,
            }),
            data_dir: self.data(),
            writer: WriterId(Uuid::new_v4().to_string()),
            partitions: 2,
            multiple_endpoints: true,
            source_reading: Reading::default(),
        }
    }

    pub async fn start(&self, from: Option<&Region>) -> Result<Loaded, LoadError> {
        load(&self.options(from).await).await
    }

    pub async fn snapshot(&self, log: &GlobalLog) {
        snapshot::write(&self.bucket().await, &log.state())
            .await
            .unwrap();
    }

    pub fn forget_snapshots(&self) {
        let path = self.folder.path().join(self.name);
        let _ = std::fs::remove_dir_all(path.join("globalsnapshots"));
    }

    pub fn forget_data(&self) {
        std::fs::remove_dir_all(self.data()).unwrap();
    }
}

pub fn created(name: &str) -> Event {
    Event::RepositoryCreated {
        repository: Repository {
            id: RepositoryId::from(format!("id-{}", name.replace(' ', "-"))),
            name: name.to_owned(),
            description: None,
            retention_days: None,
            retention_bytes: None,
            created_ms: 1,
            extra: Default::default(),
        },
    }
}

pub async fn create(log: &GlobalLog, name: &str) -> Result<(), CommitError> {
    log.commit(|_| Ok(vec![created(name)])).await.map(|_| ())
}

pub fn names(state: &State) -> Vec<&str> {
    state
        .repositories
        .iter()
        .map(|it| it.name.as_str())
        .collect()
}

/// How many entries all streams of the region have.
pub fn entries(region: &Region) -> usize {
    let global = region.folder.path().join(region.name).join("journal");
    walk(&global)
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}
