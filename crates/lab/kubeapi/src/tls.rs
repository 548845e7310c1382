//! The server's certificate, from an authority of its own. Both are kept in a folder, so that a
//! kubeconfig stays good over a restart.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{Datelike as _, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const AUTHORITY: &str = "ca.crt";
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
/// A lab's certificate is good for so many years. Who has one for longer removes the folder.
const VALID_YEARS: i32 = 10;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the certificate could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate's file is there and cannot be used.
    #[error("{path}: cannot use the certificate: {problem}; remove it, and a new one is made")]
    Use {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong, in words for the message.
        problem: String,
    },
}

/// What the server shows, and what clients check it by.
pub(crate) struct Certificates {
    pub authority_pem: String,
    pub config: Arc<rustls::ServerConfig>,
}

/// The certificates in `folder`, made where they are missing or not for `address`.
pub(crate) fn certificates(folder: &Path, address: IpAddr) -> Result<Certificates, TlsError> {
    let certificate_path = folder.join(CERTIFICATE);
    let named = folder.join(format!("{address}.named"));
    let complete = [AUTHORITY, CERTIFICATE, KEY]
        .iter()
        .all(|file| folder.join(file).is_file());
    if !complete || !named.is_file() {
        make(folder, address)?;
        write_private(&named, b"")?;
    }
    let read = |file: &str| {
        let path = folder.join(file);
        fs::read(&path).map_err(|source| TlsError::File { path, source })
    };
    let unusable = |problem: String| TlsError::Use {
        path: certificate_path.clone(),
        problem,
    };
    let authority_pem = String::from_utf8(read(AUTHORITY)?)
        .map_err(|_| unusable(format!("{AUTHORITY} is not text")))?;
    let chain = CertificateDer::pem_slice_iter(&read(CERTIFICATE)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_slice(&read(KEY)?).map_err(|error| unusable(error.to_string()))?;
    let config =
        backstay_listen::server_config(chain, key).map_err(|error| unusable(error.to_string()))?;
    Ok(Certificates {
        authority_pem,
        config,
    })
}

fn make(folder: &Path, address: IpAddr) -> Result<(), TlsError> {
    let year = Utc::now().year();
    let valid = |params: &mut CertificateParams| {
        // From last year on: the clocks of a region may differ.
        params.not_before = date_time_ymd(year - 1, 1, 1);
        params.not_after = date_time_ymd(year + VALID_YEARS, 1, 1);
    };
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority
        .distinguished_name
        .push(DnType::CommonName, "backstay lab authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut authority);
    let authority_certificate = authority.self_signed(&authority_key)?;

    let server_key = KeyPair::generate()?;
    let mut names = vec![
        "localhost".to_owned(),
        "kubernetes".to_owned(),
        "kubernetes.default.svc".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let bound = address.to_string();
    if !names.contains(&bound) {
        names.push(bound);
    }
    let mut server = CertificateParams::new(names)?;
    server
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    valid(&mut server);
    // The authority's key is not kept: it signs this one certificate.
    let issuer = Issuer::new(authority, authority_key);
    let server_certificate = server.signed_by(&server_key, &issuer)?;

    let files = [
        (KEY, server_key.serialize_pem()),
        (CERTIFICATE, server_certificate.pem()),
        (AUTHORITY, authority_certificate.pem()),
    ];
    for (file, text) in files {
        write_private(&folder.join(file), text.as_bytes())?;
    }
    Ok(())
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    backstay_token::write_private(path, bytes).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}
