//! Writing an object piece by piece.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, ObjectStoreExt, PutMode, PutPayload};

use crate::Result;
use crate::bucket::Inner;
use crate::fault::{self, Stop};
use crate::retry::Attempts;
use crate::seal::{CHUNK_BYTES, HEADER_BYTES, Sealer};

/// Bytes in every part but the last: above the 5 MiB that S3 demands.
pub(crate) const PART_BYTES: usize = 8 * 1024 * 1024;
const CHUNK_LEN: usize = CHUNK_BYTES as usize;

/// An object that is being written. It appears in the bucket, whole, when [`finish`] returns; one
/// that is dropped before never appears. Uploaded parts of an object that is dropped rather than
/// [aborted] stay at the store, invisible, until its own clean-up.
///
/// Holds at most one part (8 MiB) and what the last write brought.
///
/// [`finish`]: ObjectWriter::finish
/// [aborted]: ObjectWriter::abort
pub struct ObjectWriter {
    inner: Arc<Inner>,
    name: String,
    path: Path,
    sealer: Sealer,
    /// Plaintext that is not sealed yet, because it may turn out to be the last chunk.
    plain: BytesMut,
    /// Sealed and not uploaded yet.
    sealed: BytesMut,
    upload: Option<Upload>,
    /// A part is missing: what follows it must not be published.
    broken: bool,
}

/// An upload in parts that has begun.
enum Upload {
    Parts {
        store: Arc<dyn MultipartStore>,
        id: MultipartId,
        parts: Vec<PartId>,
    },
    /// A file next to the object's place, which is moved there in the end.
    Staged(Box<dyn MultipartUpload>),
}

impl ObjectWriter {
    pub(crate) fn new(inner: Arc<Inner>, name: String, path: Path) -> Result<Self> {
        let sealer = inner.sealer(&name)?;
        let mut sealed = BytesMut::new();
        sealed.extend_from_slice(sealer.header());
        Ok(Self {
            inner,
            name,
            path,
            sealer,
            plain: BytesMut::new(),
            sealed,
            upload: None,
            broken: false,
        })
    }

    /// Appends.
    ///
    /// # Errors
    /// As [`crate::Bucket::put`]. The object cannot be finished after one.
    pub async fn write(&mut self, mut data: Bytes) -> Result<()> {
        self.check()?;
        while !data.is_empty() {
            if self.plain.len() == CHUNK_LEN {
                self.seal(false)?;
                if self.sealed.len() >= PART_BYTES {
                    self.upload_part(PART_BYTES).await?;
                }
            }
            let room = CHUNK_LEN - self.plain.len();
            self.plain
                .extend_from_slice(&data.split_to(room.min(data.len())));
        }
        Ok(())
    }

    /// Makes the object appear; an object of that name is replaced.
    ///
    /// # Errors
    /// As [`crate::Bucket::put`].
    pub async fn finish(mut self) -> Result<()> {
        self.check()?;
        self.seal(true)?;
        if self.upload.is_none() && self.sealed.len() <= PART_BYTES {
            let sealed = self.sealed.split().freeze();
            return self
                .inner
                .put_sealed(&self.name, &self.path, sealed, PutMode::Overwrite)
                .await
                .map_err(|stop| self.inner.error(&self.name, stop));
        }
        while !self.sealed.is_empty() {
            self.upload_part(PART_BYTES.min(self.sealed.len())).await?;
        }
        let Self {
            inner,
            name,
            path,
            sealer,
            upload,
            ..
        } = self;
        match upload {
            Some(Upload::Parts { store, id, parts }) => {
                let mut attempts = Attempts::new(&inner.config, &name, 0);
                let done = attempts
                    .run(|| store.complete_multipart(&path, &id, parts.clone()))
                    .await;
                match done {
                    Ok(_) => Ok(()),
                    // An attempt whose answer was lost may have completed the upload; the next
                    // one then finds no upload to complete.
                    Err(_)
                        if attempts.repeated()
                            && inner.begins_with(&name, &path, sealer.header()).await =>
                    {
                        Ok(())
                    }
                    Err(stop) => Err(inner.error(&name, stop)),
                }
            }
            Some(Upload::Staged(mut upload)) => {
                let mut attempts = Attempts::new(&inner.config, &name, 0);
                let done = attempts.run_once(upload.complete()).await;
                done.map(drop).map_err(|stop| inner.error(&name, stop))
            }
            None => Ok(()),
        }
    }

    /// Gives up and removes what was uploaded.
    ///
    /// # Errors
    /// As [`crate::Bucket::put`].
    pub async fn abort(self) -> Result<()> {
        let Self {
            inner,
            name,
            path,
            upload,
            ..
        } = self;
        let mut attempts = Attempts::new(&inner.config, &name, 0);
        let done = match upload {
            // Azure has nothing to call: blocks that are never named vanish after a week.
            Some(Upload::Parts { store, id, .. }) => {
                attempts.run(|| store.abort_multipart(&path, &id)).await
            }
            Some(Upload::Staged(mut upload)) => attempts.run_once(upload.abort()).await,
            None => Ok(()),
        };
        done.map_err(|stop| inner.error(&name, stop))
    }

    fn check(&self) -> Result<()> {
        if self.broken {
            return Err(fault::refused(
                &self.inner.config,
                &self.name,
                "an earlier part could not be uploaded; write the object again from its start",
            ));
        }
        Ok(())
    }

    fn seal(&mut self, last: bool) -> Result<()> {
        let done = self.sealer.seal(&self.plain, last, &mut self.sealed);
        self.plain.clear();
        done.map_err(|source| fault::refused(&self.inner.config, &self.name, source))
    }

    async fn upload_part(&mut self, bytes: usize) -> Result<()> {
        // Until the part is known to be there; also when this future is dropped half-way.
        self.broken = true;
        let part = PutPayload::from(self.sealed.split_to(bytes).freeze());
        let uploaded = self.try_upload_part(part, bytes).await;
        uploaded.map_err(|stop| self.inner.error(&self.name, stop))?;
        self.broken = false;
        Ok(())
    }

    async fn try_upload_part(&mut self, part: PutPayload, bytes: usize) -> Result<(), Stop> {
        let inner = Arc::clone(&self.inner);
        let mut attempts = Attempts::new(&inner.config, &self.name, bytes as u64);
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => match &inner.store.parts {
                Some(store) => Upload::Parts {
                    id: attempts.run(|| store.create_multipart(&self.path)).await?,
                    store: Arc::clone(store),
                    parts: Vec::new(),
                },
                None => {
                    let objects = &inner.store.objects;
                    Upload::Staged(attempts.run(|| objects.put_multipart(&self.path)).await?)
                }
            },
        };
        match &mut upload {
            Upload::Parts { store, id, parts } => {
                let index = parts.len();
                let put = attempts
                    .run(|| store.put_part(&self.path, id, index, part.clone()))
                    .await;
                // What was begun is kept for `abort`, whether this part succeeded or not.
                if let Ok(part) = &put {
                    parts.push(part.clone());
                }
                self.upload = Some(upload);
                put.map(drop)
            }
            Upload::Staged(staged) => {
                let put = attempts.run_once(staged.put_part(part)).await;
                self.upload = Some(upload);
                put
            }
        }
    }
}

impl Inner {
    /// Whether this is the stored object that begins with this header, whose random salt is like
    /// no other.
    async fn begins_with(&self, name: &str, path: &Path, header: &[u8]) -> bool {
        let fetched = self.fetch(name, path, 0..HEADER_BYTES, None).await;
        fetched.is_ok_and(|fetched| fetched.bytes == header)
    }
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectWriter")
            .field("object", &self.name)
            .finish_non_exhaustive()
    }
}
