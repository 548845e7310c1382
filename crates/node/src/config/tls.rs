//! Where a node finds its certificate, and the authorities of the other nodes.
//!
//! humio-operator has cert-manager make a secret for each pod, with keystores of Java and, beside them,
//! the same as PEM (`tls.crt`, `tls.key`, `ca.crt`); it names the keystores alone. PEM is what is read.

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::read::Reader;

const KEYSTORE: &str = "TLS_KEYSTORE_LOCATION";
const TRUSTSTORE: &str = "TLS_TRUSTSTORE_LOCATION";
const CERTIFICATE: &str = "BACKSTAY_TLS_CERT_FILE";
const KEY: &str = "BACKSTAY_TLS_KEY_FILE";
const AUTHORITY: &str = "BACKSTAY_TLS_CA_FILE";

/// What a node shows to those who connect to it. Read again when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and then its issuers, PEM.
    pub certificate: PathBuf,
    /// The certificate's key, PEM, without a password.
    pub key: PathBuf,
    /// The variable that they follow from.
    pub named_by: &'static str,
}

/// Who vouches for the other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Certificates, PEM.
    pub file: PathBuf,
    /// Whether the file must be there. Beside a keystore it may be missing, as where the issuer is a
    /// public one: the system's authorities count then.
    pub is_required: bool,
}

pub(super) fn from_env(
    read: &Reader<'_>,
) -> Result<(Option<TlsFiles>, Option<Authority>), ConfigError> {
    let path = |name| read.text(name).map(PathBuf::from);
    let (keystore, truststore) = (path(KEYSTORE), path(TRUSTSTORE));
    let (certificate, key, authority) = (path(CERTIFICATE), path(KEY), path(AUTHORITY));
    let files = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate,
            key,
            named_by: CERTIFICATE,
        }),
        (None, None) => keystore.as_deref().map(|keystore| TlsFiles {
            certificate: keystore.with_file_name("tls.crt"),
            key: keystore.with_file_name("tls.key"),
            named_by: KEYSTORE,
        }),
        (Some(_), None) => return Err(lacks(CERTIFICATE, KEY)),
        (None, Some(_)) => return Err(lacks(KEY, CERTIFICATE)),
    };
    let beside = |store: &Path| Authority {
        file: store.with_file_name("ca.crt"),
        is_required: false,
    };
    let named = authority.map(|file| Authority {
        file,
        is_required: true,
    });
    let authority = named.or_else(|| truststore.or(keystore).as_deref().map(beside));
    Ok((files, authority))
}

fn lacks(set: &str, unset: &str) -> ConfigError {
    ConfigError::Value {
        variable: set.to_owned(),
        problem: format!("needs {unset} beside it: a certificate and its key are two files"),
    }
}

#[cfg(test)]
mod tests;
