//! Tokens of Entra, which a secure webhook of an action group sends.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups> ("Secure
//! webhook", and its script, in which the id of Azure Monitor's application is).

use std::sync::Arc;

use backstay_azure::{Cloud, Tenant, TenantError};
use uuid::Uuid;

use crate::keys::Keys;
use crate::proof::{Demands, key_id};
use crate::refusal::Refusal;

/// The application by which Azure Monitor calls, `AzNS AAD Webhook`, in every tenant of the public
/// cloud.
pub const AZURE_MONITOR: &str = "461e8683-5575-4561-ac7f-899cc907d62a";

/// Why tokens cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntraError {
    /// What the tenant publishes cannot be read.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// For whom tokens are.
    #[error(
        "no audience is given; give the application's id URI (api://…) and its id, as they are in its registration"
    )]
    Audience,
    /// Whose tokens they are.
    #[error("'{0}' is no application's id; Azure Monitor's is {AZURE_MONITOR}")]
    App(String),
}

/// Who may show a token, and which.
#[derive(Debug)]
pub struct Entra {
    keys: Arc<Keys>,
    demands: Demands,
}

impl Entra {
    /// Tokens that this tenant has issued to application `app` ([`AZURE_MONITOR`]) for one of
    /// these audiences: the id URI in tokens of version 1.0, the id in those of version 2.0.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn new(
        cloud: &Cloud,
        tenant: &str,
        audiences: &[String],
        app: &str,
    ) -> Result<Self, EntraError> {
        let tenant = Tenant::new(cloud, tenant)?;
        let audiences: Vec<String> = audiences
            .iter()
            .map(|it| it.trim().to_owned())
            .filter(|it| !it.is_empty())
            .collect();
        if audiences.is_empty() {
            return Err(EntraError::Audience);
        }
        let app = Uuid::try_parse(app.trim())
            .map_err(|_| EntraError::App(app.chars().take(100).collect()))?
            .hyphenated()
            .to_string();
        Ok(Self {
            demands: Demands::new(tenant.issuers(), &audiences, app),
            keys: Arc::new(Keys::new(tenant)),
        })
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<(), Refusal> {
        let id = key_id(token).map_err(Refusal::Forbidden)?;
        let key = self.keys.key(&id).await?;
        self.demands.check(token, &key).map_err(Refusal::Forbidden)
    }
}
