//! A pod is asked over HTTP, through the API server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use backstay_cluster::{ClusterError, Region};
use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::lab::{Lab, deadline, soon};

const TOKEN: &str = "Bearer hunter2";

/// What a pod was asked: method, address, headers, body.
type Asked = Arc<Mutex<Vec<(Method, Uri, HeaderMap, String)>>>;

async fn answer(
    State(asked): State<Asked>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> impl IntoResponse {
    let path = uri.path().to_owned();
    asked.lock().unwrap().push((method, uri, headers, body));
    match path.as_str() {
        "/long" => (StatusCode::OK, "x".repeat(1 << 20)),
        "/too-long" => (StatusCode::OK, "x".repeat((1 << 20) + 1)),
        "/never" => std::future::pending().await,
        "/wrong" => (StatusCode::FORBIDDEN, "no".to_owned()),
        _ => (StatusCode::OK, "well".to_owned()),
    }
}

/// A pod with a server at the port that is answered.
async fn node(lab: &Lab) -> (u16, Asked) {
    lab.pod("node").await;
    let asked = Asked::default();
    let router = Router::new().fallback(answer).with_state(asked.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, asked)
}

/// A pod whose server says this to whoever connects, and closes.
async fn says(lab: &Lab, text: &'static str) -> u16 {
    lab.pod("node").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = [0; 1024];
            let _ = stream.read(&mut read).await;
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    port
}

fn get(address: &str) -> Request<String> {
    let request = Request::get(address).header("authorization", TOKEN);
    request.body(String::new()).unwrap()
}

/// How it fails; whatever it says, it says no token.
async fn failed(region: &Region, port: u16, address: &str) -> ClusterError {
    let until = match address {
        "/never" => soon(),
        _ => deadline(),
    };
    let error = region
        .ask_pod("node", port, get(address), until)
        .await
        .unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("query"),
        "{shown}"
    );
    error
}

#[tokio::test]
async fn it_is_asked_and_answers() {
    let lab = Lab::start().await;
    let (port, asked) = node(&lab).await;
    let region = lab.region("admin").await;
    let request = Request::post("http://elsewhere:1/graphql?query=1")
        .header("authorization", TOKEN)
        .header("content-type", "application/json")
        .body("{\"query\":\"{}\"}".to_owned())
        .unwrap();
    let answer = region
        .ask_pod("node", port, request, deadline())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(&answer.body()[..], b"well");
    {
        let asked = asked.lock().unwrap();
        let [(method, uri, headers, body)] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        assert_eq!(
            (method, uri.to_string().as_str()),
            (&Method::POST, "/graphql?query=1")
        );
        assert_eq!(body, "{\"query\":\"{}\"}");
        assert_eq!(headers["authorization"], TOKEN);
        assert_eq!(headers["host"], "node");
    }
    // A status is an answer like any other, and an answer may be so long.
    let refused = region
        .ask_pod("node", port, get("/wrong"), deadline())
        .await;
    let refused = refused.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.body()[..]),
        (403, &b"no"[..])
    );
    let long = region.ask_pod("node", port, get("/long"), deadline()).await;
    assert_eq!(long.unwrap().body().len(), 1 << 20);
}

#[tokio::test]
async fn many_are_asked_at_once() {
    let lab = Lab::start().await;
    let (port, asked) = node(&lab).await;
    let region = lab.region("admin").await;
    let asking = (0..20).map(|at| {
        let region = region.clone();
        async move {
            let address = format!("/{at}");
            region
                .ask_pod("node", port, get(&address), deadline())
                .await
        }
    });
    for answer in futures::future::join_all(asking).await {
        assert_eq!(&answer.unwrap().body()[..], b"well");
    }
    let mut paths: Vec<String> = {
        let asked = asked.lock().unwrap();
        asked.iter().map(|it| it.1.path().to_owned()).collect()
    };
    paths.sort();
    paths.dedup();
    assert_eq!((paths.len(), asked.lock().unwrap().len()), (20, 20));
}

#[tokio::test]
async fn how_it_fails_says_what_was_asked_of_whom() {
    let lab = Lab::start().await;
    let (port, _) = node(&lab).await;
    let region = lab.region("admin").await;
    let too_long = failed(&region, port, "/too-long?query=1").await;
    assert!(
        matches!(too_long, ClusterError::Answer { .. }),
        "{too_long}"
    );
    for part in [
        "aks-secondary: pods node, port",
        "GET /too-long",
        "longer than 1048576",
    ] {
        assert!(too_long.to_string().contains(part), "{too_long}");
    }
    let late = failed(&region, port, "/never").await;
    assert!(matches!(late, ClusterError::NotYet { .. }), "{late}");

    // Nothing listens there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap().port();
    drop(free);
    let refused = failed(&region, nobody, "/").await;
    assert!(matches!(refused, ClusterError::Answer { .. }), "{refused}");
    assert!(refused.to_string().contains("refused"), "{refused}");

    let gone = region
        .ask_pod("nobody", port, get("/"), deadline())
        .await
        .unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    let forbidden = lab.region("dr-function").await;
    let error = forbidden
        .ask_pod("node", port, get("/"), deadline())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("get pods/portforward in namespace logging"),
        "{error}"
    );
    lab.down().await;
    let error = failed_soon(&region, port).await;
    assert!(error.is_unreachable(), "{error}");
}

async fn failed_soon(region: &Region, port: u16) -> ClusterError {
    let asked = region.ask_pod("node", port, get("/"), soon()).await;
    asked.unwrap_err()
}

#[tokio::test]
async fn what_is_no_answer_is_none() {
    for text in [
        "",
        "hunter2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhunter2",
    ] {
        let lab = Lab::start().await;
        let port = says(&lab, text).await;
        let region = lab.region("admin").await;
        let error = tokio::time::timeout(Duration::from_secs(60), failed(&region, port, "/"));
        let error = error.await.unwrap();
        assert!(
            matches!(error, ClusterError::Answer { .. }),
            "{text:?}: {error}"
        );
    }
}

/// What is logged, at every level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_token_is_in_no_log_line() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let lab = Lab::start().await;
    let (port, asked) = node(&lab).await;
    let region = lab.region("admin").await;
    let answer = region.ask_pod("node", port, get("/"), deadline()).await;
    assert_eq!(answer.unwrap().status(), 200);
    failed(&region, port, "/too-long").await;
    assert_eq!(asked.lock().unwrap()[0].2["authorization"], TOKEN);
    let logged = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("portforward"), "{logged}");
    assert!(!logged.contains("hunter2"));
}

/// An authority and its own certificate, PEM.
fn authority() -> (rcgen::Issuer<'static, rcgen::KeyPair>, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (rcgen::Issuer::new(params, key), pem)
}

/// A node that is probed by HTTPS, with a certificate for its name as the operator makes one. What it
/// read over TLS is told.
async fn tls_node(lab: &Lab, signed_by: &rcgen::Issuer<'static, rcgen::KeyPair>) -> (u16, Heard) {
    use rustls::pki_types::PrivateKeyDer;
    lab.pod("node").await;
    let probe = json!({ "httpGet": { "path": "/", "port": 8080, "scheme": "HTTPS" } });
    let pods = lab.api("v1", "Pod").await;
    pods.delete("node", &kube::api::DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    let pod = json!({
        "metadata": { "name": "node", "labels": { "app.kubernetes.io/name": "humio" } },
        "spec": {
            "nodeName": "node-1",
            "containers": [{ "name": "humio", "image": "humio", "readinessProbe": probe }],
        },
    });
    lab.make("v1", "Pod", pod).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["node".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, signed_by).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(backstay_tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let told = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut read = [0; 4096];
            let length = stream.read(&mut read).await.unwrap_or(0);
            told.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&read[..length]).into_owned());
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nwell";
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, heard)
}

type Heard = Arc<Mutex<Vec<String>>>;

/// As a vendor's cluster has it: the pod's certificate is of the cluster's own authority, which the
/// secret of the cluster's name has as `ca.crt`.
#[tokio::test]
async fn a_node_that_speaks_https_is_trusted_by_the_clusters_authority_and_by_no_other() {
    let lab = Lab::start().await;
    let (issuer, trusted) = authority();
    let (port, heard) = tls_node(&lab, &issuer).await;
    let region = lab.region("admin").await;
    let pods = region
        .pods("app.kubernetes.io/name=humio", deadline())
        .await;
    let [node] = &pods.unwrap()[..] else { panic!() };
    assert!(node.https);
    let ask = || region.ask_node("logscale", node, port, get("/"), deadline());
    let error = ask().await.unwrap_err();
    assert!(error.is_not_found(), "{error}");

    let secret = |authority: &str| json!({ "metadata": { "name": "logscale" }, "stringData": { "ca.crt": authority } });
    lab.make("v1", "Secret", secret(&authority().1)).await;
    let error = ask().await.unwrap_err();
    assert!(matches!(error, ClusterError::Answer { .. }), "{error}");
    assert!(
        error.to_string().contains("it speaks HTTPS, and"),
        "{error}"
    );
    // Whoever it is has not been told the token.
    assert_eq!(heard.lock().unwrap().len(), 0);

    for (authority, says) in [("", "has no ca.crt"), ("x", "has no ca.crt")] {
        lab.patch("v1", "Secret", "logscale", secret(authority))
            .await;
        let error = ask().await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    lab.patch("v1", "Secret", "logscale", secret(&trusted))
        .await;
    let answer = ask().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (200, &b"well"[..])
    );
    assert!(heard.lock().unwrap()[0].contains(TOKEN));
}
