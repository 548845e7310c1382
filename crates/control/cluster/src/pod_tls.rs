//! TLS to a pod: humio-operator has its own authority, gives each pod a certificate for the pod's name
//! (`humiocluster_tls.go`), and keeps the authority's certificate as `ca.crt` in the secret that is
//! called like the cluster. Its own client trusts the same.

use std::sync::Arc;

use backstay_retry::Deadline;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use tokio_rustls::TlsConnector;

use crate::{ClusterError, Region};

/// The key of the authority's certificate, PEM.
const AUTHORITY: &str = "ca.crt";

/// Why there is nothing to trust a pod by.
#[derive(Debug, thiserror::Error)]
enum TrustError {
    /// The secret's key.
    #[error(
        "has no {AUTHORITY}, by which the pods' certificates are trusted; delete it, and \
         cert-manager makes it again"
    )]
    Missing,
    /// Its form.
    #[error(
        "{AUTHORITY} is not a valid certificate; delete the secret, and cert-manager makes it again"
    )]
    Pem(#[source] PemError),
    /// What is in it.
    #[error("{AUTHORITY} is not a certificate of an authority")]
    Certificate(#[source] rustls::Error),
    /// The implementation.
    #[error("TLS cannot be set up")]
    SetUp(#[source] rustls::Error),
    /// The name.
    #[error("{pod} is not a name that a certificate can have")]
    Name {
        /// The pod.
        pod: String,
        /// What is wrong with it.
        #[source]
        source: InvalidDnsNameError,
    },
}

/// How one pod is spoken to.
#[derive(Clone)]
pub(crate) struct Trust {
    pub(crate) connector: TlsConnector,
    pub(crate) name: ServerName<'static>,
}

impl Region {
    /// Reads by what the pods of a cluster are trusted.
    pub(crate) async fn trust(
        &self,
        cluster: &str,
        pod: &str,
        deadline: Deadline,
    ) -> Result<Trust, ClusterError> {
        let secret = self.secret(cluster, deadline).await?;
        let pem = secret.value(AUTHORITY).map(|it| it.expose_secret());
        trusting(pem.unwrap_or_default(), pod)
            .map_err(|problem| self.answer(&format!("secrets {cluster}"), problem))
    }
}

fn trusting(pem: &[u8], pod: &str) -> Result<Trust, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(TrustError::Pem)?;
        roots.add(certificate).map_err(TrustError::Certificate)?;
    }
    if roots.is_empty() {
        return Err(TrustError::Missing);
    }
    let config = ClientConfig::builder_with_provider(backstay_tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(TrustError::SetUp)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(pod.to_owned()).map_err(|source| TrustError::Name {
        pod: pod.to_owned(),
        source,
    })?;
    Ok(Trust {
        connector: TlsConnector::from(Arc::new(config)),
        name,
    })
}
