//! The documents on disk: one redb database.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde_json::Value;

use super::history::{Change, ChangeKind};
use super::world::{Documents, Key};
use crate::kind::{Kind, Served};

/// `<group>/<plural>/<namespace>/<name>` → JSON.
const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// The last version given.
const VERSION: &str = "version";
const FILE: &str = "kubernetes.redb";
/// redb keeps a gigabyte of pages by default; all documents are in memory already.
const CACHE_BYTES: usize = 8 << 20;

/// Why the documents cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file.
    #[error("{path}: {source}; it must be a folder that this user may write to")]
    Folder {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// The database.
    #[error(
        "{path}: {source}; if another process serves it, stop that one; if it is damaged, remove it and provision the region again"
    )]
    Database {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the database library reports.
        #[source]
        source: Box<redb::Error>,
    },
    /// A document in it.
    #[error(
        "{path}: {key} is not a document of a known kind: {problem}; it was written by another version of Backstay"
    )]
    Document {
        /// The database's file.
        path: PathBuf,
        /// The document's key in the database.
        key: String,
        /// What is wrong, in words for the message.
        problem: String,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes: {0}")]
    Thread(#[source] std::io::Error),
}

pub(super) struct Disk {
    database: Database,
}

impl Disk {
    /// The database in `folder`, its documents and its last version. The folder is for its owner
    /// only: secrets are among the documents.
    pub(super) fn open(folder: &Path) -> Result<(Self, Documents, u64), StoreError> {
        let path = folder.join(FILE);
        let refused = |source| StoreError::Folder {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(folder).map_err(refused)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(refused)?;
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(refused)?;
        let broken = |source: redb::Error| StoreError::Database {
            path: path.clone(),
            source: Box::new(source),
        };
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(&path)
            .map_err(|error| broken(error.into()))?;
        prepare(&database).map_err(broken)?;
        let (written, version) = read(&database).map_err(broken)?;
        let built_in = Served::default();
        let defines = |key: &str| parse_key(&built_in, key).is_some_and(|key| key.kind.defines());
        // Definitions first: they say which kinds the others are of.
        let (definitions, others): (Written, Written) =
            written.into_iter().partition(|(key, _)| defines(key));
        let mut documents = Documents::new();
        place(&mut documents, &built_in, definitions, &path)?;
        let kinds = super::served(&documents);
        place(&mut documents, &kinds, others, &path)?;
        Ok((Self { database }, documents, version))
    }

    /// Makes changes durable, all or none.
    pub(super) fn commit(&self, changes: &[Change], version: u64) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut documents = transaction.open_table(DOCUMENTS)?;
            for change in changes {
                let key = written_key(&change.key);
                if change.kind == ChangeKind::Deleted {
                    documents.remove(key.as_str())?;
                } else {
                    let bytes = change.document.to_string();
                    documents.insert(key.as_str(), bytes.as_bytes())?;
                }
            }
            transaction.open_table(NUMBERS)?.insert(VERSION, version)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(DOCUMENTS)?;
    transaction.open_table(NUMBERS)?;
    transaction.commit()?;
    Ok(())
}

type Written = Vec<(String, Vec<u8>)>;

fn read(database: &Database) -> Result<(Written, u64), redb::Error> {
    let transaction = database.begin_read()?;
    let version = transaction
        .open_table(NUMBERS)?
        .get(VERSION)?
        .map_or(0, |version| version.value());
    let mut written = Vec::new();
    for entry in transaction.open_table(DOCUMENTS)?.iter()? {
        let (key, bytes) = entry?;
        written.push((key.value().to_owned(), bytes.value().to_owned()));
    }
    Ok((written, version))
}

fn written_key(key: &Key) -> String {
    let Kind { group, plural, .. } = key.kind;
    format!("{group}/{plural}/{}/{}", key.namespace, key.name)
}

/// Puts what was written among the documents.
fn place(
    documents: &mut Documents,
    kinds: &Served,
    written: Written,
    path: &Path,
) -> Result<(), StoreError> {
    for (key, bytes) in written {
        let wrong = |problem: String| StoreError::Document {
            path: path.to_owned(),
            key: key.clone(),
            problem,
        };
        let place = parse_key(kinds, &key).ok_or_else(|| wrong("no such kind".to_owned()))?;
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        documents.insert(&place, Arc::new(document));
    }
    Ok(())
}

fn parse_key(kinds: &Served, written: &str) -> Option<Key> {
    let mut parts = written.splitn(4, '/');
    let (group, plural) = (parts.next()?, parts.next()?);
    let (namespace, name) = (parts.next()?, parts.next()?);
    let kind = kinds
        .all()
        .find(|kind| kind.group == group && kind.plural == plural)?;
    Some(Key::new(kind, namespace, name))
}
