//! Storage accounts: read, listed, and their keys handed out.
//!
//! Source: <https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list-keys>.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::Method;
use backstay_resource::{ResourceName, ResourceType, Scope};
use backstay_traffic_arm::{Address, ArmError, Call, Done, Provider, Served, not_found, only};
use serde_json::{Value, json};

use crate::accounts::{Accounts, StorageAccount, StorageAccounts, StorageError};

/// The type of storage accounts.
pub(crate) const STORAGE_ACCOUNT: ResourceType = ResourceType {
    namespace: "Microsoft.Storage",
    name: "storageAccounts",
};

const SERVED: [Served; 1] = [Served {
    of: STORAGE_ACCOUNT,
    versions: &STORAGE_ACCOUNTS,
}];

const STORAGE_ACCOUNTS: [&str; 24] = [
    "2016-12-01",
    "2017-06-01",
    "2017-10-01",
    "2018-02-01",
    "2018-07-01",
    "2018-11-01",
    "2019-04-01",
    "2019-06-01",
    "2021-01-01",
    "2021-02-01",
    "2021-04-01",
    "2021-06-01",
    "2021-08-01",
    "2021-09-01",
    "2022-05-01",
    "2022-09-01",
    "2023-01-01",
    "2023-04-01",
    "2023-05-01",
    "2024-01-01",
    "2025-01-01",
    "2025-06-01",
    "2025-08-01",
    "2026-04-01",
];

/// The storage accounts of a file, for an API.
pub struct StorageApi(Arc<Accounts>);

impl StorageApi {
    /// Those of this file, which is read again when it has changed.
    ///
    /// # Errors
    /// When it cannot be read, others than its owner can read it, or it is of another form.
    pub fn at(path: &Path) -> Result<Self, StorageError> {
        let followed = Accounts::new(path, StorageAccounts::read)?;
        Ok(Self(Arc::new(followed)))
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The accounts of a scope.
    Accounts(Scope),
    /// One of them.
    Account(ResourceName),
    /// Its keys.
    ListKeys(ResourceName),
}

#[async_trait]
impl Provider for StorageApi {
    type Place = Place;

    fn in_groups(&self) -> &'static [Served] {
        &SERVED
    }

    fn subscriptions(&self) -> Vec<String> {
        let accounts = self.0.get();
        accounts
            .all()
            .map(|it| it.id.subscription.clone())
            .collect()
    }

    fn place(&self, address: &Address) -> Result<Option<Place>, ArmError> {
        let below = address.below_in_lower_case();
        let below: Vec<&str> = below.iter().map(String::as_str).collect();
        Ok(match (address.resource(), below.as_slice()) {
            (_, []) => Some(Place::Accounts(address.scope())),
            (Some(id), [_]) => Some(Place::Account(id)),
            (Some(id), [_, "listkeys"]) => Some(Place::ListKeys(id)),
            _ => None,
        })
    }

    async fn answer(&self, place: Place, call: Call) -> Result<Done, ArmError> {
        let accounts = self.0.get();
        match place {
            Place::Accounts(scope) => {
                only(call.method(), Method::GET, || Ok(list(&accounts, &scope)))
            }
            Place::Account(id) => only(call.method(), Method::GET, || get(&accounts, &id)),
            Place::ListKeys(id) => only(call.method(), Method::POST, || keys(&accounts, &id)),
        }
    }
}

fn list(accounts: &StorageAccounts, scope: &Scope) -> Done {
    let all = accounts.all();
    let wanted = all.filter(|it| scope.holds(&it.id.subscription, &it.id.resource_group));
    Done::list(wanted.map(account_json).collect())
}

fn get(accounts: &StorageAccounts, id: &ResourceName) -> Result<Done, ArmError> {
    Ok(Done::ok(account_json(find(accounts, id)?)))
}

fn keys(accounts: &StorageAccounts, id: &ResourceName) -> Result<Done, ArmError> {
    let account = find(accounts, id)?;
    tracing::info!(account = account.id.name, "keys handed out");
    let keys = account.keys.iter();
    let keys: Vec<Value> = keys
        .map(|it| json!({ "keyName": it.name, "value": it.value, "permissions": "FULL" }))
        .collect();
    Ok(Done::ok(json!({ "keys": keys })))
}

fn find<'a>(
    accounts: &'a StorageAccounts,
    id: &ResourceName,
) -> Result<&'a StorageAccount, ArmError> {
    let found = accounts.of(id);
    found.ok_or_else(|| not_found(STORAGE_ACCOUNT, id, ""))
}

fn account_json(account: &StorageAccount) -> Value {
    json!({
        "id": account.id.path(STORAGE_ACCOUNT),
        "name": account.id.name,
        "type": STORAGE_ACCOUNT.to_string(),
        "location": account.location,
        "kind": "StorageV2",
        "sku": { "name": "Standard_LRS", "tier": "Standard" },
        "tags": {},
        "properties": {
            "provisioningState": "Succeeded",
            "primaryLocation": account.location,
            "statusOfPrimary": "available",
            "primaryEndpoints": { "blob": account.blob_endpoint },
        },
    })
}
