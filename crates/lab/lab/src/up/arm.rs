//! The few calls of Azure's Resource Manager API with which a lab is provisioned.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::client::http_client;

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// The token's file could not be read.
    #[error("cannot read the token {path}: {source}")]
    Token {
        /// The file that holds the token.
        path: std::path::PathBuf,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// The request got no answer.
    #[error("{method} {id}: {source}")]
    Unreachable {
        /// The HTTP method of the request.
        method: Method,
        /// The resource's id, which is the path of the request.
        id: String,
        /// The HTTP client's error, which keeps its own causes.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered with an error status.
    #[error("{method} {id}: HTTP {status}: {body}")]
    Refused {
        /// The HTTP method of the request.
        method: Method,
        /// The resource's id, which is the path of the request.
        id: String,
        /// The HTTP status code of the answer.
        status: u16,
        /// The start of the body.
        body: String,
    },
}

/// The Resource Manager of a lab.
#[derive(Clone)]
pub struct Arm {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl std::fmt::Debug for Arm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arm")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Arm {
    /// The one at this URL, with the token in this file.
    ///
    /// # Errors
    /// When the token cannot be read.
    pub fn new(base: &str, token: &Path) -> Result<Self, ArmError> {
        let failed = |source| ArmError::Token {
            path: token.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(token).map_err(failed)?;
        Ok(Self {
            http: http_client().map_err(|error| failed(std::io::Error::other(error)))?,
            base: base.trim_end_matches('/').to_owned(),
            token: text.trim().to_owned(),
        })
    }

    /// `GET` of a resource.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn get(&self, id: &str, version: &str) -> Result<Value, ArmError> {
        self.call(Method::GET, id, version, None).await
    }

    /// `PUT` of a resource.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn put(&self, id: &str, version: &str, body: &Value) -> Result<Value, ArmError> {
        self.call(Method::PUT, id, version, Some(body)).await
    }

    /// `PATCH` of a resource.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn patch(&self, id: &str, version: &str, body: &Value) -> Result<Value, ArmError> {
        self.call(Method::PATCH, id, version, Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        id: &str,
        version: &str,
        body: Option<&Value>,
    ) -> Result<Value, ArmError> {
        let unreachable = |source| ArmError::Unreachable {
            method: method.clone(),
            id: id.to_owned(),
            source,
        };
        let mut request = self
            .http
            .request(
                method.clone(),
                format!("{}{id}?api-version={version}", self.base),
            )
            .bearer_auth(&self.token)
            .timeout(REQUEST_TIMEOUT);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        if status.is_success()
            && let Ok(value) = serde_json::from_str(&text)
        {
            return Ok(value);
        }
        Err(ArmError::Refused {
            method,
            id: id.to_owned(),
            status: status.as_u16(),
            body: text.chars().take(300).collect(),
        })
    }
}
