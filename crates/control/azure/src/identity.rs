//! A token for the Resource Manager, from where `DefaultAzureCredential` would take it.
//!
//! Source: <https://learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains>.
//! A source that is not set up here is passed over; one that is set up and refused ends the search,
//! since another identity than the one that was meant would be found to lack permissions. The first
//! that gave a token stays the one.
//!
//! A token is renewed before its end: when renewal fails, the old one serves until it is refused.
//! Its end is counted on the monotonic clock from when it was received, so that a wrong clock
//! neither keeps a dead token nor throws away a good one.

mod azure_cli;
mod entra;
mod error;
mod managed;
mod token;
mod token_file;

use std::fmt;
use std::time::Duration;

use backstay_retry::{Deadline, Ended, Failed, Policy, retry};
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use error::IdentityError;
pub(crate) use error::SourceError;
pub(crate) use token::Token;

use crate::{Cloud, Environment};
use azure_cli::AzureCli;
use entra::Entra;
use managed::Managed;
use token_file::TokenFile;

/// A renewal may take so long while the old token still serves.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);
/// After a renewal that failed, the next one is not tried sooner.
const RENEWAL_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// A file that `BACKSTAY_AZURE_TOKEN_FILE` names: for the lab.
    TokenFile,
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`.
    Environment,
    /// Workload identity of Kubernetes: `AZURE_FEDERATED_TOKEN_FILE`.
    Workload,
    /// The managed identity of App Service and Functions: `IDENTITY_ENDPOINT`.
    AppService,
    /// The managed identity of a machine: the instance metadata service.
    InstanceMetadata,
    /// Who is logged in with `az login`.
    AzureCli,
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenFile => "the token file",
            Self::Environment => "the client secret in the environment",
            Self::Workload => "the workload identity",
            Self::AppService => "the managed identity of the function",
            Self::InstanceMetadata => "the managed identity of the machine",
            Self::AzureCli => "the Azure CLI",
        })
    }
}

/// One place to take a token from.
enum Source {
    TokenFile(TokenFile),
    Entra(Entra),
    Managed(Managed),
    AzureCli(AzureCli),
}

impl Source {
    fn name(&self) -> SourceName {
        match self {
            Self::TokenFile(_) => SourceName::TokenFile,
            Self::Entra(it) => it.name(),
            Self::Managed(it) => it.name(),
            Self::AzureCli(_) => SourceName::AzureCli,
        }
    }

    async fn token(&self, proven: bool) -> Result<Token, SourceError> {
        match self {
            Self::TokenFile(it) => it.token().await,
            Self::Entra(it) => it.token().await,
            Self::Managed(it) => it.token(proven).await,
            Self::AzureCli(it) => it.token().await,
        }
    }
}

#[derive(Default)]
struct Kept {
    /// Which source has given a token before.
    proven: Option<usize>,
    token: Option<Token>,
    /// When renewal may be tried again.
    renew: Option<Instant>,
}

/// Who we are to Azure.
pub struct Identity {
    sources: Vec<Result<Source, (SourceName, String)>>,
    policy: Policy,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Identity {
    /// Whoever the environment makes us. With `BACKSTAY_AZURE_TOKEN_FILE` that token and no other:
    /// a lab's server must never be sent one that is good for Azure.
    ///
    /// # Errors
    /// When HTTP cannot be set up.
    pub fn new(
        cloud: &Cloud,
        environment: &Environment,
        policy: Policy,
    ) -> Result<Self, IdentityError> {
        let mut sources = Vec::new();
        if let Some(path) = environment.get("BACKSTAY_AZURE_TOKEN_FILE") {
            sources.push(Ok(Source::TokenFile(TokenFile::new(path))));
        } else {
            for entra in [Entra::with_secret, Entra::with_federation] {
                sources.push(entra(cloud, environment)?.map(Source::Entra));
            }
            sources.push(Managed::new(cloud, environment)?.map(Source::Managed));
            sources.push(Ok(Source::AzureCli(AzureCli::new(cloud, environment))));
        }
        Ok(Self {
            sources,
            policy,
            kept: Mutex::default(),
        })
    }

    /// The sources that are set up, in the order in which they are asked.
    pub fn names(&self) -> Vec<SourceName> {
        self.sources.iter().flatten().map(Source::name).collect()
    }

    /// A token that is good for a while.
    pub(crate) async fn token(&self, deadline: Deadline) -> Result<Token, IdentityError> {
        let mut kept = match tokio::time::timeout_at(deadline.instant(), self.kept.lock()).await {
            Ok(kept) => kept,
            // Another call has waited for one all the time.
            Err(_) => return Err(IdentityError::Waiting),
        };
        let now = Instant::now();
        if let Some(token) = &kept.token {
            if now < token.renew_at || kept.renew.is_some_and(|it| now < it) && now < token.end {
                return Ok(token.clone());
            }
            if now < token.end {
                let old = token.clone();
                match self.find(&mut kept, deadline.within(RENEWAL_TIMEOUT)).await {
                    Ok(new) => return Ok(new),
                    Err(error) => {
                        tracing::warn!(%error, "the token is not renewed; the old one serves on");
                        kept.renew = Some(Instant::now() + RENEWAL_RETRY_DELAY);
                        return Ok(old);
                    }
                }
            }
        }
        self.find(&mut kept, deadline).await
    }

    /// Throws this token away: it was refused.
    pub(crate) async fn refused(&self, token: &Token) {
        let mut kept = self.kept.lock().await;
        if kept.token.as_ref().is_some_and(|it| it.same(token)) {
            kept.token = None;
        }
    }

    async fn find(&self, kept: &mut Kept, deadline: Deadline) -> Result<Token, IdentityError> {
        let mut passed_over = Vec::new();
        for (at, source) in self.sources.iter().enumerate() {
            if kept.proven.is_some_and(|it| it != at) {
                continue;
            }
            let source = match source {
                Ok(source) => source,
                Err((name, why)) => {
                    passed_over.push((*name, why.clone()));
                    continue;
                }
            };
            let proven = kept.proven.is_some();
            let found = retry(&self.policy, deadline, || source.token(proven)).await;
            match found {
                Ok(token) => {
                    tracing::debug!(source = %source.name(), "a token was issued");
                    kept.proven = Some(at);
                    kept.renew = None;
                    kept.token = Some(token.clone());
                    return Ok(token);
                }
                Err(Failed {
                    last: Some(SourceError::NotHere(why)),
                    ended: Ended::Final,
                    ..
                }) => passed_over.push((source.name(), why)),
                Err(Failed {
                    last: Some(SourceError::Refused(why)),
                    ended: Ended::Final,
                    ..
                }) => {
                    let of = source.name();
                    return Err(IdentityError::Refused { of, why });
                }
                Err(failed) => {
                    return Err(IdentityError::Unreachable {
                        of: source.name(),
                        why: failed.to_string(),
                    });
                }
            }
        }
        Err(IdentityError::None(error::PassedOver(passed_over)))
    }
}

#[cfg(test)]
mod tests;
