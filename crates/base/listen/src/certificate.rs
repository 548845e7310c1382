//! A certificate and its key in files, which are read again when they change.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Tls, server_config};

/// How often the files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Files that have changed are read once more after so long: they may be half written.
const REREAD_DELAY: Duration = Duration::from_millis(300);

/// Why a certificate cannot be used. What is wrong with a key is not quoted.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The certificate's or the key's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no certificate.
    #[error("{}: not a certificate chain in PEM; give the certificate and then its issuers", .0.display())]
    Certificate(PathBuf),
    /// There is no key.
    #[error("{}: not a private key in PEM (PKCS #8, PKCS #1 or SEC 1, without a password)", .0.display())]
    Key(PathBuf),
    /// They do not belong to each other, or are of no use.
    #[error("{} with the key {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The file of the certificate's chain.
        certificate: PathBuf,
        /// The file of the private key.
        key: PathBuf,
        /// What rustls holds against them.
        #[source]
        source: rustls::Error,
    },
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    /// Of what was read last. The key itself is not kept.
    seen: u64,
    hash: RandomState,
}

/// What is in the files.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    /// Reads them for the first time.
    pub(crate) fn open(
        certificate: &Path,
        key: &Path,
    ) -> Result<(Self, Arc<ServerConfig>), CertificateError> {
        let mut files = Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            seen: 0,
            hash: RandomState::new(),
        };
        let contents = files.read()?;
        files.seen = files.fingerprint(&contents);
        let config = files.config(&contents)?;
        Ok((files, config))
    }

    fn read(&self) -> Result<Contents, CertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| CertificateError::File {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    fn fingerprint(&self, contents: &Contents) -> u64 {
        self.hash.hash_one((&contents.certificate, &contents.key))
    }

    fn config(&self, contents: &Contents) -> Result<Arc<ServerConfig>, CertificateError> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&contents.certificate).collect();
        let chain = chain.unwrap_or_default();
        if chain.is_empty() {
            return Err(CertificateError::Certificate(self.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| CertificateError::Key(self.key.clone()))?;
        server_config(chain, key).map_err(|source| CertificateError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }

    /// Gives `tls` what is in the files, whenever that changes. Runs until it is dropped.
    pub(crate) async fn follow(self, tls: Tls) {
        // Without a handler, the files are looked at all the same.
        let hangup = signal(SignalKind::hangup()).ok();
        self.follow_every(POLL_INTERVAL, hangup, tls).await;
    }

    async fn follow_every(mut self, look: Duration, mut hangup: Option<Signal>, tls: Tls) {
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(look) => false,
                () = received(&mut hangup) => true,
            };
            let looking = tokio::task::spawn_blocking(move || {
                let found = self.look(asked);
                (self, found)
            });
            // It does not panic, and is not cancelled but with this.
            let Ok((files, found)) = looking.await else {
                return;
            };
            self = files;
            match found {
                Ok(Some(config)) => {
                    tls.exchange(config);
                    tracing::info!(certificate = %self.certificate.display(), "the certificate was reloaded");
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(
                    %error,
                    "the certificate has changed and cannot be used; the one before stays in use"
                ),
            }
        }
    }

    /// What is new in the files. An error is told of once, unless it is `asked` for.
    fn look(&mut self, asked: bool) -> Result<Option<Arc<ServerConfig>>, CertificateError> {
        let contents = match self.read() {
            Ok(contents) => contents,
            Err(error) => {
                let first = std::mem::replace(&mut self.seen, 0) != 0;
                return if first || asked { Err(error) } else { Ok(None) };
            }
        };
        let found = self.fingerprint(&contents);
        if found == self.seen && !asked {
            return Ok(None);
        }
        if found != self.seen {
            std::thread::sleep(REREAD_DELAY);
            if self.fingerprint(&self.read()?) != found {
                // It is being written; it is looked at again soon.
                return Ok(None);
            }
        }
        self.seen = found;
        self.config(&contents).map(Some)
    }
}

async fn received(hangup: &mut Option<Signal>) {
    if let Some(signal) = hangup
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests;
