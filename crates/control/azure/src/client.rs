//! One call, with its retries.

use std::fmt;
use std::sync::Arc;

use backstay_retry::{
    Classify, Deadline, Failed, Policy, Verdict, WriteGuard, WriteRefused, retry,
};
use reqwest::header::{AUTHORIZATION, ETAG, HeaderValue, IF_MATCH, LOCATION};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::forbidden::denied;
use crate::http::{self, NoAnswer, ask, client_for};
use crate::identity::Token;
use crate::traffic_manager::ETag;
use crate::{AzureError, Cloud, Environment, Identity, ResourceId, SetUpError};
use backstay_resource::text::excerpt_without;

/// A client of the Resource Manager. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    cloud: Cloud,
    identity: Arc<Identity>,
    policy: Policy,
    guard: WriteGuard,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("arm", &self.cloud.arm().as_str())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// What is asked. Everything here may be repeated.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Which resource it is about.
    pub(crate) resource: &'a ResourceId,
    /// What follows its id in the path.
    pub(crate) below: &'a str,
    pub(crate) version: &'static str,
    pub(crate) query: &'a [(&'static str, &'a str)],
    pub(crate) body: Option<Value>,
    pub(crate) if_match: Option<&'a ETag>,
    /// The permission that it takes.
    pub(crate) needs: &'static str,
}

impl<'a> Call<'a> {
    /// A call about the resource itself, with nothing besides.
    pub(crate) fn new(
        method: Method,
        resource: &'a ResourceId,
        version: &'static str,
        needs: &'static str,
    ) -> Self {
        Self {
            method,
            resource,
            below: "",
            version,
            query: &[],
            body: None,
            if_match: None,
            needs,
        }
    }
}

/// What was answered.
pub(crate) struct Got<T> {
    pub(crate) body: T,
    pub(crate) etag: Option<ETag>,
    /// Where what is under way is asked for.
    pub(crate) location: Option<String>,
}

/// How one attempt failed.
#[derive(Debug, thiserror::Error)]
enum Attempt {
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("status {status}, {code}: {message}")]
    Status {
        status: u16,
        code: String,
        message: String,
        verdict: Verdict,
    },
    #[error("{0}")]
    Unreadable(String),
    #[error(transparent)]
    WriteRefused(#[from] WriteRefused),
}

impl Classify for Attempt {
    fn verdict(&self) -> Verdict {
        match self {
            Self::NoAnswer(error) => error.verdict(),
            Self::Status { verdict, .. } => *verdict,
            Self::Unreadable(_) => Verdict::Final,
            Self::WriteRefused(why) => why.verdict(),
        }
    }
}

impl Client {
    /// A client of this cloud, with this identity.
    ///
    /// # Errors
    /// When HTTP cannot be set up.
    pub fn new(cloud: Cloud, identity: Identity, policy: Policy) -> Result<Self, AzureError> {
        let http = client_for(cloud.arm())
            .map_err(|error| AzureError::Http(error.without_url().to_string()))?;
        Ok(Self {
            http,
            cloud,
            identity: Arc::new(identity),
            policy,
            guard: WriteGuard::unguarded(),
        })
    }

    /// A client of the Resource Manager at `arm`, as whoever this process's environment makes us.
    ///
    /// # Errors
    /// When an address is none, or HTTP cannot be set up. Nothing is asked yet.
    pub fn of_process(arm: &str, policy: Policy) -> Result<Self, SetUpError> {
        let environment = Environment::of_process();
        let cloud = Cloud::new(Some(arm), &environment)?;
        let identity = Identity::new(&cloud, &environment, policy)?;
        Ok(Self::new(cloud, identity, policy)?)
    }

    /// The same client, which changes nothing that this guard does not authorize.
    #[must_use]
    pub fn under(&self, guard: WriteGuard) -> Self {
        Self {
            guard,
            ..self.clone()
        }
    }

    /// Where the Resource Manager is.
    pub fn arm(&self) -> &Url {
        self.cloud.arm()
    }

    /// Who we are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn endpoint(&self) -> String {
        self.cloud.audience().to_owned()
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        deadline: Deadline,
    ) -> Result<Got<T>, AzureError> {
        let url = self.url(&call);
        self.call_at(&call, url, deadline).await
    }

    /// The same call at another address: the next page of a list.
    pub(crate) async fn call_at<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        url: Url,
        deadline: Deadline,
    ) -> Result<Got<T>, AzureError> {
        let mut renewed = false;
        loop {
            let token = self.identity.token(deadline).await;
            let token = token.map_err(|error| AzureError::Identity {
                resource: call.resource.clone(),
                error,
            })?;
            let done = retry(&self.policy, deadline, || self.attempt(call, &url, &token)).await;
            let failed = match done {
                Ok(got) => return Ok(got),
                Err(failed) => failed,
            };
            // It may have been revoked, or ended on Azure's clock before it did on ours.
            if !renewed && matches!(failed.last, Some(Attempt::Status { status: 401, .. })) {
                renewed = true;
                // Another call may be fetching one for longer than this one has time.
                let thrown_away = self.identity.refused(&token);
                let _ = tokio::time::timeout_at(deadline.instant(), thrown_away).await;
                continue;
            }
            return Err(self.error(call, failed));
        }
    }

    /// The address of the next page, if it is one of this server: the token goes there.
    pub(crate) fn next_page(&self, link: &str) -> Option<Url> {
        let url = Url::parse(link).ok()?;
        (url.origin() == self.cloud.arm().origin()).then_some(url)
    }

    pub(crate) fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.cloud.arm().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(call.resource.segments());
            path.extend(call.below.split('/').filter(|it| !it.is_empty()));
        }
        url.query_pairs_mut()
            .append_pair("api-version", call.version)
            .extend_pairs(call.query);
        url
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        url: &Url,
        token: &Token,
    ) -> Result<Got<T>, Attempt> {
        let unusable = |_| Attempt::Unreadable("the token cannot be sent".to_owned());
        let bearer = format!("Bearer {}", token.expose());
        let mut bearer = HeaderValue::try_from(bearer).map_err(unusable)?;
        bearer.set_sensitive(true);
        let mut request = self
            .http
            .request(call.method.clone(), url.clone())
            .header(AUTHORIZATION, bearer);
        if let Some(etag) = call.if_match {
            request = request.header(IF_MATCH, etag.as_str());
        }
        request = match &call.body {
            Some(body) => request.json(body),
            // Some of Azure's front ends want a length with every POST.
            None if call.method == Method::POST => request.header("Content-Length", "0").body(""),
            None => request,
        };
        if call.method != Method::GET {
            self.guard.check().await?;
        }
        let answer = ask(request).await?;
        if !answer.ok() {
            let verdict = answer.verdict();
            let (code, message) = error_fields(&answer);
            return Err(Attempt::Status {
                status: answer.status,
                code: excerpt_without(&code, token.expose()),
                message: excerpt_without(&message, token.expose()),
                verdict,
            });
        }
        // What serde says of a wrong answer can quote it; an answer can be a key.
        let text: &[u8] = match answer.body.as_slice() {
            // What is only under way may be answered without a word.
            [] if answer.status == 202 => b"null",
            text => text,
        };
        let body = serde_json::from_slice(text).map_err(|error| {
            let (bytes, what) = (
                answer.body.len(),
                match error.classify() {
                    serde_json::error::Category::Data => "JSON of another form",
                    _ => "no JSON",
                },
            );
            let (line, column) = (error.line(), error.column());
            Attempt::Unreadable(format!(
                "{what} (status {}, {bytes} bytes, at line {line}, column {column})",
                answer.status
            ))
        })?;
        let etag = answer.headers.get(ETAG).and_then(ETag::read);
        let location = answer.headers.get(LOCATION);
        let location = location.and_then(|it| it.to_str().ok()).map(str::to_owned);
        Ok(Got {
            body,
            etag,
            location,
        })
    }

    fn error(&self, call: &Call<'_>, failed: Failed<Attempt>) -> AzureError {
        let resource = call.resource.clone();
        let (why, waited) = (failed.to_string(), failed.waited);
        match failed.last {
            Some(Attempt::WriteRefused(why @ WriteRefused::Lost(_))) => {
                AzureError::WriteRefused { resource, why }
            }
            Some(Attempt::Unreadable(problem)) => AzureError::Answer {
                resource,
                endpoint: self.endpoint(),
                problem,
            },
            Some(Attempt::Status {
                status,
                code,
                message,
                verdict: Verdict::Final,
            }) => match status {
                401 => AzureError::Unauthenticated {
                    resource,
                    code,
                    message,
                },
                403 => AzureError::Forbidden {
                    denied: Box::new(denied(&message, call.needs, &resource)),
                    resource,
                    code,
                    message,
                },
                404 => AzureError::NotFound {
                    resource,
                    code,
                    message,
                },
                412 => AzureError::Changed { resource },
                400..500 => AzureError::Refused {
                    resource,
                    status,
                    code,
                    message,
                },
                _ => AzureError::Answer {
                    resource,
                    endpoint: self.endpoint(),
                    problem: format!("with status {status}, {code}: {message}"),
                },
            },
            _ => AzureError::Unreachable {
                resource,
                endpoint: self.endpoint(),
                why,
                waited,
            },
        }
    }
}

#[derive(Deserialize)]
struct Body {
    error: Option<ErrorFields>,
    // Some providers answer without the frame.
    #[serde(flatten)]
    bare: ErrorFields,
}

#[derive(Deserialize)]
struct ErrorFields {
    #[serde(alias = "Code")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// The code and message of a refusal:
/// <https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md#handling-errors>.
fn error_fields(answer: &http::Answer) -> (String, String) {
    let body: Option<Body> = serde_json::from_slice(&answer.body).ok();
    let said = body.map(|it| it.error.unwrap_or(it.bare));
    match said {
        Some(ErrorFields {
            code: Some(code),
            message,
        }) => (code, message.unwrap_or_default()),
        Some(ErrorFields {
            code: None,
            message: Some(message),
        }) => (String::from("error"), message),
        _ => {
            let bytes = answer.body.len();
            (
                String::from("error"),
                format!("{bytes} bytes that say nothing"),
            )
        }
    }
}
