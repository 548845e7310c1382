//! The token of a managed identity.
//!
//! Sources: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
//! and <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
//! (which also says that 404 and 410 of the metadata service pass).

use std::time::Duration;

use backstay_retry::Verdict;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::token::{issued, refusal};
use super::{IdentityError, SourceError, SourceName, Token};
use crate::http::{NoAnswer, ask, client};
use crate::{Cloud, Environment};

/// Where the instance metadata service is on every machine in Azure.
const METADATA_SERVICE: &str = "http://169.254.169.254";
/// Elsewhere nothing answers there; that must not cost much.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

enum Kind {
    AppService { header: SecretString },
    InstanceMetadata,
}

pub(super) struct Managed {
    http: reqwest::Client,
    url: Url,
    kind: Kind,
}

impl Managed {
    pub(super) fn new(
        cloud: &Cloud,
        environment: &Environment,
    ) -> Result<Result<Self, (SourceName, String)>, IdentityError> {
        let endpoint = environment.get("IDENTITY_ENDPOINT");
        let (name, place, kind, version) = match (endpoint, environment.get("IDENTITY_HEADER")) {
            (Some(endpoint), Some(header)) => {
                let header = SecretString::from(header);
                let kind = Kind::AppService { header };
                (
                    SourceName::AppService,
                    endpoint.to_owned(),
                    kind,
                    "2019-08-01",
                )
            }
            _ => {
                // The variable by which Azure's own libraries are pointed elsewhere.
                let host = environment
                    .get("AZURE_POD_IDENTITY_AUTHORITY_HOST")
                    .unwrap_or(METADATA_SERVICE);
                let place = format!(
                    "{}/metadata/identity/oauth2/token",
                    host.trim_end_matches('/')
                );
                (
                    SourceName::InstanceMetadata,
                    place,
                    Kind::InstanceMetadata,
                    "2018-02-01",
                )
            }
        };
        let Ok(mut url) = Url::parse(&place) else {
            return Ok(Err((name, "IDENTITY_ENDPOINT is no address".to_owned())));
        };
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", cloud.audience());
        // A user-assigned identity; without it the machine's own.
        if let Some(client_id) = environment.get("AZURE_CLIENT_ID") {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        Ok(Ok(Self {
            http: client(false, CONNECT_TIMEOUT)?,
            url,
            kind,
        }))
    }

    pub(super) fn name(&self) -> SourceName {
        match self.kind {
            Kind::AppService { .. } => SourceName::AppService,
            Kind::InstanceMetadata => SourceName::InstanceMetadata,
        }
    }

    /// `proven`: it has given a token before, so that silence is an outage and not its absence.
    pub(super) async fn token(&self, proven: bool) -> Result<Token, SourceError> {
        let request = self.http.get(self.url.clone());
        let (request, secret) = match &self.kind {
            Kind::AppService { header } => {
                let secret = header.expose_secret();
                (request.header("X-IDENTITY-HEADER", secret), secret)
            }
            Kind::InstanceMetadata => (request.header("Metadata", "true"), ""),
        };
        let first = matches!(self.kind, Kind::InstanceMetadata) && !proven;
        let answer = match ask(request).await {
            Ok(answer) => answer,
            Err(NoAnswer::Transport(why)) if first => {
                return Err(SourceError::NotHere(format!("no metadata service: {why}")));
            }
            Err(error) => return Err(error.into()),
        };
        if answer.ok() {
            return match issued(&answer) {
                // Something else than Azure's answers at this address.
                Err(SourceError::Refused(why)) if first => Err(SourceError::NotHere(why)),
                issued => issued,
            };
        }
        let why = refusal(&answer, secret);
        match (&self.kind, answer.status, answer.verdict()) {
            (_, _, Verdict::Again { after }) => Err(SourceError::Later { why, after }),
            (Kind::InstanceMetadata, 404 | 410, _) if proven => Err(SourceError::later(why)),
            (Kind::InstanceMetadata, ..) if first => Err(SourceError::NotHere(format!(
                "the machine has no such identity: {why}"
            ))),
            _ => Err(SourceError::Refused(format!(
                "{why}; assign the identity, or set AZURE_CLIENT_ID to the one that is"
            ))),
        }
    }
}
