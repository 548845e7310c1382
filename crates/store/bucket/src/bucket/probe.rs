//! What is tried before a bucket counts as open.

use bytes::Bytes;

use super::{Bucket, Created};
use crate::retry::Attempts;
use crate::{Error, Result};

impl Bucket {
    /// Lists the top folder: the smallest request whose answer tells a missing container and a
    /// refused credential from an empty container on every provider.
    pub(super) async fn reach(&self) -> Result<()> {
        let inner = &self.inner;
        let container = &inner.config.container;
        let mut attempts = Attempts::new(&inner.config, container, 0);
        let objects = &inner.store.objects;
        let folder = object_store::path::Path::from("probes");
        attempts
            .run(|| objects.list_with_delimiter(Some(&folder)))
            .await
            .map(drop)
            .map_err(|stop| inner.error(container, stop))
    }

    /// A store that ignores the condition answers the second put like the first, and no journal
    /// on it would be safe.
    pub(super) async fn try_put_if_absent(&self) -> Result<()> {
        let key = format!("probes/put-if-absent-{}", uuid::Uuid::new_v4());
        let probe = Bytes::from_static(b"may be deleted");
        // Even the first one may find its own object, after a lost answer.
        self.create_probe(&key, probe.clone()).await?;
        let second = self.create_probe(&key, probe).await;
        let deleted = self.delete(&key).await;
        if second? == Created::New {
            return Err(self.no_put_if_absent("it created the same object twice".to_owned()));
        }
        deleted
    }

    async fn create_probe(&self, key: &str, data: Bytes) -> Result<Created> {
        self.put_if_absent(key, data)
            .await
            .map_err(|error| match error {
                Error::Refused { source, .. } => self.no_put_if_absent(source.to_string()),
                error => error,
            })
    }

    fn no_put_if_absent(&self, detail: String) -> Error {
        let config = &self.inner.config;
        Error::NoPutIfAbsent {
            container: config.container.clone(),
            endpoint: config.endpoint(),
            variable: config.endpoint_variable(),
            detail,
        }
    }
}
