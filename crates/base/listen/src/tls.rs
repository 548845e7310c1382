//! What is shown to clients that come by TLS.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use tokio_rustls::TlsAcceptor;

use crate::certificate::{CertificateError, CertificateFiles};

/// TLS of a server. What a copy of it [exchanges](Self::exchange) counts from the next handshake
/// on; open connections go on as they are.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
    files: Option<CertificateFiles>,
}

impl Tls {
    /// With this to begin with.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self {
            config: Arc::new(ArcSwap::new(config)),
            files: None,
        }
    }

    /// With a certificate chain and its key, both PEM. The server that has this looks at the files
    /// every few seconds, and at once when the process gets SIGHUP. What cannot be used, as when
    /// only one of the two files has been written yet, is told to the log, and the certificate
    /// before it stays in use.
    ///
    /// # Errors
    /// When they cannot be used now.
    pub fn of_files(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let (files, config) = CertificateFiles::open(certificate, key)?;
        Ok(Self {
            files: Some(files),
            ..Self::new(config)
        })
    }

    /// From now on with this.
    pub fn exchange(&self, config: Arc<ServerConfig>) {
        self.config.store(config);
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config())
    }

    /// Keeps up with the files, if there are any, until it is dropped.
    pub(crate) async fn follow(self) {
        if let Some(files) = self.files.clone() {
            files.follow(self).await;
        }
    }
}

/// One certificate for every client.
///
/// # Errors
/// When the key is not that of the certificate, or of a kind that is not known.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = backstay_tls::provider();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(http1(config))
}

/// A certificate that depends on whom the client wants to talk to.
///
/// # Errors
/// When no version of TLS can be had.
pub fn server_config_by(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = backstay_tls::provider();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    Ok(http1(config))
}

fn http1(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
