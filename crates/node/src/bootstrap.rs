//! The bootstrap token, with which humio-operator makes the first user and that user's API token.
//!
//! The operator runs a program of the image that answers with a secret and its hash, keeps both in a Secret,
//! and gives the hash alone to the nodes (`BOOTSTRAP_ROOT_TOKEN_HASHED`). What a hash looks like is between that
//! program and the node. Ours is SHA-256: the secret has 256 random bits, which nobody guesses however fast the
//! hash is; and so a secret that somebody brings must be long.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// What precedes the hash, so that one of another program is told apart.
const SCHEME: &str = "backstay-sha256.";
/// What precedes the secret in an `Authorization` header.
const USER: &str = "localroot~";
/// A secret that somebody brings has so many characters at least.
const MIN_SECRET_CHARS: usize = 32;

/// What a bootstrap token is known by.
#[derive(Clone, PartialEq, Eq)]
pub struct RootTokenHash([u8; SHA256_OUTPUT_LEN]);

/// A secret and its hash.
pub struct RootToken {
    /// What is sent, behind `localroot~`.
    pub secret: String,
    /// The value of `BOOTSTRAP_ROOT_TOKEN_HASHED`.
    pub hash: String,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum RootTokenError {
    /// The secret that was brought can be guessed.
    #[error(
        "the secret has less than {MIN_SECRET_CHARS} characters and can be guessed; leave it out to get one, or bring one of `openssl rand -hex 32`"
    )]
    Weak,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a token")]
    NoRandom,
}

impl RootToken {
    /// Of this secret, or of a new one.
    ///
    /// # Errors
    /// See [`RootTokenError`].
    pub fn of(secret: Option<String>) -> Result<Self, RootTokenError> {
        let secret = match secret {
            Some(secret) if secret.chars().count() < MIN_SECRET_CHARS => {
                return Err(RootTokenError::Weak);
            }
            Some(secret) => secret,
            None => random()?,
        };
        let hash = RootTokenHash::of(&secret).to_string();
        Ok(Self { secret, hash })
    }
}

fn random() -> Result<String, RootTokenError> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| RootTokenError::NoRandom)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl RootTokenHash {
    fn of(secret: &str) -> Self {
        let hash = digest(&SHA256, secret.as_bytes());
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(hash.as_ref());
        Self(bytes)
    }

    /// Whether a request's token is `localroot~` and the secret. What is compared are hashes: how long it
    /// takes says nothing of the secret.
    pub(crate) fn matches(&self, token: &str) -> bool {
        token
            .strip_prefix(USER)
            .is_some_and(|secret| Self::of(secret) == *self)
    }
}

impl fmt::Display for RootTokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for RootTokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootTokenHash(***)")
    }
}

/// A text is not a hash of ours. It is not repeated.
#[derive(Debug, thiserror::Error)]
#[error(
    "not a hash that `backstay token-hash` has made: those begin with `{SCHEME}`, and what LogScale's own program makes means nothing here; make a new pair (with humio-operator: delete the Secret <cluster>-bootstrap-token)"
)]
pub struct NotAHash;

impl FromStr for RootTokenHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let hash = text.strip_prefix(SCHEME).ok_or(NotAHash)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(hash).map_err(|_| NotAHash)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAHash)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_new_token_is_known_by_its_hash_and_no_other_is() {
        let token = RootToken::of(None).unwrap();
        let hash: RootTokenHash = token.hash.parse().unwrap();
        assert!(hash.matches(&format!("localroot~{}", token.secret)));
        assert!(!hash.matches(&token.secret));
        assert!(!hash.matches("localroot~"));
        let other = RootToken::of(None).unwrap();
        assert_ne!(other.secret, token.secret);
        assert!(!hash.matches(&format!("localroot~{}", other.secret)));
        assert!(!format!("{hash:?}").contains(&token.hash));
        let brought = RootToken::of(Some("x".repeat(32))).unwrap();
        assert_eq!(brought.secret, "x".repeat(32));
        assert!(RootToken::of(Some("short".to_owned())).is_err());
    }

    #[test]
    fn what_is_no_hash_of_ours_says_what_to_do_and_is_not_repeated() {
        for text in [
            "P2HS9.20.r+ZbMqd0pHF65h3yQiOt8n1x",
            "backstay-sha256.",
            "backstay-sha256.AAAA",
        ] {
            let error = text.parse::<RootTokenHash>().unwrap_err().to_string();
            assert!(error.contains("bootstrap-token"), "{error}");
            assert!(!error.contains("r+Zb") && !error.contains("AAAA"));
        }
    }
}
