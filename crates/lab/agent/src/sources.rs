//! Secrets and config maps, read when they are needed and never kept: what a container starts with
//! is what was written before. A watch only says when it is worth looking again.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::environment::{Holder, Values};

/// Reads them.
#[derive(Clone)]
pub(crate) struct Sources {
    client: Client,
    changes: watch::Receiver<u64>,
}

impl Sources {
    /// Reads, and a task that watches as long as it is polled.
    pub fn new(client: Client) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (changed, changes) = watch::channel(0);
        let all = futures::stream::select_all([
            changes_of::<Secret>(&client),
            changes_of::<ConfigMap>(&client),
            changes_of::<PersistentVolumeClaim>(&client),
        ]);
        let watching = all.for_each(move |()| {
            changed.send_modify(|number| *number += 1);
            futures::future::ready(())
        });
        (Self { client, changes }, watching)
    }

    /// Tells of every change from now on, at least once for those that come together.
    pub fn changes(&self) -> watch::Receiver<u64> {
        let mut changes = self.changes.clone();
        changes.mark_unchanged();
        changes
    }

    /// What a secret or a config map holds; `None` where there is no such thing.
    pub async fn read(
        &self,
        holder: Holder,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Values>, kube::Error> {
        match holder {
            Holder::Secret => {
                let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
                let secret = secrets.get_opt(name).await?;
                Ok(secret.map(|secret| {
                    let data = secret.data.unwrap_or_default();
                    data.into_iter()
                        .map(|(key, value)| (key, value.0))
                        .collect()
                }))
            }
            Holder::ConfigMap => {
                let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
                let map = maps.get_opt(name).await?;
                Ok(map.map(|map| {
                    let text = map.data.unwrap_or_default().into_iter();
                    let text = text.map(|(key, value)| (key, value.into_bytes()));
                    let binary = map.binary_data.unwrap_or_default().into_iter();
                    let binary = binary.map(|(key, value)| (key, value.0));
                    text.chain(binary).collect::<BTreeMap<_, _>>()
                }))
            }
        }
    }
}

fn changes_of<K>(client: &Client) -> futures::stream::BoxStream<'static, ()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let all: Api<PartialObjectMeta<K>> = Api::all(client.clone());
    events(watcher(all, watcher::Config::default()))
        .filter_map(|event| {
            // A list tells of each and of its end; once is enough.
            let is_change = !matches!(event, watcher::Event::Init | watcher::Event::InitApply(_));
            futures::future::ready(is_change.then_some(()))
        })
        .boxed()
}

/// The events of a watch that goes on over errors.
pub(crate) fn events<T: Send>(
    watch: impl Stream<Item = Result<watcher::Event<T>, watcher::Error>> + Send,
) -> impl Stream<Item = watcher::Event<T>> + Send {
    watch.default_backoff().filter_map(|event| {
        let event = event.inspect_err(|error| tracing::warn!(%error, "a watch is begun again"));
        futures::future::ready(event.ok())
    })
}
