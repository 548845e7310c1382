//! Reading: in pieces of the stored object, each opened on its own.
//!
//! A large object is read in requests of 8 MiB rather than in one that streams. A request that
//! breaks off is then repeated alone, each has its own deadline, and a slow consumer holds no
//! connection open. Every request after the first names the ETag of the first, so that an object
//! that is replaced in the meantime is noticed (and its chunks would not open anyway).

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::join;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange};

use super::Inner;
use crate::fault::Stop;
use crate::retry::Attempts;
use crate::seal::{CHUNK_BYTES, HEADER_BYTES, Layout, Opener, Unopened, stored_range};
use crate::{Error, Result};

/// Chunks in one request: 8 MiB.
const CHUNKS_PER_REQUEST: u64 = 128;
/// Requests in flight for one reader.
const PARALLEL_REQUESTS: usize = 2;

/// Stored bytes, as they came.
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    stored_size: u64,
    etag: Option<String>,
}

/// An object whose header was read.
#[derive(Clone)]
struct Opened {
    inner: Arc<Inner>,
    name: String,
    path: Path,
    opener: Opener,
    layout: Layout,
    etag: Option<String>,
}

impl Inner {
    /// Reads stored bytes; fewer than asked for where the object ends.
    pub(crate) async fn fetch(
        &self,
        name: &str,
        path: &Path,
        range: Range<u64>,
        etag: Option<&str>,
    ) -> Result<Fetched, Stop> {
        let mut attempts = Attempts::new(&self.config, name, range.end - range.start);
        attempts
            .run(|| async {
                let options = GetOptions {
                    range: Some(GetRange::Bounded(range.clone())),
                    if_match: etag.map(str::to_owned),
                    ..GetOptions::default()
                };
                let found = self.store.objects.get_opts(path, options).await?;
                let stored_size = found.meta.size;
                let etag = found.meta.e_tag.clone();
                let bytes = found.bytes().await?;
                let expected = range.end.min(stored_size).saturating_sub(range.start);
                if bytes.len() as u64 != expected {
                    return Err(object_store::Error::Generic {
                        store: "bucket",
                        source: format!("{} of {expected} bytes came", bytes.len()).into(),
                    });
                }
                Ok(Fetched {
                    bytes,
                    stored_size,
                    etag,
                })
            })
            .await
    }

    fn unopened(&self, name: &str, unopened: Unopened) -> Error {
        match unopened {
            Unopened::WrongKey => Error::WrongKey {
                object: name.to_owned(),
                container: self.config.container.clone(),
                variable: self
                    .config
                    .what_to_correct(self.config.encryption_key_variable()),
            },
            Unopened::Corrupt(detail) => self.corrupt(name, detail),
        }
    }

    /// Fetches the first `chunks` chunks with the header, and opens the header.
    async fn open(
        self: &Arc<Self>,
        name: &str,
        path: &Path,
        chunks: u64,
    ) -> Result<(Opened, Bytes)> {
        let range = 0..stored_range(0..chunks).end;
        let fetched = self
            .fetch(name, path, range, None)
            .await
            .map_err(|stop| match stop {
                // Only nothing at all ends before its first byte.
                Stop::Range => self.corrupt(name, "it is empty, not even a header is left"),
                stop => self.error(name, stop),
            })?;
        let layout = self.layout(name, fetched.stored_size)?;
        let opener = Opener::new(&self.keys, name, &fetched.bytes, layout)
            .map_err(|unopened| self.unopened(name, unopened))?;
        let opened = Opened {
            inner: Arc::clone(self),
            name: name.to_owned(),
            path: path.clone(),
            opener,
            layout,
            etag: fetched.etag,
        };
        Ok((opened, fetched.bytes.slice(HEADER_BYTES as usize..)))
    }

    pub(super) async fn read_all(self: &Arc<Self>, name: &str, path: &Path) -> Result<Bytes> {
        let (opened, first) = self.open(name, path, CHUNKS_PER_REQUEST).await?;
        opened.rest(first, CHUNKS_PER_REQUEST).await
    }

    /// The first chunks, with at least so many bytes where there are so many.
    pub(super) async fn read_start(
        self: &Arc<Self>,
        name: &str,
        path: &Path,
        bytes: u64,
    ) -> Result<Bytes> {
        let chunks = bytes.div_ceil(CHUNK_BYTES).clamp(1, CHUNKS_PER_REQUEST);
        let (opened, first) = self.open(name, path, chunks).await?;
        let mut plain = BytesMut::new();
        opened.open(0, &first, &mut plain)?;
        Ok(plain.freeze())
    }

    /// The object, if it has no more than `limit` bytes.
    pub(super) async fn read_small(
        self: &Arc<Self>,
        name: &str,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Bytes>> {
        let chunks = limit.div_ceil(CHUNK_BYTES).clamp(1, CHUNKS_PER_REQUEST);
        let (opened, first) = self.open(name, path, chunks).await?;
        if opened.layout.plain > limit {
            return Ok(None);
        }
        Ok(Some(opened.rest(first, chunks).await?))
    }

    pub(super) async fn read_stream(
        self: &Arc<Self>,
        name: String,
        path: Path,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (opened, first) = self.open(&name, &path, CHUNKS_PER_REQUEST).await?;
        let mut plain = BytesMut::new();
        opened.open(0, &first, &mut plain)?;
        let rest = opened.pieces(CHUNKS_PER_REQUEST..opened.layout.chunks);
        Ok(stream::iter([Ok(plain.freeze())]).chain(rest).boxed())
    }

    pub(super) async fn read_range(
        self: &Arc<Self>,
        name: &str,
        path: &Path,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let first = range.start / CHUNK_BYTES;
        let chunks = first..range.end.div_ceil(CHUNK_BYTES);
        // An ordinary range is fetched together with the header; one that is turned round, empty,
        // at the start of the object or large is not worth a second request in flight.
        let together =
            first > 0 && !chunks.is_empty() && chunks.end - chunks.start <= CHUNKS_PER_REQUEST;
        if together {
            let stored = stored_range(chunks);
            let (opened, fetched) = join(
                self.open(name, path, 0),
                self.fetch(name, path, stored, None),
            )
            .await;
            let (opened, _) = opened?;
            opened.check(&range)?;
            let fetched = fetched.map_err(|stop| opened.stopped(stop))?;
            if fetched.etag != opened.etag {
                return Err(self.replaced(name));
            }
            let mut plain = BytesMut::new();
            opened.open(first, &fetched.bytes, &mut plain)?;
            return opened.cut(plain.freeze(), first, &range);
        }
        let begin = if first == 0 {
            chunks.end.clamp(1, CHUNKS_PER_REQUEST)
        } else {
            0
        };
        let (opened, start) = self.open(name, path, begin).await?;
        opened.check(&range)?;
        let mut plain = BytesMut::new();
        opened.open(0, &start, &mut plain)?;
        drop(start);
        let mut pieces = opened.pieces(first.max(begin)..chunks.end);
        while let Some(piece) = pieces.try_next().await? {
            plain.extend_from_slice(&piece);
        }
        opened.cut(plain.freeze(), first, &range)
    }
}

impl Opened {
    /// All of the object, of which the first chunks are there.
    async fn rest(self, first: Bytes, chunks: u64) -> Result<Bytes> {
        let mut plain = BytesMut::new();
        self.open(0, &first, &mut plain)?;
        drop(first);
        let mut pieces = self.pieces(chunks..self.layout.chunks);
        while let Some(piece) = pieces.try_next().await? {
            plain.extend_from_slice(&piece);
        }
        Ok(plain.freeze())
    }

    fn check(&self, range: &Range<u64>) -> Result<()> {
        if range.start <= range.end && range.end <= self.layout.plain {
            return Ok(());
        }
        Err(Error::OutOfRange {
            object: self.name.clone(),
            start: range.start,
            end: range.end,
            size: self.layout.plain,
        })
    }

    /// The range, out of the plaintext from the start of chunk `first` on.
    fn cut(&self, plain: Bytes, first: u64, range: &Range<u64>) -> Result<Bytes> {
        let offset = |at: u64| usize::try_from(at - first * CHUNK_BYTES).ok();
        let (Some(start), Some(end)) = (offset(range.start), offset(range.end)) else {
            return Err(self
                .inner
                .corrupt(&self.name, "it is larger than the memory"));
        };
        if start == end {
            return Ok(Bytes::new());
        }
        if end > plain.len() {
            return Err(self.inner.corrupt(&self.name, "it ends before its size"));
        }
        Ok(plain.slice(start..end))
    }

    fn open(&self, first: u64, sealed: &[u8], plain: &mut BytesMut) -> Result<()> {
        self.opener
            .open(first, sealed, plain)
            .map_err(|unopened| self.inner.unopened(&self.name, unopened))
    }

    fn stopped(&self, stop: Stop) -> Error {
        match stop {
            // It was longer a moment ago.
            Stop::Precondition(_) | Stop::Range => self.inner.replaced(&self.name),
            stop => self.inner.error(&self.name, stop),
        }
    }

    /// The plaintext of these chunks, in order, some requests ahead.
    fn pieces(&self, chunks: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let Range { start, end } = chunks;
        let starts = (start..end).step_by(CHUNKS_PER_REQUEST as usize);
        let opened = self.clone();
        stream::iter(starts)
            .map(move |first| {
                let opened = opened.clone();
                async move {
                    opened
                        .piece(first..end.min(first + CHUNKS_PER_REQUEST))
                        .await
                }
            })
            .buffered(PARALLEL_REQUESTS)
            .boxed()
    }

    async fn piece(&self, chunks: Range<u64>) -> Result<Bytes> {
        let first = chunks.start;
        let fetched = self
            .inner
            .fetch(
                &self.name,
                &self.path,
                stored_range(chunks),
                self.etag.as_deref(),
            )
            .await
            .map_err(|stop| self.stopped(stop))?;
        let mut plain = BytesMut::new();
        self.open(first, &fetched.bytes, &mut plain)?;
        Ok(plain.freeze())
    }
}
