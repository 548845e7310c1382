//! One HTTP request to a pod, through the API server's port-forward: so a node is asked that no
//! service sends to, from wherever the API server can be reached.
//!
//! No header of a request, and no body of an answer, is in an error: they carry tokens.

use std::future::Future;
use std::pin::pin;

use backstay_report::{excerpt, with_causes};
use backstay_retry::Deadline;
use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{CONNECTION, HOST, InvalidHeaderValue};
use http::uri::InvalidUri;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1;
use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::pod_tls::Trust;
use crate::{ClusterError, Pod, Region};

const PORT_FORWARD: &str = "pods/portforward";
/// What is too long to be an answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Why a pod was not asked, or has not answered as a server does.
#[derive(Debug, thiserror::Error)]
enum PodError {
    /// What is asked for.
    #[error("the request has no path")]
    Path(#[source] InvalidUri),
    /// Whom.
    #[error("the pod has no such name")]
    Name(#[source] InvalidHeaderValue),
    /// The connection.
    #[error("{}", excerpt(&with_causes(.0)))]
    Http(#[from] hyper::Error),
    /// TLS.
    #[error("it speaks HTTPS, and {}", excerpt(&with_causes(.0)))]
    Tls(#[source] std::io::Error),
    /// The answer.
    #[error("its answer is longer than {MAX_ANSWER_BYTES} bytes")]
    Long,
    /// The API server does not lead there.
    #[error("{0}")]
    Refused(String),
}

impl Region {
    /// Makes one request of a pod's port, over HTTP/1.1, and reads the whole answer, up to 1 MiB. Of
    /// the request's address only path and query count.
    ///
    /// The way to the pod is tried for until the deadline; the request itself is sent once, since it
    /// may have taken effect.
    ///
    /// # Errors
    /// See [`ClusterError`]: [`Answer`](ClusterError::Answer) when the pod does not take the
    /// connection, breaks it off or says what is not HTTP, [`NotYet`](ClusterError::NotYet) when it
    /// has not answered at the deadline; after either the request may have taken effect. What the
    /// pod answers, with whatever status, is no error.
    pub async fn ask_pod(
        &self,
        pod: &str,
        port: u16,
        request: Request<String>,
        deadline: Deadline,
    ) -> Result<Response<Bytes>, ClusterError> {
        self.ask(pod, port, request, None, deadline).await
    }

    /// Makes one request of a node of a cluster, as [`ask_pod`](Self::ask_pod) does: by HTTPS where
    /// the pod is probed so, trusting what the operator signs for the cluster.
    ///
    /// # Errors
    /// As for [`ask_pod`](Self::ask_pod); when secret `<cluster>` has no authority.
    pub async fn ask_node(
        &self,
        cluster: &str,
        pod: &Pod,
        port: u16,
        request: Request<String>,
        deadline: Deadline,
    ) -> Result<Response<Bytes>, ClusterError> {
        let trust = if pod.https {
            Some(self.trust(cluster, &pod.name, deadline).await?)
        } else {
            None
        };
        self.ask(&pod.name, port, request, trust, deadline).await
    }

    async fn ask(
        &self,
        pod: &str,
        port: u16,
        request: Request<String>,
        trust: Option<Trust>,
        deadline: Deadline,
    ) -> Result<Response<Bytes>, ClusterError> {
        let what = format!("{} {}", request.method(), request.uri().path());
        let object = format!("pods {pod}, port {port}, {what}");
        let request = for_pod(request, pod).map_err(|problem| self.answer(&object, problem))?;
        let api = self.api::<v1::Pod>();
        let ports = [port];
        let forward = self
            .call("get", PORT_FORWARD, pod, deadline, || {
                api.portforward(pod, &ports)
            })
            .await
            .map_err(|error| self.perhaps_create(error))?;
        let mut forward = Forward(forward);
        let (stream, refusal) = (forward.0.take_stream(port), forward.0.take_error(port));
        let (Some(stream), Some(refusal)) = (stream, refusal) else {
            return Err(self.answer(&object, "the port is not forwarded"));
        };
        let answered = answered(asked(stream, request, trust), refusal);
        match tokio::time::timeout_at(deadline.instant(), answered).await {
            Ok(answered) => answered.map_err(|problem| self.answer(&object, problem)),
            Err(_) => Err(self.not_yet(
                format!("an answer of {object}"),
                "the connection to it was made",
            )),
        }
    }
}

impl Region {
    /// A connection over a WebSocket needs `get`, and since Kubernetes 1.35 `create` as well
    /// (<https://github.com/kubernetes/kubernetes/pull/134577>): which one is missing is only in the
    /// server's words.
    fn perhaps_create(&self, error: ClusterError) -> ClusterError {
        match error {
            ClusterError::Forbidden {
                region,
                object,
                denied,
            } if denied.message.contains("cannot create") => ClusterError::Forbidden {
                region,
                object,
                denied: Box::new(
                    self.permission("create", PORT_FORWARD)
                        .denied(denied.message),
                ),
            },
            other => other,
        }
    }
}

/// Ends what carries the bytes when nobody waits for them any more.
struct Forward(Portforwarder);

impl Drop for Forward {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The request as a server wants it: without scheme and authority in its first line, with a `Host`,
/// and the only one on its connection.
fn for_pod(request: Request<String>, pod: &str) -> Result<Request<String>, PodError> {
    let (mut head, body) = request.into_parts();
    let place = head.uri.path_and_query().map_or("/", |it| it.as_str());
    head.uri = place.parse::<Uri>().map_err(PodError::Path)?;
    if !head.headers.contains_key(HOST) {
        let host = HeaderValue::from_str(pod).map_err(PodError::Name)?;
        head.headers.insert(HOST, host);
    }
    head.headers
        .insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(Request::from_parts(head, body))
}

async fn asked(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<String>,
    trust: Option<Trust>,
) -> Result<Response<Bytes>, PodError> {
    let Some(Trust { connector, name }) = trust else {
        return exchange(stream, request).await;
    };
    let stream = connector.connect(name, stream).await;
    exchange(stream.map_err(PodError::Tls)?, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<String>,
) -> Result<Response<Bytes>, PodError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asking = async move {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => PodError::Http(*error),
            Err(_) => PodError::Long,
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    match select(pin!(asking), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // All has been read; or nothing more will come, which the one that asks is told as well.
        Either::Right((_, asking)) => asking.await,
    }
}

/// The answer, unless the API server says first why there can be none.
async fn answered<T>(
    exchange: impl Future<Output = Result<T, PodError>>,
    refusal: impl Future<Output = Option<String>>,
) -> Result<T, PodError> {
    let (exchange, refusal) = (pin!(exchange), pin!(refusal));
    match select(refusal, exchange).await {
        Either::Left((Some(why), _)) => Err(PodError::Refused(excerpt(&why))),
        Either::Left((None, exchange)) => exchange.await,
        Either::Right((done, _)) => done,
    }
}
