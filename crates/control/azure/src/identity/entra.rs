//! A token from Entra, for an application: by its secret, or by a token of another issuer that it
//! trusts (workload identity of Kubernetes).
//!
//! Source: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.

use std::path::PathBuf;

use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use url::form_urlencoded::Serializer;

use super::token::{issued, refusal};
use super::{IdentityError, SourceError, SourceName, Token};
use crate::http::{ask, client_for};
use crate::{Cloud, Environment};

/// By what the application shows who it is.
enum Proof {
    Secret(SecretString),
    /// Read again each time: the cluster exchanges it every hour.
    FederatedToken(PathBuf),
}

pub(super) struct Entra {
    http: reqwest::Client,
    url: Url,
    client_id: String,
    scope: String,
    proof: Proof,
}

/// A source, or why it is not set up.
type SetUp<T> = Result<T, (SourceName, String)>;

impl Entra {
    /// What Azure's libraries call `EnvironmentCredential`.
    pub(super) fn with_secret(
        cloud: &Cloud,
        environment: &Environment,
    ) -> Result<SetUp<Self>, IdentityError> {
        let proof = |value: &str| Proof::Secret(SecretString::from(value));
        Self::new(
            cloud,
            environment,
            SourceName::Environment,
            "AZURE_CLIENT_SECRET",
            proof,
        )
    }

    /// What Azure's libraries call `WorkloadIdentityCredential`.
    pub(super) fn with_federation(
        cloud: &Cloud,
        environment: &Environment,
    ) -> Result<SetUp<Self>, IdentityError> {
        let proof = |value: &str| Proof::FederatedToken(PathBuf::from(value));
        Self::new(
            cloud,
            environment,
            SourceName::Workload,
            "AZURE_FEDERATED_TOKEN_FILE",
            proof,
        )
    }

    fn new(
        cloud: &Cloud,
        environment: &Environment,
        name: SourceName,
        variable: &'static str,
        proof: impl FnOnce(&str) -> Proof,
    ) -> Result<SetUp<Self>, IdentityError> {
        let missing = |variable: &str| Ok(Err((name, format!("{variable} is not set"))));
        let Some(value) = environment.get(variable) else {
            return missing(variable);
        };
        let Some(tenant) = environment.get("AZURE_TENANT_ID") else {
            return missing("AZURE_TENANT_ID");
        };
        let Some(client_id) = environment.get("AZURE_CLIENT_ID") else {
            return missing("AZURE_CLIENT_ID");
        };
        let mut url = cloud.authority().clone();
        let plain = |it: char| it.is_ascii_alphanumeric() || "-.".contains(it);
        if tenant.chars().all(plain)
            && let Ok(mut path) = url.path_segments_mut()
        {
            path.pop_if_empty()
                .extend([tenant, "oauth2", "v2.0", "token"]);
        } else {
            return Ok(Err((
                name,
                "AZURE_TENANT_ID is no tenant's id or domain".to_owned(),
            )));
        }
        Ok(Ok(Self {
            http: client_for(&url)?,
            url,
            client_id: client_id.to_owned(),
            scope: format!("{}/.default", cloud.audience()),
            proof: proof(value),
        }))
    }

    pub(super) fn name(&self) -> SourceName {
        match self.proof {
            Proof::Secret(_) => SourceName::Environment,
            Proof::FederatedToken(_) => SourceName::Workload,
        }
    }

    fn form(&self, (name, kind): (&str, Option<&str>), proof: &str) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("client_id", &self.client_id)
            .append_pair("scope", &self.scope)
            .append_pair("grant_type", "client_credentials");
        if let Some(kind) = kind {
            form.append_pair("client_assertion_type", kind);
        }
        form.append_pair(name, proof).finish()
    }

    pub(super) async fn token(&self) -> Result<Token, SourceError> {
        let (proof, proven) = match &self.proof {
            Proof::Secret(secret) => (secret.clone(), ("client_secret", None)),
            Proof::FederatedToken(path) => {
                let read = tokio::fs::read_to_string(path).await.map_err(|error| {
                    SourceError::Refused(format!(
                        "{}: {error} (AZURE_FEDERATED_TOKEN_FILE)",
                        path.display()
                    ))
                })?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                (
                    SecretString::from(read.trim()),
                    ("client_assertion", Some(kind)),
                )
            }
        };
        let form = self.form(proven, proof.expose_secret());
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let answer = ask(request).await?;
        if answer.ok() {
            return issued(&answer);
        }
        let why = refusal(&answer, proof.expose_secret());
        match answer.verdict() {
            backstay_retry::Verdict::Again { after } => Err(SourceError::Later { why, after }),
            backstay_retry::Verdict::Final => Err(SourceError::Refused(format!(
                "{why}; check AZURE_TENANT_ID, AZURE_CLIENT_ID and {}",
                match self.proof {
                    Proof::Secret(_) => "AZURE_CLIENT_SECRET",
                    Proof::FederatedToken(_) => "the federated credential of the application",
                }
            ))),
        }
    }
}
