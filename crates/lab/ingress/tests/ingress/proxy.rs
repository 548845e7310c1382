//! The proxy, running.

use std::net::SocketAddr;

use backstay_ingress::{Ingress, IngressOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, curl};
use crate::region::{Region, TEST_TIMEOUT};

pub use backstay_testkit::until;

pub struct Proxy {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub health: SocketAddr,
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
}

impl Proxy {
    /// For this region, and with its routes known.
    pub async fn start(region: &Region) -> Self {
        Self::with(region, |_| {}).await
    }

    pub async fn with(region: &Region, change: impl FnOnce(&mut IngressOptions)) -> Self {
        let proxy = Self::unready(region, change).await;
        until("it is healthy", || async {
            proxy.health("/healthz").await.status == 200
        })
        .await;
        proxy
    }

    pub async fn unready(region: &Region, change: impl FnOnce(&mut IngressOptions)) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut options = IngressOptions::new(any);
        options.https = Some(any);
        options.health = Some(any);
        // No test waits for these unless it says so.
        (options.head, options.quiet, options.end) = (TEST_TIMEOUT, TEST_TIMEOUT, TEST_TIMEOUT);
        options.connect = TEST_TIMEOUT;
        change(&mut options);
        let ingress = Ingress::bind(options).await.unwrap();
        let stop = CancellationToken::new();
        let addresses = ingress.addresses();
        Self {
            http: addresses.http,
            https: addresses.https.unwrap(),
            health: addresses.health.unwrap(),
            running: tokio::spawn(ingress.run(region.ingress.clone(), stop.clone())),
            stop,
        }
    }

    /// `curl` with these arguments and this path.
    pub async fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let url = format!("http://{}{path}", self.http);
        curl(&url, arguments).await
    }

    pub async fn health(&self, path: &str) -> Answer {
        curl(&format!("http://{}{path}", self.health), &[]).await
    }

    /// The value of a metric, by its name and labels.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.health("/metrics").await.body;
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("backstay_ingress_{name} ")))
            .map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until the proxy knows of so many endpoints of `ui`.
    pub async fn knows(&self, endpoints: u64) {
        until(&format!("it knows of {endpoints} endpoints"), || async {
            self.metric(r#"endpoints{backend="ui:80"}"#).await == endpoints
        })
        .await;
    }
}
