//! The certificates that are shown, from the secrets that ingresses name.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::host;

/// Certificates by the host that they are for.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    hosts: HashMap<String, Arc<CertifiedKey>>,
    /// For a client that names no host, or one that has none of its own.
    otherwise: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    fn of(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let named = host.and_then(host::normal).and_then(|host| {
            let wildcard = host::wildcard(&host);
            let named = self.hosts.get(&host);
            named.or_else(|| self.hosts.get(wildcard.as_ref()?))
        });
        named.or(self.otherwise.as_ref()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of(hello.server_name())
    }
}

/// A host, the secret for it, and the secret's version.
type Named = (String, String, String);

/// Keeps what was read of secrets: a secret that becomes unusable is shown as it was before.
#[derive(Default)]
pub(crate) struct Keeper {
    read: HashMap<String, (String, Option<Arc<CertifiedKey>>)>,
    named: Vec<Named>,
}

impl Keeper {
    /// The certificates for these ingresses, the oldest first. `None` when they are as they were.
    pub(crate) fn update(
        &mut self,
        ingresses: &[&Ingress],
        secrets: &[Arc<Secret>],
    ) -> Option<Certificates> {
        let secrets: HashMap<&str, &Secret> = secrets
            .iter()
            .filter_map(|secret| Some((secret.metadata.name.as_deref()?, secret.as_ref())))
            .collect();
        let named = named(ingresses, &secrets);
        if named == self.named {
            return None;
        }
        self.read
            .retain(|name, _| secrets.contains_key(name.as_str()));
        let mut certificates = Certificates::default();
        for (host, name, version) in &named {
            let Some(secret) = secrets.get(name.as_str()) else {
                continue;
            };
            let Some(certificate) = self.certificate(name, version, secret) else {
                continue;
            };
            certificates
                .otherwise
                .get_or_insert(Arc::clone(&certificate));
            if !host.is_empty() {
                let host = host.clone();
                certificates.hosts.entry(host).or_insert(certificate);
            }
        }
        self.named = named;
        Some(certificates)
    }

    fn certificate(
        &mut self,
        name: &str,
        version: &str,
        secret: &Secret,
    ) -> Option<Arc<CertifiedKey>> {
        let (known, certificate) = self.read.entry(name.to_owned()).or_default();
        if known != version {
            version.clone_into(known);
            match read(secret) {
                Ok(good) => *certificate = Some(Arc::new(good)),
                Err(problem) => tracing::warn!(
                    secret = name,
                    problem,
                    kept = certificate.is_some(),
                    "the certificate cannot be used; the one before it is shown, if there was one"
                ),
            }
        }
        certificate.clone()
    }
}

fn named(ingresses: &[&Ingress], secrets: &HashMap<&str, &Secret>) -> Vec<Named> {
    let mut named = Vec::new();
    for tls in ingresses
        .iter()
        .filter_map(|ingress| ingress.spec.as_ref())
        .flat_map(|spec| spec.tls.iter().flatten())
    {
        let Some(secret) = tls.secret_name.as_deref() else {
            continue;
        };
        let version = secrets
            .get(secret)
            .and_then(|secret| secret.metadata.resource_version.clone())
            .unwrap_or_default();
        let mut hosts: Vec<String> = tls
            .hosts
            .iter()
            .flatten()
            .filter_map(|host| host::normal(host))
            .collect();
        if hosts.is_empty() {
            hosts.push(String::new());
        }
        named.extend(
            hosts
                .into_iter()
                .map(|host| (host, secret.to_owned(), version.clone())),
        );
    }
    named
}

/// Reads a secret of type `kubernetes.io/tls`. What is wrong is said without a word of what is in
/// it: errors of PEM quote the line.
fn read(secret: &Secret) -> Result<CertifiedKey, &'static str> {
    let part = |name: &str| secret.data.as_ref().and_then(|data| data.get(name));
    let chain = part("tls.crt").ok_or("it has no tls.crt")?;
    let chain = CertificateDer::pem_slice_iter(&chain.0)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "its tls.crt is not PEM")?;
    if chain.is_empty() {
        return Err("there is no certificate in its tls.crt");
    }
    let key = part("tls.key").ok_or("it has no tls.key")?;
    let key = PrivateKeyDer::from_pem_slice(&key.0)
        .map_err(|_| "there is no private key in PEM in its tls.key")?;
    CertifiedKey::from_der(chain, key, &backstay_tls::provider())
        .map_err(|_| "its tls.key is not the key of its tls.crt, or of a kind that is not known")
}

#[cfg(test)]
mod tests;
