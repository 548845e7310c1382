//! Follows the Kubernetes API, and exchanges the routes and certificates when something changes.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use backstay_listen::Tls;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Endpoints as EndpointsObject, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::reflector::{self, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use crate::certificates::Keeper;
use crate::endpoint::Endpoints;
use crate::proxy::Proxy;
use crate::table::{Objects, Table, ours};

/// A watch is asked for again after so long, so that one whose server has gone without a word is
/// found out.
const WATCH_TIMEOUT_SECONDS: u32 = 60;
/// Between two attempts to reach the API.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Runs until it is dropped.
pub(crate) async fn run(
    client: Client,
    namespace: String,
    class: String,
    proxy: Arc<Proxy>,
    tls: Tls,
) {
    let changed = Notify::new();
    let all = watcher::Config::default().timeout(WATCH_TIMEOUT_SECONDS);
    // Other secrets are none of the proxy's business.
    let certificates = all.clone().fields("type=kubernetes.io/tls");
    let api = || client.clone();
    let (ingresses, a) = follow::<Ingress>(
        Api::namespaced(api(), &namespace),
        all.clone(),
        &proxy,
        &changed,
    );
    let (services, b) = follow::<Service>(
        Api::namespaced(api(), &namespace),
        all.clone(),
        &proxy,
        &changed,
    );
    let (endpoints, c) =
        follow::<EndpointsObject>(Api::namespaced(api(), &namespace), all, &proxy, &changed);
    let (secrets, d) = follow::<Secret>(
        Api::namespaced(api(), &namespace),
        certificates,
        &proxy,
        &changed,
    );
    let exchange = async {
        // All four: half of it would be routes to nowhere.
        let all = tokio::try_join!(
            ingresses.wait_until_ready(),
            services.wait_until_ready(),
            endpoints.wait_until_ready(),
            secrets.wait_until_ready(),
        );
        if all.is_err() {
            // The other ends live as long as this function.
            return;
        }
        let (mut known, mut keeper) = (Endpoints::default(), Keeper::default());
        loop {
            let objects = Objects {
                ingresses: ingresses.state(),
                services: services.state(),
                endpoints: endpoints.state(),
            };
            let table = Table::new(&objects, &class, &mut known);
            proxy.metrics.exchanged(&table);
            proxy.table.store(Some(Arc::new(table)));
            let ours = ours(&objects.ingresses, &class);
            if let Some(certificates) = keeper.update(&ours, &secrets.state()) {
                match backstay_listen::server_config_by(Arc::new(certificates)) {
                    Ok(config) => tls.exchange(config),
                    Err(error) => tracing::error!(%error, "the certificates stay as they are"),
                }
            }
            changed.notified().await;
        }
    };
    tokio::join!(a, b, c, d, exchange);
}

/// The objects of one kind, and what keeps them up to date.
fn follow<'a, K>(
    api: Api<K>,
    config: watcher::Config,
    proxy: &'a Proxy,
    changed: &'a Notify,
) -> (Store<K>, impl Future<Output = ()> + 'a)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Hash + Eq,
{
    let (store, writer) = reflector::store();
    let following = async move {
        let mut events = watch(api, config).backoff(Steadily).reflect(writer).boxed();
        let mut away = false;
        while let Some(event) = events.next().await {
            let kind = K::kind(&());
            match event {
                // A list is seen when it is whole.
                Ok(Event::Init | Event::InitApply(_)) => {}
                Ok(_) => {
                    if std::mem::take(&mut away) {
                        tracing::info!(%kind, "the Kubernetes API answers again");
                    }
                    changed.notify_one();
                }
                Err(error) => {
                    proxy.metrics.watch_failed();
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(
                            %kind,
                            %error,
                            "the Kubernetes API does not answer; requests go by what was known last"
                        );
                    }
                }
            }
        }
    };
    (store, following)
}

/// Asks again at the same pace for as long as it takes: the API is near, and few ask.
struct Steadily;

impl Iterator for Steadily {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(RETRY_DELAY)
    }
}

impl Backoff for Steadily {
    fn reset(&mut self) {}
}
