//! A tenant of Entra, as one sees it who is shown its tokens: who issues them, and by which keys
//! they are signed.
//!
//! Sources: <https://learn.microsoft.com/entra/identity-platform/access-tokens> ("Validate
//! tokens"), <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
//! (`iss` of both versions), RFC 7517 for the keys.

use std::fmt;
use std::time::Duration;

use backstay_report::with_causes;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use crate::Cloud;
use crate::http::{ask, client_for};

/// Whoever waits for keys has a caller who waits too.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// No tenant has more keys; Entra shows about ten.
const MAX_KEYS: usize = 64;

/// Why a tenant's keys are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// Its id is none.
    #[error(
        "'{0}' is no tenant's id; give it as a GUID such as 72f988bf-86f1-41af-91ab-2d7cd011db47"
    )]
    Id(String),
    /// HTTP cannot be set up.
    #[error("HTTP cannot be set up: {0}")]
    Http(String),
    /// They could not be read.
    #[error("the tenant's signing keys cannot be read from {url}: {why}")]
    Keys {
        /// The document that was asked for.
        url: Url,
        /// What went wrong on the way, or is wrong with the answer.
        why: String,
    },
}

/// An RSA key that tokens are signed by. Public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// By which a token's header (`kid`) names it.
    pub id: String,
    /// Its modulus, in base64url.
    pub modulus: String,
    /// Its exponent, in base64url.
    pub exponent: String,
}

/// A tenant of Entra, by the documents that it publishes: its issuer and the keys it signs with.
#[derive(Clone)]
pub struct Tenant {
    http: reqwest::Client,
    keys: Url,
    issuers: [String; 2],
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct WireKeys {
    keys: Vec<WireKey>,
}

#[derive(Deserialize)]
struct WireKey {
    kid: Option<String>,
    kty: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl WireKey {
    /// Of any other kind it is not for us.
    fn signing(self) -> Option<SigningKey> {
        let signs = self.purpose.is_none_or(|it| it == "sig");
        (self.kty? == "RSA" && signs).then_some(())?;
        Some(SigningKey {
            id: self.kid?,
            modulus: self.n?,
            exponent: self.e?,
        })
    }
}

impl Tenant {
    /// The tenant with this id, a GUID: the domain is not what issues its tokens.
    ///
    /// # Errors
    /// When it is none, or HTTP cannot be set up.
    pub fn new(cloud: &Cloud, id: &str) -> Result<Self, TenantError> {
        let id = Uuid::try_parse(id.trim())
            .map_err(|_| TenantError::Id(backstay_resource::text::excerpt(id)))?
            .hyphenated();
        let mut keys = cloud.authority().clone();
        if let Ok(mut path) = keys.path_segments_mut() {
            let id = id.to_string();
            path.pop_if_empty()
                .extend([id.as_str(), "discovery", "v2.0", "keys"]);
        }
        let authority = cloud.authority().as_str().trim_end_matches('/');
        let http = client_for(&keys)
            .map_err(|error| TenantError::Http(with_causes(&error.without_url())))?;
        Ok(Self {
            http,
            keys,
            issuers: [
                format!("https://sts.windows.net/{id}/"),
                format!("{authority}/{id}/v2.0"),
            ],
        })
    }

    /// Who issues its tokens, of version 1.0 and of 2.0.
    pub fn issuers(&self) -> &[String; 2] {
        &self.issuers
    }

    /// The keys by which its tokens are signed now, read again.
    ///
    /// # Errors
    /// When the login service does not answer within 5 s, or without any key.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, TenantError> {
        let failed = |why: String| TenantError::Keys {
            url: self.keys.clone(),
            why,
        };
        let asking = ask(self.http.get(self.keys.clone()));
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, asking)
            .await
            .map_err(|_| failed(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        if !answer.ok() {
            return Err(failed(format!("HTTP {}", answer.status)));
        }
        let read: WireKeys = serde_json::from_slice(&answer.body)
            .map_err(|_| failed("the answer is no set of keys (RFC 7517)".to_owned()))?;
        let keys: Vec<_> = read
            .keys
            .into_iter()
            .filter_map(WireKey::signing)
            .take(MAX_KEYS)
            .collect();
        if keys.is_empty() {
            return Err(failed("the answer has no RSA key".to_owned()));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests;
