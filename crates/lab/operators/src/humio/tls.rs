//! The certificates of a cluster with `spec.tls.enabled`, as humio-operator has cert-manager make them
//! (`humiocluster_tls.go`):
//!
//! | secret | what it holds |
//! |---|---|
//! | `<cluster>-ca-keypair` | the authority, `tls.crt` and `tls.key`; one of another name where `spec.tls.caSecretName` says so |
//! | `<cluster>` | a certificate of the cluster's services, and `ca.crt`, by which clients in the region trust |
//! | `<cluster>-keystore-passphrase` | `passphrase`, of the keystores |
//! | `<pod>` | `tls.crt`, `tls.key` and `ca.crt` of one pod |
//!
//! Two things are other than there. The secret of a pod is made when the pod has its address, which
//! stands in the certificate, since a lab has no DNS by which nodes could find each other's names; the
//! pod waits for it. And no keystore of Java is made: a node reads PEM.
//!
//! As there, a new authority does not renew what the one before has signed: a secret `<cluster>` whose
//! `ca.crt` is no longer right stays until somebody deletes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};

use super::support;
use super::template::POOL;
use crate::api::{Objects, POD, RunError, SECRET, array, text};
use crate::pod;

/// Where a pod has its certificate.
pub(super) const MOUNT: &str = "/var/lib/humio/tls-certificate-secret";
/// The key of the secret of the keystores' passphrase.
pub(super) const PASSPHRASE: &str = "passphrase";
/// The operator's own name for the authority that it makes.
const AUTHORITY: &str = "humio-operator";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Whether the nodes of a cluster speak TLS.
pub(super) fn is_enabled(spec: &Value) -> bool {
    spec.pointer("/tls/enabled").and_then(Value::as_bool) == Some(true)
}

/// The secret of the keystores' passphrase.
pub(super) fn passphrase(cluster: &str) -> String {
    format!("{cluster}-keystore-passphrase")
}

/// What signs a cluster's certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Makes what is missing besides the pods' own. The inner error is a problem of the specification.
pub(super) async fn ensure(
    objects: &Objects,
    cluster: &DynamicObject,
) -> Result<Result<Authority, Refused>, RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = cluster.name_any();
    let theirs = text(&cluster.data, "/spec/tls/caSecretName");
    let pair = match theirs {
        "" => format!("{name}-ca-keypair"),
        theirs => theirs.to_owned(),
    };
    if theirs.is_empty() && objects.get(SECRET, &namespace, &pair).await?.is_none() {
        let secret = secret(cluster, &pair, "Opaque", &new_authority()?);
        objects.create(SECRET, &namespace, secret).await?;
    }
    let Some(found) = objects.get(SECRET, &namespace, &pair).await? else {
        return Ok(Err(Refused::NoSecret(pair)));
    };
    let authority = match authority(&found) {
        Ok(authority) => authority,
        Err(source) => {
            return Ok(Err(Refused::Authority {
                secret: pair,
                source,
            }));
        }
    };
    if objects.get(SECRET, &namespace, &name).await?.is_none() {
        let names = ["", "-headless", "-internal"].map(|what| format!("{name}{what}.{namespace}"));
        let names = names.into_iter().chain(extra(cluster)).collect();
        let data = authority.sign(names, None)?;
        let secret = secret(cluster, &name, "kubernetes.io/tls", &data);
        objects.create(SECRET, &namespace, secret).await?;
    }
    let phrase = passphrase(&name);
    if objects.get(SECRET, &namespace, &phrase).await?.is_none() {
        let data = [(PASSPHRASE, support::random()?)];
        let secret = secret(cluster, &phrase, "Opaque", &data);
        objects.create(SECRET, &namespace, secret).await?;
    }
    Ok(Ok(authority))
}

/// The certificates of those pods that have an address and none yet.
pub(super) async fn ensure_nodes(
    objects: &Objects,
    cluster: &DynamicObject,
    authority: &Authority,
    pods: &[DynamicObject],
) -> Result<(), RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    for pod in pods {
        let Ok(address) = text(&pod.data, "/status/podIP").parse() else {
            continue;
        };
        let name = pod.name_any();
        if objects.get(SECRET, &namespace, &name).await?.is_some() {
            continue;
        }
        let names = names(cluster, pod).into_iter().chain(extra(cluster));
        let data = authority.sign(names.collect(), Some(address))?;
        let mut secret = secret(cluster, &name, "kubernetes.io/tls", &data);
        secret["metadata"]["labels"][POOL] = json!(pod::label(pod, POOL));
        // It goes with the pod, so that one which comes by the same name gets its own.
        secret["metadata"]["ownerReferences"] = POD.owner(pod);
        objects.create(SECRET, &namespace, secret).await?;
    }
    Ok(())
}

/// By which a pod is reached (`ConstructNodeCertificate`).
fn names(cluster: &DynamicObject, pod: &DynamicObject) -> Vec<String> {
    let (cluster, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let name = pod.name_any();
    vec![
        format!("{name}.{cluster}-headless.{namespace}"),
        name,
        format!("{}.{namespace}", pod::label(pod, POOL)),
        format!("{cluster}-headless.{namespace}"),
        format!("{cluster}-internal.{namespace}"),
    ]
}

fn extra(cluster: &DynamicObject) -> impl Iterator<Item = String> {
    let listed = array(&cluster.data, "/spec/tls/extraHostnames").iter();
    listed.filter_map(Value::as_str).map(str::to_owned)
}

impl Authority {
    /// A certificate for these names, with its key and the authority's certificate.
    fn sign(
        &self,
        names: Vec<String>,
        address: Option<std::net::IpAddr>,
    ) -> Result<[(&'static str, String); 3], rcgen::Error> {
        let mut parameters = CertificateParams::new(names)?;
        parameters
            .subject_alt_names
            .extend(address.map(SanType::IpAddress));
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok([
            (CERTIFICATE, certificate.pem()),
            (KEY, key.serialize_pem()),
            ("ca.crt", self.pem.clone()),
        ])
    }
}

fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    let name = &mut parameters.distinguished_name;
    *name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, AUTHORITY);
    parameters
}

fn new_authority() -> Result<[(&'static str, String); 2], rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = authority_parameters().self_signed(&key)?;
    Ok([(CERTIFICATE, certificate.pem()), (KEY, key.serialize_pem())])
}

/// Why a cluster gets no certificates. The texts end in its status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("spec.tls.caSecretName: there is no secret {0:?}; make it, or remove the field")]
    NoSecret(String),
    #[error("secret {secret:?}: {source}; give it a certificate and its key, or delete it")]
    Authority {
        secret: String,
        #[source]
        source: NoAuthority,
    },
}

/// Why a secret is no authority. No part of what it holds is told.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAuthority {
    #[error("did not find key {0} in it")]
    Missing(&'static str),
    #[error("{KEY} is no key in PEM: {0}")]
    Key(#[source] rcgen::Error),
}

/// One that the operator has made; who else signs by another name is not told apart.
fn authority(secret: &DynamicObject) -> Result<Authority, NoAuthority> {
    let held = |key: &'static str| {
        let encoded = secret.data["data"][key].as_str().unwrap_or_default();
        let bytes = STANDARD.decode(encoded).unwrap_or_default();
        let held = String::from_utf8(bytes).unwrap_or_default();
        Some(held)
            .filter(|held| !held.is_empty())
            .ok_or(NoAuthority::Missing(key))
    };
    let pem = held(CERTIFICATE)?;
    let key = KeyPair::from_pem(&held(KEY)?).map_err(NoAuthority::Key)?;
    let issuer = Issuer::new(authority_parameters(), key);
    Ok(Authority { issuer, pem })
}

fn secret(cluster: &DynamicObject, name: &str, kind: &str, data: &[(&str, String)]) -> Value {
    let data: serde_json::Map<String, Value> = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value))))
        .collect();
    let mut secret = support::document(cluster, name);
    secret["type"] = json!(kind);
    secret["data"] = json!(data);
    secret
}

#[cfg(test)]
mod tests;
