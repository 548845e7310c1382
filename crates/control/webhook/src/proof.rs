//! Whether a token of Entra is genuine, and for us: RS256 and nothing else.
//!
//! `jsonwebtoken` reads tokens and checks their claims. It leaves the cryptography to be chosen;
//! ours is `ring`, as everywhere in this project, and it offers this one algorithm: there is no
//! code here by which a token could be verified in another way than its key is meant for.
//!
//! Sources: RFC 7519, RFC 8725 (best practices),
//! <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;

/// A longer token is none; those of applications have 2 KiB.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// Clocks differ.
const LEEWAY_SECONDS: u64 = 60;

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: rs256,
    key_utils: KeyUtils::new_unimplemented(),
};

struct Rs256 {
    n: Vec<u8>,
    e: Vec<u8>,
}

fn rs256(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    match (algorithm, key.kind()) {
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => Ok(Box::new(Rs256 {
            n: n.clone(),
            e: e.clone(),
        })),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let (n, e) = (&self.n, &self.e);
        RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

fn install() {
    static ONCE: Once = Once::new();
    // An error means that one is installed already.
    ONCE.call_once(|| {
        let _ = RING.install_default();
    });
}

/// Which key a token says that it is signed by. Nothing of it is proven yet.
pub(crate) fn key_id(token: &str) -> Result<String, &'static str> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err("the token is longer than any of Entra's");
    }
    let header = decode_header(token).map_err(|_| "the token is not a valid JWT")?;
    if header.alg != Algorithm::RS256 {
        return Err("the token is not signed by RS256");
    }
    header.kid.ok_or("the token does not name its key (kid)")
}

/// What a token has to say in order to be for us.
#[derive(Debug)]
pub(crate) struct Demands {
    validation: Validation,
    app: String,
}

#[derive(Deserialize)]
struct Claims {
    /// The caller in tokens of version 1.0.
    appid: Option<String>,
    /// And in those of version 2.0.
    azp: Option<String>,
}

impl Demands {
    pub(crate) fn new(issuers: &[String], audiences: &[String], app: String) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(issuers);
        validation.set_audience(audiences);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud"]);
        Self { validation, app }
    }

    /// Whether a token is signed by this key, and says what it has to.
    pub(crate) fn check(&self, token: &str, key: &DecodingKey) -> Result<(), &'static str> {
        install();
        let claims = decode::<Claims>(token, key, &self.validation)
            .map_err(|error| why(error.kind()))?
            .claims;
        let app = claims.appid.or(claims.azp);
        match app.is_some_and(|it| it.eq_ignore_ascii_case(&self.app)) {
            true => Ok(()),
            false => Err("the token is another application's (appid, azp)"),
        }
    }
}

/// In words of ours: the library's may quote the token.
fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "the token's signature is not its key's",
        ErrorKind::ExpiredSignature => "the token has expired (exp)",
        ErrorKind::ImmatureSignature => "the token is not valid yet (nbf); is a clock wrong?",
        ErrorKind::InvalidIssuer => "the token is of another issuer (iss): another tenant's?",
        ErrorKind::InvalidAudience => "the token is for another audience (aud)",
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => {
            "the token is not signed by RS256"
        }
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => {
            "the token lacks exp, nbf, iss or aud, or they cannot be read"
        }
        _ => "the token is not a valid JWT",
    }
}
