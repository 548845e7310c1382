//! The admin token: made at first start, kept in a file that only the owner can read.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// Why there is no admin token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be made or read.
    #[error(
        "{path}: the admin token cannot be kept here: {source}; make the folder writable or set BACKSTAY_ADMIN_TOKEN_FILE"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is there but holds no token.
    #[error("{path}: no token in it; delete the file and start again to get a new one")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a token")]
    Random,
}

/// What is needed to recognise the admin token: its hash, so that comparing takes the same time
/// for every wrong token and a dump of memory shows none.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AdminToken([u8; SHA256_OUTPUT_LEN]);

impl AdminToken {
    /// Reads the token from `path`, or makes a new one there with mode 0600.
    pub(crate) fn at(path: &Path) -> Result<Self, TokenError> {
        let file = |source| TokenError::File {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(file)?;
        }
        let fresh = random_token().ok_or(TokenError::Random)?;
        // Written beside its place and linked there: a crash leaves no half token, and of two
        // processes that start at once one wins.
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(fresh.as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            })
            .and_then(|()| match std::fs::hard_link(&beside, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            });
        let removed = std::fs::remove_file(&beside);
        written.map_err(file)?;
        removed.map_err(file)?;
        let text = std::fs::read_to_string(path).map_err(file)?;
        match text.trim() {
            "" => Err(TokenError::Empty {
                path: path.to_owned(),
            }),
            token => Ok(Self(hash(token))),
        }
    }

    /// Whether `token` is the admin token.
    pub(crate) fn matches(&self, token: &str) -> bool {
        hash(token) == self.0
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

fn hash(token: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut out = [0; SHA256_OUTPUT_LEN];
    for (to, from) in out
        .iter_mut()
        .zip(digest(&SHA256, token.as_bytes()).as_ref())
    {
        *to = *from;
    }
    out
}

fn random_token() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
