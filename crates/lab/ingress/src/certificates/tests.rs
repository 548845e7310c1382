#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

use super::*;

fn pem(host: &str) -> (String, String) {
    let made = generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn secret(name: &str, version: u32, certificate: &str, key: &str) -> Arc<Secret> {
    let secret = json!({
        "metadata": { "name": name, "resourceVersion": version.to_string() },
        "type": "kubernetes.io/tls",
        "data": { "tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key) },
    });
    Arc::new(serde_json::from_value(secret).unwrap())
}

fn ingress(tls: Value) -> Ingress {
    serde_json::from_value(json!({ "spec": { "tls": tls } })).unwrap()
}

fn shown(certificates: &Certificates, host: Option<&str>) -> Option<Vec<u8>> {
    Some(certificates.of(host)?.cert.first()?.to_vec())
}

fn der(certificate: &str) -> Option<Vec<u8>> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    Some(der.to_vec())
}

#[test]
fn a_host_is_shown_its_own_certificate() {
    let (a, a_key) = pem("a.example.com");
    let (w, w_key) = pem("*.example.com");
    let ingress = ingress(json!([
        { "hosts": ["*.example.com"], "secretName": "wild" },
        { "hosts": ["A.example.com"], "secretName": "a" },
        { "hosts": ["b.example.com"], "secretName": "not there" },
        { "hosts": ["c.example.com"] },
    ]));
    let secrets = [secret("wild", 1, &w, &w_key), secret("a", 1, &a, &a_key)];
    let certificates = Keeper::default().update(&[&ingress], &secrets).unwrap();
    for (host, certificate) in [
        (Some("a.example.com"), &a),
        (Some("b.example.com"), &w),
        (Some("other.net"), &w),
        (None, &w),
    ] {
        assert_eq!(shown(&certificates, host), der(certificate), "{host:?}");
    }
    let nothing = Keeper::default().update(&[&ingress], &[]).unwrap();
    assert_eq!(shown(&nothing, Some("a.example.com")), None);
}

#[test]
fn a_certificate_that_cannot_be_used_leaves_the_one_before() {
    let (first, first_key) = pem("a");
    let (second, second_key) = pem("a");
    let ingress = ingress(json!([{ "secretName": "s" }]));
    let mut keeper = Keeper::default();
    let mut update = |version, certificate: &str, key: &str| {
        let secrets = [secret("s", version, certificate, key)];
        let certificates = keeper.update(&[&ingress], &secrets)?;
        Some(shown(&certificates, None))
    };
    assert_eq!(update(1, &first, &first_key), Some(der(&first)));
    assert_eq!(update(1, &first, &first_key), None);
    assert_eq!(update(2, &second, &first_key), Some(der(&first)));
    assert_eq!(update(3, "", &second_key), Some(der(&first)));
    assert_eq!(update(4, &second, "nonsense"), Some(der(&first)));
    assert_eq!(update(5, &second, &second_key), Some(der(&second)));
    assert_eq!(
        keeper.update(&[&ingress], &[]).map(|it| shown(&it, None)),
        Some(None)
    );
}

#[test]
fn what_is_wrong_is_said_without_what_is_in_it() {
    let (good, key) = pem("a");
    let (other, _) = pem("a");
    let problem =
        |certificate: &str, key: &str| read(&secret("s", 1, certificate, key)).unwrap_err();
    assert!(problem("", &key).contains("no certificate"));
    assert!(problem("-----BEGIN CERT", &key).contains("tls.crt"));
    assert!(problem(&good, "-----BEGIN s3cret").contains("no private key"));
    assert!(problem(&other, &key).contains("not the key"));
    assert!(read(&secret("s", 1, &good, &key)).is_ok());
    assert!(read(&Secret::default()).unwrap_err().contains("no tls.crt"));
}
