//! Nodes that listen by HTTPS, with files as humio-operator has cert-manager make them.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use crate::server::{HANG_TIMEOUT, Server};
use crate::{QUERY, all_time};

/// What signs the certificates of a cluster's nodes.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Writes what the secret of a pod has into a folder: keystores that nobody reads, and PEM.
    fn write(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::create_dir_all(folder).unwrap();
        for (name, text) in [
            ("keystore.jks", "a keystore of Java"),
            ("truststore.jks", "another one"),
            ("ca.crt", &self.pem),
            ("tls.key", &key.serialize_pem()),
            ("tls.crt", &certificate.pem()),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    /// Who trusts nobody else.
    fn client(&self) -> Client {
        let pem = Certificate::from_pem(self.pem.as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([pem]);
        // No connection is kept: each request sees the certificate of its time.
        client.pool_max_idle_per_host(0).build().unwrap()
    }
}

/// A cluster's folder: its bucket, and one more for each node.
struct Cluster(tempfile::TempDir);

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A node with the files of the folder `tls-<name>`; its URL too.
    fn start(&self, name: &str, roles: &str) -> (Server, String) {
        let text = |name: &str| self.path(name).display().to_string();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let url = format!("https://localhost:{port}");
        let server = Server::with(&[
            ("LOCAL_STORAGE_PATH", &text("bucket")),
            ("DIRECTORY", &text(name)),
            ("BACKSTAY_ADMIN_TOKEN_FILE", &text("token")),
            ("PORT", &port),
            ("EXTERNAL_URL", &url),
            // Where nobody of the cluster is.
            ("PUBLIC_URL", "https://logs.invalid/"),
            ("NODE_ROLES", roles),
            ("BACKSTAY_HEARTBEAT_MS", "100"),
            ("BACKSTAY_LEASE_MS", "5000"),
            ("BACKSTAY_LAME_DUCK_MS", "0"),
            (
                "TLS_KEYSTORE_LOCATION",
                &text(&format!("tls-{name}/keystore.jks")),
            ),
            (
                "TLS_TRUSTSTORE_LOCATION",
                &text(&format!("tls-{name}/truststore.jks")),
            ),
        ]);
        (server, url)
    }
}

/// Code and body of a request, or why there is none.
fn ask(
    server: &Server,
    client: &Client,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, String), reqwest::Error> {
    server.block_on(async {
        let request = match body {
            Some(body) => client.post(path).json(body),
            None => client.get(path),
        };
        let answer = request
            .bearer_auth(&server.admin)
            .header("Accept", "application/x-ndjson")
            .send()
            .await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    })
}

#[test]
fn nodes_answer_by_https_and_pass_on_to_each_other_by_the_external_url() {
    let cluster = Cluster::new();
    let authority = Authority::new();
    authority.write(&cluster.path("tls-ingest"));
    authority.write(&cluster.path("tls-ui"));
    let (ingest, ingest_url) = cluster.start("ingest", "ingestonly");
    let (ui, ui_url) = cluster.start("ui", "httponly");
    let client = authority.client();
    for (server, url) in [(&ingest, &ingest_url), (&ui, &ui_url)] {
        let up = ask(server, &client, &format!("{url}/api/v1/is-node-up"), None);
        assert_eq!(up.unwrap().0, 200);
        // Without TLS there is no answer.
        let plain = url.replace("https:", "http:");
        assert!(ask(server, &client, &format!("{plain}/api/v1/status"), None).is_err());
        // Nor with another cluster's authority.
        let other = Authority::new().client();
        assert!(ask(server, &other, &format!("{url}/api/v1/status"), None).is_err());
    }
    let messages = json!([{ "messages": ["passed on"] }]);
    let path = format!("{ui_url}/api/v1/repositories/humio/ingest-messages");
    let sent = ask(&ui, &client, &path, Some(&messages)).unwrap();
    assert_eq!(sent.0, 200, "{}", sent.1);
    let query = all_time("passed");
    let path = format!("{ingest_url}{QUERY}");
    let (code, found) = ask(&ingest, &client, &path, Some(&query)).unwrap();
    assert_eq!(code, 200, "{found}");
    assert!(found.contains("passed on"), "{found}");
}

#[test]
fn a_node_of_another_authority_is_not_trusted_with_events() {
    let cluster = Cluster::new();
    let (authority, other) = (Authority::new(), Authority::new());
    authority.write(&cluster.path("tls-ui"));
    other.write(&cluster.path("tls-ingest"));
    let (_ingest, _) = cluster.start("ingest", "ingestonly");
    let (ui, url) = cluster.start("ui", "httponly");
    let messages = json!([{ "messages": ["not for everybody"] }]);
    let path = format!("{url}/api/v1/repositories/humio/ingest-messages");
    let (code, said) = ask(&ui, &authority.client(), &path, Some(&messages)).unwrap();
    assert_eq!(code, 503, "{said}");
    assert!(said.contains("certificate"), "{said}");
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() {
    let cluster = Cluster::new();
    let (before, after) = (Authority::new(), Authority::new());
    let folder = cluster.path("tls-node");
    before.write(&folder);
    let (node, url) = cluster.start("node", "all");
    let path = format!("{url}/api/v1/status");
    let trusts = |authority: &Authority| ask(&node, &authority.client(), &path, None).is_ok();
    assert!(trusts(&before) && !trusts(&after));
    after.write(&folder);
    let begun = Instant::now();
    while !trusts(&after) {
        assert!(begun.elapsed() < HANG_TIMEOUT, "it is never shown");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(!trusts(&before));
}

#[test]
fn without_pem_beside_the_keystore_a_node_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = folder.path().join("keystore.jks");
    std::fs::write(&keystore, "a keystore of Java").unwrap();
    let error = Server::refused(&[("TLS_KEYSTORE_LOCATION", keystore.to_str().unwrap())]);
    for part in ["TLS_KEYSTORE_LOCATION", "tls.crt", "BACKSTAY_TLS_CERT_FILE"] {
        assert!(error.contains(part), "{error}");
    }
    // Authorities that mean nothing end a node at its start, not at its first request to another one.
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, "no certificate").unwrap();
    let error = Server::refused(&[("BACKSTAY_TLS_CA_FILE", authority.to_str().unwrap())]);
    assert!(error.contains("ca.pem: not certificates"), "{error}");
}
