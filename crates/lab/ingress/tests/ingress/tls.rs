//! TLS with the certificate of a secret.

use rcgen::generate_simple_self_signed;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::client::{Answer, curl};
use crate::pod::Pod;
use crate::proxy::{Proxy, until};
use crate::region::Region;

const HOST: &str = "logs.example.com";

struct Certificate {
    pem: String,
    key: String,
    file: NamedTempFile,
}

impl Certificate {
    fn new() -> Self {
        let made = generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made.cert.pem()).unwrap();
        Self {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            file,
        }
    }

    /// `curl` that trusts this certificate and no other.
    async fn curl(&self, proxy: &Proxy) -> Answer {
        let port = proxy.https.port();
        let url = format!("https://{HOST}:{port}/");
        let resolve = format!("{HOST}:{port}:{}", proxy.https.ip());
        let authority = self.file.path().to_str().unwrap();
        curl(&url, &["--cacert", authority, "--resolve", &resolve]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_secret_is_shown_and_exchanged_when_it_changes() {
    let region = Region::start().await;
    let pod = Pod::echo("one").await;
    region.service("ui", "ui").await;
    region.add("ui", &pod).await;
    let tls = json!([{ "hosts": [HOST], "secretName": "logs-tls" }]);
    region.ingress_with("ui", &[(HOST, "/", "ui")], tls).await;
    let proxy = Proxy::start(&region).await;
    let (first, second) = (Certificate::new(), Certificate::new());
    // There is none yet; curl: "a problem in the handshake".
    assert_eq!(first.curl(&proxy).await.code, 35);

    region.secret("logs-tls", &first.pem, &first.key).await;
    until("the first is shown", || async {
        first.curl(&proxy).await.status == 200
    })
    .await;
    let answer = first.curl(&proxy).await;
    assert_eq!(answer.pod(), "one");
    assert_eq!(answer.json()["headers"]["x-forwarded-proto"], "https");
    // curl: "the certificate cannot be verified".
    assert_eq!(second.curl(&proxy).await.code, 60);

    // A key that is not the certificate's: what was good stays.
    let tables = proxy.metric("tables_total").await;
    region.secret("logs-tls", &second.pem, &first.key).await;
    until("it is seen", || async {
        proxy.metric("tables_total").await > tables
    })
    .await;
    assert_eq!(first.curl(&proxy).await.status, 200);

    region.secret("logs-tls", &second.pem, &second.key).await;
    until("the second is shown", || async {
        second.curl(&proxy).await.status == 200
    })
    .await;
    assert_eq!(first.curl(&proxy).await.code, 60);
    let plain = proxy.curl("/", &["-H", &format!("Host: {HOST}")]).await;
    assert_eq!(plain.json()["headers"]["x-forwarded-proto"], "http");
}

/// As ingress-nginx with the vendor's annotation: the pods' certificates are those of an authority that it
/// does not know, and it does not ask.
#[tokio::test(flavor = "multi_thread")]
async fn pods_are_spoken_to_by_tls_where_the_ingress_says_so() {
    let region = Region::start().await;
    let (plain, secure) = (Pod::echo("plain").await, Pod::secure("secure").await);
    for (name, pod) in [("plain", &plain), ("secure", &secure)] {
        region.service(name, name).await;
        region.add(name, pod).await;
    }
    region
        .ingress("plain", &[("plain.example.com", "/", "plain")])
        .await;
    region
        .ingress_to_tls("secure", &[("secure.example.com", "/", "secure")])
        .await;
    let proxy = Proxy::start(&region).await;
    let ask = async |name: &str| {
        let host = format!("Host: {name}.example.com");
        proxy.curl("/a?b", &["-H", &host, "--data", "12345"]).await
    };
    for name in ["plain", "secure"] {
        until("it is known what the pods speak", async || {
            ask(name).await.status == 200
        })
        .await;
        let answer = ask(name).await;
        assert_eq!(answer.pod(), name);
        assert_eq!(
            (&answer.json()["target"], &answer.json()["bytes"]),
            (&json!("/a?b"), &json!(5))
        );
    }
    // A pod that speaks no TLS is one that takes no connection: nothing was done.
    region
        .ingress_to_tls("plain", &[("plain.example.com", "/", "plain")])
        .await;
    until("plain pods are asked by TLS", async || {
        ask("plain").await.status == 503
    })
    .await;
}
