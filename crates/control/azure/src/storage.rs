//! The keys of a storage account.
//!
//! Source: <https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list-keys>.

use backstay_retry::Deadline;
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;

use crate::client::{Call, Got};
use crate::{AzureError, Client, ResourceId};

const API_VERSION: &str = "2023-05-01";

/// A key. Its value is not shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountKey {
    /// `key1` or `key2`.
    #[serde(rename = "keyName")]
    pub name: String,
    /// The key itself.
    pub value: SecretString,
}

#[derive(Deserialize)]
struct WireKeys {
    keys: Vec<AccountKey>,
}

impl Client {
    /// The keys of an account; at least one.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn account_keys(
        &self,
        id: &ResourceId,
        deadline: Deadline,
    ) -> Result<Vec<AccountKey>, AzureError> {
        let call = Call {
            below: "listKeys",
            ..Call::new(
                Method::POST,
                id,
                API_VERSION,
                "Microsoft.Storage/storageAccounts/listKeys/action",
            )
        };
        let got: Got<WireKeys> = self.call(call, deadline).await?;
        if got.body.keys.is_empty() {
            return Err(AzureError::Answer {
                resource: id.clone(),
                endpoint: self.endpoint(),
                problem: "with no keys".to_owned(),
            });
        }
        Ok(got.body.keys)
    }
}
