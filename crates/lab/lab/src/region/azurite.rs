//! Containers in Azurite, Microsoft's emulator of Azure Blob Storage. The object store client
//! reads and writes blobs but makes no containers; these two calls do, signed with Shared Key
//! (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use ring::hmac;
use url::Url;

use crate::client::http_client;

/// Azurite's account and key are the same everywhere and documented: they protect nothing
/// (<https://learn.microsoft.com/azure/storage/common/storage-use-azurite>).
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The version of the protocol that the requests are written for.
const VERSION: &str = "2021-12-02";

/// Names the blob service of a running Azurite, for tests.
const TESTED: &str = "BACKSTAY_AZURITE_BLOB";

/// Why Azurite does not do it.
#[derive(Debug, thiserror::Error)]
pub enum AzuriteError {
    /// The URL is none.
    #[error("--azurite {url}: {problem}; give its blob service, such as http://127.0.0.1:10000")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong, in words for the message.
        problem: String,
    },
    /// The request got no answer.
    #[error("--azurite {url}: no answer: {source}; is Azurite running there?")]
    Unreachable {
        /// The blob service's URL.
        url: String,
        /// The HTTP client's error, which keeps its own causes.
        #[source]
        source: reqwest::Error,
    },
    /// Tests that need it would be left out where nobody would notice.
    #[error(
        "{TESTED} is not set, and this is CI, where no test may be left out; name a running Azurite's blob service, or run tests/run, which starts one"
    )]
    Untested,
    /// The server answered with an error status.
    #[error("--azurite {url}: container {container}: HTTP {status}: {body}")]
    Refused {
        /// The blob service's URL.
        url: String,
        /// The name of the blob container.
        container: String,
        /// The HTTP status code of the answer.
        status: u16,
        /// The start of the body.
        body: String,
    },
}

/// A running Azurite.
#[derive(Clone)]
pub struct Azurite {
    url: String,
    path: String,
    account: String,
    key: String,
    http: reqwest::Client,
}

impl fmt::Debug for Azurite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azurite")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Azurite {
    /// The Azurite at this URL, with or without the account in its path. Makes no call.
    ///
    /// # Errors
    /// When it is not a URL.
    pub fn new(url: &str) -> Result<Self, AzuriteError> {
        Self::with_account(url, ACCOUNT, KEY)
    }

    /// The same with another account than Azurite's own, such as `AZURITE_ACCOUNTS` names.
    ///
    /// # Errors
    /// When it is not a URL.
    pub fn with_account(url: &str, account: &str, key: &str) -> Result<Self, AzuriteError> {
        let wrong = |problem: String| AzuriteError::Url {
            url: url.to_owned(),
            problem,
        };
        let parsed: Url = url
            .parse()
            .map_err(|error: url::ParseError| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("it is not http:// or https://".to_owned()));
        }
        let path = parsed.path().trim_matches('/');
        if !path.is_empty() && path != account {
            return Err(wrong(format!("its path is neither empty nor /{account}")));
        }
        let origin = parsed.origin().ascii_serialization();
        Ok(Self {
            url: format!("{origin}/{account}"),
            path: format!("/{account}"),
            account: account.to_owned(),
            key: key.to_owned(),
            http: http_client().map_err(|error| wrong(error.to_string()))?,
        })
    }

    /// The Azurite that `BACKSTAY_AZURITE_BLOB` names, for tests that need one. `None`, after
    /// saying so, where there is none and the test is to be left out.
    ///
    /// # Errors
    /// When it is not a URL; or when there is none but `CI` is set.
    pub fn for_tests() -> Result<Option<Self>, AzuriteError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match set(TESTED) {
            Some(url) => Self::new(&url).map(Some),
            None if set("CI").is_some() => Err(AzuriteError::Untested),
            None => {
                // Where the test runner looks for it.
                #[allow(clippy::print_stdout)]
                {
                    println!("SKIPPED: no Azurite; {TESTED} names a running one");
                }
                Ok(None)
            }
        }
    }

    /// The blob service with the account in its path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the storage account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The account's key, base64.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Makes a container; one that exists is an error, as another run may be using it.
    ///
    /// # Errors
    /// When Azurite refuses or is not there.
    pub async fn create_container(&self, container: &str) -> Result<(), AzuriteError> {
        self.call(Method::PUT, container).await
    }

    /// Deletes a container with everything in it.
    ///
    /// # Errors
    /// When Azurite refuses or is not there.
    pub async fn delete_container(&self, container: &str) -> Result<(), AzuriteError> {
        self.call(Method::DELETE, container).await
    }

    async fn call(&self, method: Method, container: &str) -> Result<(), AzuriteError> {
        let date = chrono::Utc::now()
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        let signature = self.sign(method.as_str(), container, &date);
        let response = self
            .http
            .request(
                method,
                format!("{}/{container}?restype=container", self.url),
            )
            .header("x-ms-date", &date)
            .header("x-ms-version", VERSION)
            .header("Content-Length", 0)
            .header(
                "Authorization",
                format!("SharedKey {}:{signature}", self.account),
            )
            .send()
            .await
            .map_err(|source| AzuriteError::Unreachable {
                url: self.url.clone(),
                source,
            })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.text().await.unwrap_or_default();
        Err(AzuriteError::Refused {
            url: self.url.clone(),
            container: container.to_owned(),
            status: status.as_u16(),
            body: body.chars().take(300).collect(),
        })
    }

    /// The signature of a container call without a body.
    fn sign(&self, method: &str, container: &str, date: &str) -> String {
        let Self { account, path, .. } = self;
        // Eleven standard headers, all empty: a length of zero is signed as nothing.
        let empty = "\n".repeat(11);
        let text = format!(
            "{method}\n{empty}x-ms-date:{date}\nx-ms-version:{VERSION}\n/{account}{path}/{container}\nrestype:container"
        );
        // With a key that is none, Azurite answers 403.
        let key = STANDARD.decode(&self.key).unwrap_or_default();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        STANDARD.encode(hmac::sign(&key, text.as_bytes()))
    }
}

#[cfg(test)]
mod tests;
