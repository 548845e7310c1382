//! Listing.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::{Inner, ObjectInfo};
use crate::retry::Attempts;
use crate::seal::Layout;
use crate::{Error, Provider, Result};

/// Objects that are taken from the store's pages at a time, so that each page has a deadline of
/// its own and an interrupted listing goes on where it was.
const LIST_BATCH_OBJECTS: usize = 1000;

/// A listing: which objects, and how far it has come.
struct Listing {
    inner: Arc<Inner>,
    /// The beginning of all names, the bucket's prefix included.
    beginning: String,
    /// The folder that holds them all.
    folder: Option<Path>,
    /// Names up to this one are done.
    after: Option<Path>,
    /// The store's own stream, where one is under way.
    open: Option<BoxStream<'static, object_store::Result<ObjectMeta>>>,
    finished: bool,
}

pub(super) fn objects(
    inner: Arc<Inner>,
    prefix: &str,
    after: Option<&str>,
) -> BoxStream<'static, Result<ObjectInfo>> {
    let listing = Listing::new(inner, prefix, after);
    stream::once(async move { listing })
        .map_ok(|listing| {
            stream::try_unfold(listing, |mut listing| async move {
                let batch = listing.next_batch().await?;
                Ok::<_, Error>((!batch.is_empty()).then(|| (stream::iter(batch).map(Ok), listing)))
            })
            .try_flatten()
        })
        .try_flatten()
        .boxed()
}

pub(super) async fn folders(inner: &Arc<Inner>, prefix: &str) -> Result<Vec<String>> {
    let mut prefix = prefix.to_owned();
    if !prefix.is_empty() && !prefix.ends_with('/') {
        prefix.push('/');
    }
    let listing = Listing::new(Arc::clone(inner), &prefix, None)?;
    let mut attempts = Attempts::new(&inner.config, &listing.beginning, 0);
    let objects = &inner.store.objects;
    let found = attempts
        .run(|| objects.list_with_delimiter(listing.folder.as_ref()))
        .await
        .map_err(|stop| inner.error(&listing.beginning, stop))?;
    let mut names = Vec::new();
    for folder in &found.common_prefixes {
        if let Some(name) = folder.as_ref().strip_prefix(&listing.beginning)
            && !name.is_empty()
            && holds_an_object(inner, folder).await?
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A store has no folders but those that objects lie in. A file system keeps empty ones.
async fn holds_an_object(inner: &Inner, folder: &Path) -> Result<bool> {
    if !matches!(inner.config.provider, Provider::Local { .. }) {
        return Ok(true);
    }
    let objects = &inner.store.objects;
    let mut attempts = Attempts::new(&inner.config, folder.as_ref(), 0);
    attempts
        .run(|| async { objects.list(Some(folder)).try_next().await })
        .await
        .map(|found| found.is_some())
        .map_err(|stop| inner.error(folder.as_ref(), stop))
}

impl Listing {
    fn new(inner: Arc<Inner>, prefix: &str, after: Option<&str>) -> Result<Self> {
        let beginning = format!("{}{prefix}", inner.config.prefix);
        let folder = match beginning.rsplit_once('/') {
            None => None,
            Some((folder, _)) => Some(Path::parse(folder).map_err(|error| Error::Name {
                object: beginning.clone(),
                problem: error.to_string(),
            })?),
        };
        let after = after.map(|key| {
            let name = format!("{}{key}", inner.config.prefix);
            Path::parse(&name).map_err(|error| Error::Name {
                object: name,
                problem: error.to_string(),
            })
        });
        Ok(Self {
            inner,
            beginning,
            folder,
            after: after.transpose()?,
            open: None,
            finished: false,
        })
    }

    /// The next objects; none at the end.
    async fn next_batch(&mut self) -> Result<Vec<ObjectInfo>> {
        let inner = Arc::clone(&self.inner);
        let beginning = self.beginning.clone();
        let mut attempts = Attempts::new(&inner.config, &beginning, 0);
        while !self.finished {
            let Some(metas) = attempts
                .once(self.advance())
                .await
                .map_err(|stop| inner.error(&beginning, stop))?
            else {
                // Whatever was read of it does not count: begin again behind what does.
                self.open = None;
                continue;
            };
            if let Some(last) = metas.last() {
                self.after = Some(last.location.clone());
            }
            let batch: Vec<ObjectInfo> = metas
                .into_iter()
                .filter_map(|meta| self.info(&meta))
                .collect();
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
        Ok(Vec::new())
    }

    /// Reads on in the store's stream.
    async fn advance(&mut self) -> object_store::Result<Vec<ObjectMeta>> {
        if matches!(self.inner.config.provider, Provider::Local { .. }) {
            return self.whole_folder().await;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.start(),
        };
        let mut metas = Vec::new();
        while metas.len() < LIST_BATCH_OBJECTS {
            match open.try_next().await? {
                // Azurite knows no starting point and begins at the beginning.
                Some(meta) if self.is_done(&meta.location) => {}
                Some(meta) => metas.push(meta),
                None => {
                    self.finished = true;
                    return Ok(metas);
                }
            }
        }
        self.open = Some(open);
        Ok(metas)
    }

    fn start(&self) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let objects: &dyn ObjectStore = self.inner.store.objects.as_ref();
        match &self.after {
            Some(after) => objects.list_with_offset(self.folder.as_ref(), after),
            None => objects.list(self.folder.as_ref()),
        }
    }

    /// A folder comes in the file system's order, so it is sorted.
    async fn whole_folder(&mut self) -> object_store::Result<Vec<ObjectMeta>> {
        let mut metas: Vec<ObjectMeta> = self.start().try_collect().await?;
        metas.retain(|meta| !self.is_done(&meta.location));
        metas.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        self.finished = true;
        Ok(metas)
    }

    fn is_done(&self, path: &Path) -> bool {
        self.after.as_ref().is_some_and(|after| path <= after)
    }

    fn info(&self, meta: &ObjectMeta) -> Option<ObjectInfo> {
        let name = meta.location.as_ref();
        if !name.starts_with(&self.beginning) {
            return None;
        }
        Some(ObjectInfo {
            key: name.strip_prefix(&self.inner.config.prefix)?.to_owned(),
            size: Layout::of_stored(meta.size).map_or(0, |layout| layout.plain),
            stored_size: meta.size,
            modified: meta.last_modified,
        })
    }
}
