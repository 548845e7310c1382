//! A region's bucket as an operator, or an accident, gets at it: stored bytes by name.

use std::sync::Arc;

use backstay_lab::region::Region;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

pub struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    pub fn of(region: &Region) -> Self {
        let own = region.own();
        let at = |name: &str| own.get(name);
        if let Some(folder) = at("LOCAL_STORAGE_PATH") {
            return Self(Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap()));
        }
        let store = MicrosoftAzureBuilder::new()
            .with_account(at("AZURE_STORAGE_ACCOUNTNAME").unwrap())
            .with_access_key(at("AZURE_STORAGE_ACCOUNTKEY").unwrap())
            .with_container_name(at("AZURE_STORAGE_BUCKET").unwrap())
            .with_endpoint(at("AZURE_STORAGE_ENDPOINT_BASE").unwrap().clone())
            .with_allow_http(true);
        Self(Arc::new(store.build().unwrap()))
    }

    /// The names below a prefix, in their order.
    pub async fn names(&self, prefix: &str) -> Vec<String> {
        let prefix = Path::from(prefix);
        let mut names: Vec<String> = self
            .0
            .list(Some(&prefix))
            .map_ok(|object| object.location.to_string())
            .try_collect()
            .await
            .unwrap();
        names.sort_unstable();
        names
    }

    pub async fn read(&self, name: &str) -> Bytes {
        let got = self.0.get(&Path::from(name)).await.unwrap();
        got.bytes().await.unwrap()
    }

    pub async fn write(&self, name: &str, stored: Bytes) {
        self.0.put(&Path::from(name), stored.into()).await.unwrap();
    }

    pub async fn remove(&self, name: &str) {
        self.0.delete(&Path::from(name)).await.unwrap();
    }

    /// Removes everything below a prefix.
    pub async fn remove_all(&self, prefix: &str) {
        for name in self.names(prefix).await {
            self.remove(&name).await;
        }
    }
}
