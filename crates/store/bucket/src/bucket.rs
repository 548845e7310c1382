//! The operations of a bucket.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::fault::{self, Stop};
use crate::retry::Attempts;
use crate::seal::{CHUNK_BYTES, Keys, Layout, Sealer};
use crate::store::{self, Store};
use crate::writer::PART_BYTES;
use crate::{BucketConfig, Error, ObjectWriter, Result, Role};

mod list;
mod probe;
mod read;
mod staging;

/// An object that is replaced while it is read is read so many times before it is an error.
const MAX_READ_ATTEMPTS: usize = 5;
/// Objects in one batch of deletions: what Azure takes.
const PARALLEL_DELETES: usize = 256;
/// Chunks that are sealed before others get their turn on this thread: 4 MiB.
const CHUNKS_PER_TURN: usize = 64;

/// What a put-if-absent found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object was absent and is there now.
    New,
    /// There is an object of that name. It may be one's own: a request whose answer was lost is
    /// repeated. Read it to know.
    AlreadyExists,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key, relative to the prefix.
    pub key: String,
    /// Its size in bytes, unencrypted. In a listing it is 0 for a foreign or damaged object whose
    /// stored size no object of ours has; reading that one is an error.
    pub size: u64,
    /// Its size in bytes as it is stored.
    pub stored_size: u64,
    /// When it was written, by the store's clock.
    pub modified: DateTime<Utc>,
}

/// An open bucket. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: BucketConfig,
    pub(crate) store: Store,
    keys: Keys,
    /// Nothing is written or deleted.
    read_only: bool,
}

impl Bucket {
    /// Opens a bucket: reaches the container and, for the cluster's own, tries put-if-absent with an
    /// object of its own below `probes/`, which it deletes again.
    ///
    /// # Errors
    /// [`Error::NoContainer`], [`Error::Denied`], [`Error::Unreachable`] (after the deadline),
    /// [`Error::NoPutIfAbsent`], [`Error::NoSpace`]; [`Error::Config`] when a credential is
    /// unusable or the encryption key is empty.
    pub async fn open(config: BucketConfig) -> Result<Self> {
        let own = config.role == Role::Own;
        let bucket = Self::build(config, false)?;
        bucket.reach().await?;
        if own {
            bucket.try_put_if_absent().await?;
        }
        Ok(bucket)
    }

    /// Opens a bucket to look at it: reaches the container and writes nothing, not even a probe.
    /// Whatever would write or delete is refused with [`Error::ReadOnly`] before anything is sent.
    ///
    /// # Errors
    /// As [`Bucket::open`], except those of writing.
    pub async fn open_to_read(config: BucketConfig) -> Result<Self> {
        let bucket = Self::build(config, true)?;
        bucket.reach().await?;
        Ok(bucket)
    }

    fn build(config: BucketConfig, read_only: bool) -> Result<Self> {
        if config.encryption_key.expose().is_empty() {
            return Err(Error::Config {
                variable: config.encryption_key_variable(),
                problem: "it is empty; set it to the cluster's encryption key".to_owned(),
            });
        }
        let keys = Keys::derive(&config.encryption_key)
            .map_err(|source| fault::refused(&config, &config.container, source))?;
        let store = store::build(&config, config.role == Role::Own && !read_only)?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                store,
                keys,
                read_only,
            }),
        })
    }

    /// What it was opened with.
    pub fn config(&self) -> &BucketConfig {
        &self.inner.config
    }

    /// Writes an object; one of that name is replaced. It is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Unreachable`] (whether it took effect is unknown then), [`Error::Denied`],
    /// [`Error::NoSpace`], [`Error::NoContainer`], [`Error::Name`], [`Error::Refused`].
    pub async fn put(&self, key: &str, data: Bytes) -> Result<()> {
        if data.len() > PART_BYTES {
            let mut writer = self.put_stream(key).await?;
            writer.write(data).await?;
            return writer.finish().await;
        }
        let inner = &self.inner;
        let (name, path) = inner.to_write(key)?;
        let sealed = inner.seal(&name, &data).await?;
        inner
            .put_sealed(&name, &path, sealed, PutMode::Overwrite)
            .await
            .map_err(|stop| inner.error(&name, stop))
    }

    /// Writes an object if none of that name exists, in one atomic step: of any number of writers,
    /// on any number of machines, exactly one creates it. It is durable when this returns.
    ///
    /// # Errors
    /// As [`Bucket::put`]. A refusal that does not say that the object exists is looked into, and
    /// the put repeated if it does not. After [`Error::Unreachable`] it is unknown whether it took effect, and
    /// it may even take effect later.
    pub async fn put_if_absent(&self, key: &str, data: Bytes) -> Result<Created> {
        let inner = &self.inner;
        let (name, path) = inner.to_write(key)?;
        let sealed = inner.seal(&name, &data).await?;
        let payload = PutPayload::from(sealed);
        let mut attempts = Attempts::new(&inner.config, &name, payload.content_length() as u64);
        let objects = &inner.store.objects;
        let create = || PutOptions::from(PutMode::Create);
        loop {
            let put = attempts.run(|| objects.put_opts(&path, payload.clone(), create()));
            let conflict = match put.await {
                Ok(_) => return Ok(Created::New),
                Err(Stop::Precondition(Some(said))) if !said.is_certain() => said,
                Err(Stop::Precondition(_)) => return Ok(Created::AlreadyExists),
                Err(stop) => return Err(inner.error(&name, stop)),
            };
            // To take that for "exists" where nothing is would have a journal believe in an entry
            // that nobody has written.
            match inner.head(&name, &path).await {
                Ok(_) => return Ok(Created::AlreadyExists),
                Err(error) if error.is_missing() => attempts
                    .rest(conflict.into())
                    .await
                    .map_err(|stop| inner.error(&name, stop))?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::WrongKey`], [`Error::Corrupt`], [`Error::Unreachable`],
    /// [`Error::Denied`], [`Error::NoContainer`], [`Error::Replaced`], [`Error::Name`].
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let (name, path) = self.inner.locate(key)?;
        let mut result = Err(self.inner.replaced(&name));
        for _ in 0..MAX_READ_ATTEMPTS {
            result = self.inner.read_all(&name, &path).await;
            if !matches!(result, Err(Error::Replaced { .. })) {
                break;
            }
        }
        result
    }

    /// The whole object if it is not larger than `limit` bytes, else `None`; hardly more than `limit`
    /// bytes of it are read then.
    ///
    /// # Errors
    /// As [`Bucket::get`].
    pub async fn get_small(&self, key: &str, limit: u64) -> Result<Option<Bytes>> {
        let (name, path) = self.inner.locate(key)?;
        let mut result = Err(self.inner.replaced(&name));
        for _ in 0..MAX_READ_ATTEMPTS {
            result = self.inner.read_small(&name, &path, limit).await;
            if !matches!(result, Err(Error::Replaced { .. })) {
                break;
            }
        }
        result
    }

    /// The first `bytes` bytes of an object or some more, all of it if it is shorter, in one request.
    ///
    /// # Errors
    /// As [`Bucket::get`].
    pub async fn get_start(&self, key: &str, bytes: u64) -> Result<Bytes> {
        let (name, path) = self.inner.locate(key)?;
        self.inner.read_start(&name, &path, bytes).await
    }

    /// Reads the bytes of a range, and of the stored object only the chunks that hold them.
    ///
    /// # Errors
    /// As [`Bucket::get`]; [`Error::OutOfRange`] when the range does not lie within the object.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let (name, path) = self.inner.locate(key)?;
        let mut result = Err(self.inner.replaced(&name));
        for _ in 0..MAX_READ_ATTEMPTS {
            result = self.inner.read_range(&name, &path, range.clone()).await;
            if !matches!(result, Err(Error::Replaced { .. })) {
                break;
            }
        }
        result
    }

    /// Reads a whole object piece by piece (at most 8 MiB each). Every piece is authenticated
    /// before it is given out, and they come in order. An object that was cut is an error at its
    /// end, so the content counts only when the stream has ended without one.
    ///
    /// # Errors
    /// As [`Bucket::get`].
    pub async fn get_stream(&self, key: &str) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (name, path) = self.inner.locate(key)?;
        self.inner.read_stream(name, path).await
    }

    /// Begins to write an object piece by piece.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub async fn put_stream(&self, key: &str) -> Result<ObjectWriter> {
        let (name, path) = self.inner.to_write(key)?;
        ObjectWriter::new(Arc::clone(&self.inner), name, path)
    }

    /// What is known of an object without reading it. Its content may still turn out to be
    /// damaged.
    ///
    /// # Errors
    /// As [`Bucket::get`].
    pub async fn head(&self, key: &str) -> Result<ObjectInfo> {
        let (name, path) = self.inner.locate(key)?;
        let meta = self.inner.head(&name, &path).await?;
        let layout = self.inner.layout(&name, meta.size)?;
        Ok(ObjectInfo {
            key: key.to_owned(),
            size: layout.plain,
            stored_size: meta.size,
            modified: meta.last_modified,
        })
    }

    /// Whether there is an object of that name.
    ///
    /// # Errors
    /// As [`Bucket::get`], except [`Error::Missing`].
    pub async fn exists(&self, key: &str) -> Result<bool> {
        let (name, path) = self.inner.locate(key)?;
        match self.inner.head(&name, &path).await {
            Ok(_) => Ok(true),
            Err(Error::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All objects whose keys begin with `prefix`, in ascending order of their keys; with `after`
    /// only those behind that key. A prefix that ends in `/`, or is empty, costs least.
    ///
    /// # Errors
    /// The stream ends with the first error: [`Error::Unreachable`], [`Error::Denied`],
    /// [`Error::NoContainer`], [`Error::Name`].
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> BoxStream<'static, Result<ObjectInfo>> {
        list::objects(Arc::clone(&self.inner), prefix, after)
    }

    /// The names of the folders directly below the folder `prefix`, in ascending order: for
    /// `globalsnapshots/`, the cluster ids.
    ///
    /// # Errors
    /// As [`Bucket::list`].
    pub async fn list_dirs(&self, prefix: &str) -> Result<Vec<String>> {
        list::folders(&self.inner, prefix).await
    }

    /// Deletes an object; one that is not there is fine.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`], [`Error::NoContainer`], [`Error::Name`].
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.delete_all(vec![key.to_owned()]).await
    }

    /// Deletes objects, in no particular order; those that are not there are fine. After an error
    /// some of them may be deleted.
    ///
    /// # Errors
    /// As [`Bucket::delete`].
    pub async fn delete_all(&self, keys: Vec<String>) -> Result<()> {
        let inner = &self.inner;
        let paths: Result<Vec<Path>> = keys.iter().map(|key| Ok(inner.to_write(key)?.1)).collect();
        for batch in paths?.chunks(PARALLEL_DELETES) {
            inner.delete(batch).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// The full name of an object and its path at the store.
    fn locate(&self, key: &str) -> Result<(String, Path)> {
        let name = format!("{}{key}", self.config.prefix);
        let wrong = |problem: String| Error::Name {
            object: name.clone(),
            problem,
        };
        if key.is_empty() || key.starts_with('/') || name.ends_with('/') {
            return Err(wrong(
                "a key neither is empty nor begins or ends with /".to_owned(),
            ));
        }
        // Staged files of a folder bucket are named so, and never listed.
        if name.contains('#') {
            return Err(wrong("# is reserved".to_owned()));
        }
        let path = Path::parse(&name).map_err(|error| wrong(error.to_string()))?;
        Ok((name, path))
    }

    /// As [`Self::locate`], for what writes or deletes.
    fn to_write(&self, key: &str) -> Result<(String, Path)> {
        let (name, path) = self.locate(key)?;
        if self.read_only {
            return Err(Error::ReadOnly { object: name });
        }
        Ok((name, path))
    }

    pub(crate) fn sealer(&self, name: &str) -> Result<Sealer> {
        Sealer::new(&self.keys, name).map_err(|source| fault::refused(&self.config, name, source))
    }

    async fn seal(&self, name: &str, data: &[u8]) -> Result<Bytes> {
        let mut sealer = self.sealer(name)?;
        let size = Layout::stored_size(data.len() as u64);
        let mut sealed = BytesMut::with_capacity(usize::try_from(size).unwrap_or(data.len()));
        sealed.extend_from_slice(sealer.header());
        let mut rest = data;
        for turn in 1.. {
            let (chunk, behind) = rest.split_at(rest.len().min(CHUNK_BYTES as usize));
            let last = behind.is_empty();
            sealer
                .seal(chunk, last, &mut sealed)
                .map_err(|source| fault::refused(&self.config, name, source))?;
            if last {
                break;
            }
            rest = behind;
            if turn % CHUNKS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(sealed.freeze())
    }

    pub(crate) async fn put_sealed(
        &self,
        name: &str,
        path: &Path,
        sealed: Bytes,
        mode: PutMode,
    ) -> Result<(), Stop> {
        let payload = PutPayload::from(sealed);
        let mut attempts = Attempts::new(&self.config, name, payload.content_length() as u64);
        let objects = &self.store.objects;
        attempts
            .run(|| objects.put_opts(path, payload.clone(), PutOptions::from(mode.clone())))
            .await
            .map(drop)
    }

    async fn head(&self, name: &str, path: &Path) -> Result<ObjectMeta> {
        let mut attempts = Attempts::new(&self.config, name, 0);
        let objects = &self.store.objects;
        attempts
            .run(|| objects.head(path))
            .await
            .map_err(|stop| self.error(name, stop))
    }

    /// Deletes a batch, as the store does it best. The whole batch is repeated when any of it
    /// fails; what is gone by then is fine.
    async fn delete(&self, batch: &[Path]) -> Result<()> {
        let Some(name) = batch.first().map(|path| path.as_ref().to_owned()) else {
            return Ok(());
        };
        let mut attempts = Attempts::new(&self.config, &name, 0);
        let objects = &self.store.objects;
        let done = attempts
            .run(|| async {
                let paths: Vec<object_store::Result<Path>> =
                    batch.iter().cloned().map(Ok).collect();
                let mut deleted = objects.delete_stream(stream::iter(paths).boxed());
                let mut failed = None;
                while let Some(one) = deleted.next().await {
                    match one {
                        Err(error) if !fault::is_absent(&error) => failed = Some(error),
                        Ok(_) | Err(_) => {}
                    }
                }
                failed.map_or(Ok(()), Err)
            })
            .await;
        done.map_err(|stop| self.error(&name, stop))
    }

    fn layout(&self, name: &str, stored_size: u64) -> Result<Layout> {
        Layout::of_stored(stored_size).ok_or_else(|| {
            self.corrupt(
                name,
                format!("no object of ours has {stored_size} bytes; it is cut or foreign"),
            )
        })
    }

    fn corrupt(&self, name: &str, detail: impl Into<String>) -> Error {
        Error::Corrupt {
            object: name.to_owned(),
            container: self.config.container.clone(),
            detail: detail.into(),
        }
    }

    fn replaced(&self, name: &str) -> Error {
        Error::Replaced {
            object: name.to_owned(),
        }
    }

    /// The error of an operation for which there is no other way to stop.
    pub(crate) fn error(&self, name: &str, stop: Stop) -> Error {
        match stop {
            Stop::Error(error) => error,
            Stop::Precondition(Some(said)) => fault::conflict(&self.config, name, &said),
            Stop::Precondition(None) => fault::refused(
                &self.config,
                name,
                "it exists already; look at who else writes to this container",
            ),
            Stop::Range => fault::refused(&self.config, name, "it does not serve this range"),
        }
    }
}
