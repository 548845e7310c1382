//! HTTP, as all calls of this crate use it.

use std::sync::Once;
use std::time::{Duration, SystemTime};

use backstay_report::with_causes;
use backstay_retry::{Classify, Verdict, after_status, retry_after};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use url::Url;

use crate::cloud::on_this_machine;

/// The largest answer that is read.
const MAX_BODY_BYTES: usize = 8 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client. Redirects are not followed: the token would go along. What is on this machine, or
/// offered by it, is not asked through a proxy.
pub(crate) fn client(proxied: bool, connect: Duration) -> reqwest::Result<reqwest::Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that one is installed already.
        backstay_tls::install_provider();
    });
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect)
        .user_agent(concat!("backstay/", env!("CARGO_PKG_VERSION")));
    match proxied {
        true => builder.build(),
        false => builder.no_proxy().build(),
    }
}

/// A client for what is at `url`.
pub(crate) fn client_for(url: &Url) -> reqwest::Result<reqwest::Client> {
    client(!on_this_machine(url), CONNECT_TIMEOUT)
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What it says about another attempt.
    pub(crate) fn verdict(&self) -> Verdict {
        after_status(self.status, self.wish())
    }

    /// How long the service wants to be left alone.
    pub(crate) fn wish(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after(value, SystemTime::now())
    }

    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("{0}")]
    Transport(String),
    #[error("the request cannot be made: {0}")]
    Request(String),
    #[error("the answer has more than {MAX_BODY_BYTES} bytes")]
    TooLong,
}

impl Classify for NoAnswer {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Transport(_) => Verdict::AGAIN,
            Self::Request(_) | Self::TooLong => Verdict::Final,
        }
    }
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        let request = error.is_builder();
        // reqwest says "error sending request for …" and hides why.
        let text = backstay_resource::text::excerpt(&with_causes(&error.without_url()));
        if request {
            Self::Request(text)
        } else {
            Self::Transport(text)
        }
    }
}

/// Sends a request and reads the answer.
pub(crate) async fn ask(request: reqwest::RequestBuilder) -> Result<Answer, NoAnswer> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(NoAnswer::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}
