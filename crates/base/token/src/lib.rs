//! A server's own token: made at first start, kept in a file that only its owner can read, and in
//! memory only as its hash. And such files for other secrets ([`write_private`]).
//!
//! The node's administrator and the traffic manager's Resource Manager API are let in by one.

mod followed;

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Digest, SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

pub use followed::Followed;

/// A token has so many characters at least.
const MIN_TOKEN_CHARS: usize = 16;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be made or read.
    #[error(
        "{path}: the token cannot be kept here: {source}; make the folder writable or name another file with {named_by}"
    )]
    File {
        /// Where the token is kept.
        path: PathBuf,
        /// The flag or variable that names it.
        named_by: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be read any more.
    #[error("{path}: the token cannot be read: {source}; put it back, readable for this process")]
    Unreadable {
        /// Where the token is kept.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What it holds can be guessed.
    #[error(
        "{path}: the token in it has less than {MIN_TOKEN_CHARS} characters and can be guessed; put a generated one there (for example from `openssl rand -hex 32`), or delete the file and start again to get one"
    )]
    Weak {
        /// Where the token is kept.
        path: PathBuf,
    },
    /// The file is there but holds no token.
    #[error("{path}: no token in it; delete the file and start again to get a new one")]
    Empty {
        /// Where the token is kept.
        path: PathBuf,
    },
}

/// What is needed to recognise the token: its hash, so that comparing takes the same time for
/// every wrong token and a dump of memory shows none. A token that replaces it in its file counts from
/// then on, within a second.
#[derive(Clone)]
pub struct FileToken(Arc<Followed<Digest, TokenError>>);

impl FileToken {
    /// Reads the token from `path`, or makes a new one there with mode 0600. `named_by` is the
    /// flag or variable that names the file, for the error.
    ///
    /// # Errors
    /// When the file cannot be used, or holds nothing.
    pub fn at(path: &Path, named_by: &'static str) -> Result<Self, TokenError> {
        let file = |source| TokenError::File {
            path: path.to_owned(),
            named_by,
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(file)?;
        }
        if !path.exists() {
            make(path).map_err(file)?;
        }
        match Followed::new(path, read) {
            Ok(followed) => Ok(Self(Arc::new(followed))),
            Err(TokenError::Unreadable { source, .. }) => Err(file(source)),
            Err(error) => Err(error),
        }
    }

    /// Whether it is this one.
    pub fn matches(&self, token: &str) -> bool {
        digest(&SHA256, token.as_bytes()).as_ref() == (*self.0.get()).as_ref()
    }
}

impl fmt::Debug for FileToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileToken(***)")
    }
}

/// The hash of the token in a file.
fn read(path: &Path) -> Result<Digest, TokenError> {
    let text = std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    match text.trim() {
        "" => Err(TokenError::Empty {
            path: path.to_owned(),
        }),
        token if token.chars().count() < MIN_TOKEN_CHARS => Err(TokenError::Weak {
            path: path.to_owned(),
        }),
        token => Ok(digest(&SHA256, token.as_bytes())),
    }
}

/// Written beside its place and linked there: a crash leaves no half token, and of two processes
/// that start at once one wins.
fn make(path: &Path) -> std::io::Result<()> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
    backstay_files::create(path, |file| {
        writeln!(file, "{}", URL_SAFE_NO_PAD.encode(bytes))
    })
}

/// Writes a file that only its owner may read, whole or not at all; what was there before is
/// replaced.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    backstay_files::replace(path, |file| file.write_all(bytes))
}

#[cfg(test)]
mod tests;
