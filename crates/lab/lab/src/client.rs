//! A client of a node: the few calls that the lab makes, over the public HTTP API.
//!
//! It is deliberately not the node's own code: the drill must see what any client would see.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::{Map, Value, json};
use url::Url;

/// One row of a search.
pub type Row = Map<String, Value>;

/// Longest wait for an answer that is not a stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(45);

/// A streamed search that says nothing for so long is broken.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Longest line of a streamed answer. Rows are log events; anything longer is not one.
const MAX_ROW_BYTES: usize = 16 << 20;

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL is none.
    #[error("`{url}` is not a URL of a node: {problem}")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong, in words for the message.
        problem: String,
    },
    /// The request got no answer.
    #[error("{what}: {source}")]
    Transport {
        /// The call of the API that failed, for the message.
        what: &'static str,
        /// The HTTP client's error, which keeps its own causes.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is not 2xx.
    #[error("{what}: HTTP {status}: {body}")]
    Refused {
        /// The call of the API that failed, for the message.
        what: &'static str,
        /// The HTTP status code of the answer.
        status: u16,
        /// The start of the body.
        body: String,
        /// `Retry-After`, if it was given in seconds.
        retry_after: Option<Duration>,
    },
    /// A 2xx answer that makes no sense.
    #[error("{what}: the answer makes no sense: {problem}")]
    Nonsense {
        /// The call of the API that failed, for the message.
        what: &'static str,
        /// What is wrong, in words for the message.
        problem: String,
    },
}

impl ClientError {
    /// Whether sending the same again may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Url { .. } | Self::Nonsense { .. } => false,
        }
    }
}

/// An answer of `/api/v1/status`.
#[derive(Clone, Debug)]
pub struct StatusAnswer {
    /// Whether the answer was 200 OK.
    pub ok: bool,
    /// The HTTP status code of the answer.
    pub code: u16,
    /// The body of the answer, as text.
    pub body: String,
}

impl fmt::Display for StatusAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}: {}", self.code, self.body)
    }
}

/// A client of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeClient {
    http: reqwest::Client,
    base: Url,
}

impl NodeClient {
    /// A client of the node at this base URL.
    ///
    /// # Errors
    /// When it is not a URL.
    pub fn new(base: &str) -> Result<Self, ClientError> {
        let wrong = |problem: String| ClientError::Url {
            url: base.to_owned(),
            problem,
        };
        let url: Url = base
            .parse()
            .map_err(|error: url::ParseError| wrong(error.to_string()))?;
        if url.cannot_be_a_base() {
            return Err(wrong("it cannot have a path".to_owned()));
        }
        let http = http_client().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { http, base: url })
    }

    /// The same, where its host name is at this address and nowhere else.
    ///
    /// # Errors
    /// When it is not a URL with a host.
    pub fn at_address(base: &str, address: IpAddr) -> Result<Self, ClientError> {
        Self::at_address_trusting(base, address, None)
    }

    /// The same, where this certificate (PEM) is trusted besides those that authorities have signed.
    ///
    /// # Errors
    /// When it is not a URL with a host, or the certificate is none.
    pub fn at_address_trusting(
        base: &str,
        address: IpAddr,
        certificate: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        let known = Self::new(base)?;
        let wrong = |problem: String| ClientError::Url {
            url: base.to_owned(),
            problem,
        };
        let host = known
            .base
            .host_str()
            .ok_or_else(|| wrong("it has no host".to_owned()))?;
        let mut http = http_builder();
        if let Some(pem) = certificate {
            let all = reqwest::Certificate::from_pem_bundle(pem);
            for one in all.map_err(|error| wrong(error.to_string()))? {
                http = http.add_root_certificate(one);
            }
        }
        let http = http
            // The port is that of the URL.
            .resolve(host, (address, 0).into())
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            http,
            base: known.base.clone(),
        })
    }

    /// The URL that all of the API's paths are joined to.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// `GET /api/v1/status`; any status code is an answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn status(&self) -> Result<StatusAnswer, ClientError> {
        let what = "GET /api/v1/status";
        let response = self
            .http
            .get(self.at("api/v1/status", what)?)
            .timeout(Duration::from_secs(5))
            .send()
            .await
            .map_err(|source| ClientError::Transport { what, source })?;
        let code = response.status().as_u16();
        let body = response
            .text()
            .await
            .map_err(|source| ClientError::Transport { what, source })?;
        Ok(StatusAnswer {
            ok: code == 200,
            code,
            body,
        })
    }

    /// Creates a repository.
    ///
    /// # Errors
    /// When the node does not.
    pub async fn create_repository(&self, admin: &str, name: &str) -> Result<(), ClientError> {
        let query =
            "mutation($name: String!) { createRepository(name: $name) { repository { name } } }";
        self.graphql(admin, query, json!({ "name": name }))
            .await
            .map(|_| ())
    }

    /// Creates an ingest token for a repository, and returns it.
    ///
    /// # Errors
    /// When the node does not.
    pub async fn create_ingest_token(
        &self,
        admin: &str,
        repository: &str,
        name: &str,
    ) -> Result<String, ClientError> {
        let query = "mutation($input: AddIngestTokenV3Input!) { addIngestTokenV3(input: $input) { token } }";
        let input = json!({ "repositoryName": repository, "name": name });
        let data = self
            .graphql(admin, query, json!({ "input": input }))
            .await?;
        data.pointer("/addIngestTokenV3/token")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| ClientError::Nonsense {
                what: "addIngestTokenV3",
                problem: "there is no token in it".to_owned(),
            })
    }

    /// A GraphQL call; returns `data`.
    ///
    /// # Errors
    /// When there is no answer, or one with errors.
    pub async fn graphql(
        &self,
        admin: &str,
        query: &str,
        variables: Value,
    ) -> Result<Value, ClientError> {
        let what = "POST /graphql";
        let request = self
            .http
            .post(self.at("graphql", what)?)
            .bearer_auth(admin)
            .timeout(REQUEST_TIMEOUT)
            .json(&json!({ "query": query, "variables": variables }));
        let response = accepted(what, request).await?;
        let mut answer: Value = response
            .json()
            .await
            .map_err(|source| ClientError::Transport { what, source })?;
        match answer.get("errors").and_then(Value::as_array) {
            Some(errors) if !errors.is_empty() => Err(ClientError::Nonsense {
                what,
                problem: Value::Array(errors.clone()).to_string(),
            }),
            _ => Ok(answer.get_mut("data").map(Value::take).unwrap_or_default()),
        }
    }

    /// Sends a batch of structured events. `Ok` means acknowledged.
    ///
    /// # Errors
    /// When it was not acknowledged. It may have been stored all the same.
    pub async fn ingest(
        &self,
        token: &str,
        idempotency_key: &str,
        body: Bytes,
    ) -> Result<(), ClientError> {
        let what = "POST /api/v1/ingest/humio-structured";
        let request = self
            .http
            .post(self.at("api/v1/ingest/humio-structured", what)?)
            .bearer_auth(token)
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", idempotency_key)
            .timeout(REQUEST_TIMEOUT)
            .body(body);
        let response = accepted(what, request).await?;
        // The body is read to its end so that the connection can be used again. A node that
        // breaks off here has acknowledged: its status line said so.
        let _ = response.bytes().await;
        Ok(())
    }

    /// Streams the rows of a query over all time.
    ///
    /// # Errors
    /// When the node does not answer. The stream itself ends with an error when it breaks off.
    pub async fn query(
        &self,
        admin: &str,
        repository: &str,
        query: &str,
    ) -> Result<BoxStream<'static, Result<Row, ClientError>>, ClientError> {
        let far = chrono::Utc::now().timestamp_millis() + 365 * 86_400_000;
        self.query_within(admin, repository, query, 0..far).await
    }

    /// The same over a range of time, in ms since 1970.
    ///
    /// # Errors
    /// See [`NodeClient::query`].
    pub async fn query_within(
        &self,
        admin: &str,
        repository: &str,
        query: &str,
        range: Range<i64>,
    ) -> Result<BoxStream<'static, Result<Row, ClientError>>, ClientError> {
        let what = "POST /api/v1/repositories/{repo}/query";
        let path = format!("api/v1/repositories/{repository}/query");
        let request = self
            .http
            .post(self.at(&path, what)?)
            .bearer_auth(admin)
            .header("Accept", "application/x-ndjson")
            .json(&json!({ "queryString": query, "start": range.start, "end": range.end, "isLive": false }));
        let response = tokio::time::timeout(STREAM_IDLE_TIMEOUT, accepted(what, request))
            .await
            .map_err(|_| silent(what))??;
        Ok(rows(what, response).boxed())
    }

    /// The number of events in a repository.
    ///
    /// # Errors
    /// When there is no answer or it has no count.
    pub async fn count(&self, admin: &str, repository: &str) -> Result<u64, ClientError> {
        let mut rows = self.query(admin, repository, "count()").await?;
        let mut count = None;
        while let Some(row) = rows.next().await {
            count = count.or(row?.get("_count").and_then(number));
        }
        count.ok_or_else(|| ClientError::Nonsense {
            what: "count()",
            problem: "there is no _count in it".to_owned(),
        })
    }

    fn at(&self, path: &str, what: &'static str) -> Result<Url, ClientError> {
        self.base.join(path).map_err(|error| ClientError::Nonsense {
            what,
            problem: error.to_string(),
        })
    }
}

/// A number, or the text of one: LogScale answers aggregates as text.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

fn silent(what: &'static str) -> ClientError {
    ClientError::Nonsense {
        what,
        problem: format!("nothing came for {} s", STREAM_IDLE_TIMEOUT.as_secs()),
    }
}

/// The lines of an answer as rows, with never more than one line and one chunk in memory.
fn rows(
    what: &'static str,
    response: reqwest::Response,
) -> impl futures::Stream<Item = Result<Row, ClientError>> + Send {
    let state = (response, Vec::<u8>::new(), 0_usize, false);
    futures::stream::try_unfold(
        state,
        move |(mut response, mut held, mut from, mut ended)| async move {
            loop {
                if let Some(length) = held[from..].iter().position(|byte| *byte == b'\n') {
                    let line = &held[from..from + length];
                    let row = parse_row(what, line)?;
                    from += length + 1;
                    if let Some(row) = row {
                        return Ok(Some((row, (response, held, from, ended))));
                    }
                    continue;
                }
                if ended {
                    let row = parse_row(what, &held[from..])?;
                    return Ok(row.map(|row| (row, (response, Vec::new(), 0, true))));
                }
                held.drain(..from);
                from = 0;
                if held.len() > MAX_ROW_BYTES {
                    return Err(ClientError::Nonsense {
                        what,
                        problem: format!("a row is longer than {MAX_ROW_BYTES} bytes"),
                    });
                }
                let chunk = tokio::time::timeout(STREAM_IDLE_TIMEOUT, response.chunk())
                    .await
                    .map_err(|_| silent(what))?
                    .map_err(|source| ClientError::Transport { what, source })?;
                match chunk {
                    Some(chunk) => held.extend_from_slice(&chunk),
                    None => ended = true,
                }
            }
        },
    )
}

fn parse_row(what: &'static str, line: &[u8]) -> Result<Option<Row>, ClientError> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(line)
        .map(Some)
        .map_err(|error| ClientError::Nonsense {
            what,
            problem: format!(
                "a row is not a JSON object: {error}: {}",
                backstay_report::excerpt(&String::from_utf8_lossy(line))
            ),
        })
}

async fn accepted(
    what: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, ClientError> {
    let response = request
        .send()
        .await
        .map_err(|source| ClientError::Transport { what, source })?;
    if response.status().is_success() {
        return Ok(response);
    }
    let retry_after = response
        .headers()
        .get("Retry-After")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .map(Duration::from_secs);
    Err(ClientError::Refused {
        what,
        status: response.status().as_u16(),
        body: backstay_report::excerpt(&response.text().await.unwrap_or_default()),
        retry_after,
    })
}

/// An HTTP client with no proxy: everything here is on this machine.
pub(crate) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    http_builder().build()
}

fn http_builder() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that one is installed already.
        backstay_tls::install_provider();
    });
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(2))
}

#[cfg(test)]
mod tests;
