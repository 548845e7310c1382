//! A client that counts its requests, and one that dies with one of its writes: what an operator
//! is that is killed there.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::{Body, ClientBuilder};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service};

/// What a client has done, and whether it is dead.
#[derive(Debug, Clone)]
pub struct Life {
    /// The write that does not reach the server any more.
    death: Option<usize>,
    requests: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    pub died: CancellationToken,
}

impl Life {
    pub fn new(death: Option<usize>) -> Self {
        Self {
            death,
            requests: Arc::default(),
            writes: Arc::default(),
            died: CancellationToken::new(),
        }
    }

    /// All of its requests so far, reads and watches too.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// A client by a context of a kubeconfig.
    pub async fn client(&self, kubeconfig: &Path, context: &str) -> Client {
        let config = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
        let options = kube::config::KubeConfigOptions {
            context: Some(context.to_owned()),
            ..Default::default()
        };
        let config = kube::Config::from_custom_kubeconfig(config, &options)
            .await
            .unwrap();
        let builder = ClientBuilder::try_from(config).unwrap();
        builder.with_layer(self).build()
    }
}

impl<S> Layer<S> for Life {
    type Service = Mortal<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Mortal {
            inner,
            life: self.clone(),
        }
    }
}

pub struct Mortal<S> {
    inner: S,
    life: Life,
}

impl<S, B> Service<Request<Body>> for Mortal<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let life = self.life.clone();
        life.requests.fetch_add(1, Ordering::SeqCst);
        if request.method() != Method::GET {
            let write = life.writes.fetch_add(1, Ordering::SeqCst) + 1;
            if life.death.is_some_and(|last| write >= last) {
                life.died.cancel();
            }
        }
        if life.died.is_cancelled() {
            return Box::pin(std::future::pending());
        }
        Box::pin(self.inner.call(request))
    }
}
