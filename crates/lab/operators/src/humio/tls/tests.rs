#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::*;

fn document(metadata: Value, more: Value) -> DynamicObject {
    let mut document = more;
    document["metadata"] = metadata;
    serde_json::from_value(document).unwrap()
}

fn cluster() -> DynamicObject {
    document(
        json!({ "name": "z1pri-lab", "namespace": "logging", "uid": "u" }),
        json!({ "spec": { "tls": { "enabled": true, "extraHostnames": ["logs.example.com"] } } }),
    )
}

fn kept(data: &[(&'static str, String); 2]) -> DynamicObject {
    serde_json::from_value(secret(&cluster(), "z1pri-lab-ca-keypair", "Opaque", data)).unwrap()
}

fn is_trusted(ca: &str, certificate: &str, name: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), backstay_tls::provider())
            .build()
            .unwrap();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(&certificate, &[], &name, &[], UnixTime::now())
        .is_ok()
}

/// `ConstructNodeCertificate` in `humiocluster_tls.go`, and the address of the pod besides.
#[test]
fn a_pods_certificate_has_all_its_names_and_the_authority_that_was_kept() {
    let made = new_authority().unwrap();
    // Read again each time, as after a restart of the operator.
    let authority = authority(&kept(&made)).unwrap_or_else(|why| panic!("{why}"));
    let pod = document(
        json!({ "name": "z1pri-lab-ui-core-abcdef", "labels": { POOL: "z1pri-lab-ui" } }),
        json!({}),
    );
    let cluster = cluster();
    let all = names(&cluster, &pod).into_iter().chain(extra(&cluster));
    let address = Some("127.31.1.7".parse().unwrap());
    let [certificate, key, ca] = authority.sign(all.collect(), address).unwrap();
    assert_eq!(
        (certificate.0, key.0, ca.0),
        ("tls.crt", "tls.key", "ca.crt")
    );
    assert_eq!(ca.1, made[0].1);
    assert!(KeyPair::from_pem(&key.1).is_ok());
    for name in [
        "z1pri-lab-ui-core-abcdef.z1pri-lab-headless.logging",
        "z1pri-lab-ui-core-abcdef",
        "z1pri-lab-ui.logging",
        "z1pri-lab-headless.logging",
        "z1pri-lab-internal.logging",
        "logs.example.com",
        "127.31.1.7",
    ] {
        assert!(is_trusted(&ca.1, &certificate.1, name), "{name}");
    }
    for name in ["z1pri-lab.logging", "127.31.1.8"] {
        assert!(!is_trusted(&ca.1, &certificate.1, name), "{name}");
    }
    let other = new_authority().unwrap();
    assert!(!is_trusted(
        &other[0].1,
        &certificate.1,
        "z1pri-lab-internal.logging"
    ));
}

#[test]
fn what_is_no_authority_is_told_without_its_key() {
    let made = new_authority().unwrap();
    let mut without = kept(&made);
    without.data["data"]
        .as_object_mut()
        .unwrap()
        .remove("tls.key");
    let why = authority(&without).err().unwrap().to_string();
    assert!(why.contains("did not find key tls.key"), "{why}");
    let mut odd = kept(&made);
    odd.data["data"]["tls.key"] = json!(STANDARD.encode("hush"));
    let why = authority(&odd).err().unwrap().to_string();
    assert!(
        why.contains("no key in PEM") && !why.contains("hush"),
        "{why}"
    );
}

/// `TLSEnabled` in `helpers.go`, for an operator without cert-manager unless a cluster asks for it.
#[test]
fn a_cluster_that_says_nothing_speaks_no_tls() {
    for (spec, enabled) in [
        (json!({}), false),
        (json!({ "tls": {} }), false),
        (json!({ "tls": { "enabled": false } }), false),
        (json!({ "tls": { "enabled": true } }), true),
    ] {
        assert_eq!(is_enabled(&spec), enabled, "{spec}");
    }
}
