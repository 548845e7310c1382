//! What a lab's secrets are: made at random once, kept in one file that only its owner can read.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use backstay_pair::Side;
use backstay_token::write_private;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use crate::region::random_key;

/// Why a lab has no secrets.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file of the secrets could not be read or written.
    #[error("cannot keep the lab's secrets in {path}: {source}")]
    File {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// What is in the file.
    #[error(
        "{path} does not hold a lab's secrets ({problem}); without them its buckets cannot be read: \
         restore it, or remove the whole folder"
    )]
    Unreadable {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// Why; no part of the content.
        problem: String,
    },
    /// The lab's certificate could not be made.
    #[error("cannot make the lab's certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// All secrets of a lab except those that its servers make themselves.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Keys {
    /// What buckets are encrypted with and accounts opened with.
    regions: BTreeMap<Side, RegionKeys>,
    /// The certificate for the global name and both regions' own, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub certificate_key: String,
}

/// The secrets of one region.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct RegionKeys {
    encryption: String,
    account: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Those in the file, or new ones written there.
    ///
    /// # Errors
    /// When the file can be neither read nor written, or holds something else.
    pub fn in_file(path: &Path, names: &[String], addresses: &[IpAddr]) -> Result<Self, KeysError> {
        let failed = |source| KeysError::File {
            path: path.to_owned(),
            source,
        };
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| KeysError::Unreadable {
                path: path.to_owned(),
                problem: format!("line {}, column {}", error.line(), error.column()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Self::new(names, addresses)?;
                let text = serde_json::to_vec(&keys).map_err(|it| failed(it.into()))?;
                write_private(path, &text).map_err(failed)?;
                Ok(keys)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn new(names: &[String], addresses: &[IpAddr]) -> Result<Self, KeysError> {
        let mut params = CertificateParams::new(names.to_vec())?;
        let alternatives = addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(alternatives);
        params
            .distinguished_name
            .push(DnType::CommonName, "Backstay lab");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let region = || RegionKeys {
            encryption: random_key(),
            account: STANDARD.encode(rand::rng().random::<[[u8; 32]; 2]>().as_flattened()),
        };
        Ok(Self {
            regions: Side::BOTH.map(|side| (side, region())).into(),
            certificate: certificate.pem(),
            certificate_key: key.serialize_pem(),
        })
    }

    /// What a region's bucket is encrypted with.
    pub fn encryption(&self, side: Side) -> &str {
        self.regions.get(&side).map_or("", |it| &it.encryption)
    }

    /// The key of a region's storage account.
    pub fn account(&self, side: Side) -> &str {
        self.regions.get(&side).map_or("", |it| &it.account)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::os::unix::fs::PermissionsExt;

    use backstay_pair::Side;

    use super::Keys;

    #[test]
    fn they_are_made_once_and_are_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let make = || Keys::in_file(&path, &["logs.test".to_owned()], &[[127, 1, 2, 3].into()]);
        let first = make().unwrap();
        let again = make().unwrap();
        for side in Side::BOTH {
            assert_eq!(first.encryption(side), again.encryption(side));
            assert_eq!(first.account(side), again.account(side));
            assert_eq!(first.encryption(side).len(), 64);
            assert_eq!(first.account(side).len(), 88);
        }
        assert_ne!(
            first.encryption(Side::Primary),
            first.encryption(Side::Secondary)
        );
        assert_eq!(first.certificate, again.certificate);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{first:?}").contains(first.encryption(Side::Primary)));
    }

    #[test]
    fn another_file_is_refused_without_a_word_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        std::fs::write(&path, "{\"regions\": \"hush-hush\"}").unwrap();
        let error = Keys::in_file(&path, &[], &[]).unwrap_err().to_string();
        assert!(
            error.contains("restore it") && !error.contains("hush"),
            "{error}"
        );
    }
}
