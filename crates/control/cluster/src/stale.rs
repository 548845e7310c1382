//! Which TLS secrets would break the new pods.
//!
//! The humio operator has its own authority, in the secret `<cluster>-ca-keypair`, and each pod a
//! certificate signed by it, in a secret of its own. After a round of standby → active → standby the
//! authority may be another one while the old certificates are still there: pods that mount them do
//! not trust those that have new ones. The vendor's function deletes them before it starts the
//! operator, which makes new ones.
//!
//! What may be deleted is therefore only what the operator makes again: certificates that it, or
//! cert-manager on its behalf, has issued for this cluster. The certificate for the global name is
//! never among them; nor is one that a pod mounts, since that pod would not start again.
//!
//! Source: the operator's `pkg/…/tls.go` (<https://github.com/humio/humio-operator>), and
//! <https://cert-manager.io/docs/reference/annotations/>.

use std::collections::BTreeSet;

/// A secret of type `kubernetes.io/tls`, without its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSecret {
    /// `metadata.name`.
    pub name: String,
    /// Tells it from one of the same name before it.
    pub uid: String,
    /// The state that was read (`resourceVersion`).
    pub version: String,
    /// The label `app.kubernetes.io/managed-by`.
    pub managed_by: String,
    /// The label `app.kubernetes.io/instance`.
    pub instance: String,
    /// The annotation `cert-manager.io/issuer-name`.
    pub issuer: String,
    /// The authority that it trusts (`ca.crt`), PEM.
    pub authority: String,
    /// The certificate (`tls.crt`), PEM.
    pub certificate: String,
    /// Whether there is a key (`tls.key`).
    pub has_key: bool,
}

/// What is to become of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not one that the operator makes again.
    NotOurs,
    /// It is the authority itself.
    Authority,
    /// A pod mounts it.
    InUse,
    /// It is as it should be.
    Good,
    /// It is of another authority than the one there is now.
    OtherAuthority,
    /// There is no authority any more; the operator will make a new one.
    NoAuthority,
    /// A part of it is missing or empty.
    Incomplete,
}

impl Fate {
    /// Whether it is to be deleted.
    pub fn is_stale(self) -> bool {
        matches!(
            self,
            Self::OtherAuthority | Self::NoAuthority | Self::Incomplete
        )
    }
}

/// The name of the secret with the operator's own authority.
pub fn authority_of(cluster: &str) -> String {
    format!("{cluster}-ca-keypair")
}

/// What is to become of a secret. `authority` is the certificate (PEM) of the operator's authority as
/// it is now; `mounted` are the secrets that pods mount.
pub fn judge(
    secret: &TlsSecret,
    cluster: &str,
    authority: Option<&str>,
    mounted: &BTreeSet<String>,
) -> Fate {
    let by_operator = secret.managed_by == "humio-operator" && secret.instance == cluster;
    // cert-manager's issuer of the cluster is called as the cluster is.
    let by_issuer = secret.issuer == cluster;
    if secret.name == authority_of(cluster) {
        return Fate::Authority;
    }
    if cluster.is_empty() || !(by_operator || by_issuer) {
        return Fate::NotOurs;
    }
    if mounted.contains(&secret.name) {
        return Fate::InUse;
    }
    let trusted = certificates(&secret.authority);
    if trusted.is_empty() || certificates(&secret.certificate).is_empty() || !secret.has_key {
        return Fate::Incomplete;
    }
    let now = authority.map(certificates).unwrap_or_default();
    if now.is_empty() {
        return Fate::NoAuthority;
    }
    match now.iter().any(|it| trusted.contains(it)) {
        true => Fate::Good,
        false => Fate::OtherAuthority,
    }
}

/// The certificates in a PEM text, each as its base64 without line breaks, so that it does not
/// matter how it is wrapped.
fn certificates(pem: &str) -> BTreeSet<String> {
    let blocks = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = blocks.filter_map(|it| it.split_once("-----END CERTIFICATE-----"));
    bodies
        .map(|(body, _)| body.split_whitespace().collect::<String>())
        .filter(|it| !it.is_empty())
        .collect()
}

#[cfg(test)]
mod tests;
