//! Storage accounts: read, listed, and their keys handed out.
//!
//! Source: <https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list-keys>.

use serde_json::{Value, json};

use super::error::ArmError;
use super::frame::{Done, not_found};
use crate::resource::{Kind, ResourceId, Scope};
use crate::storage::{StorageAccount, StorageAccounts};

pub(super) fn list(accounts: &StorageAccounts, scope: &Scope) -> Done {
    let all = accounts.all();
    let wanted = all.filter(|it| scope.holds(&it.id.subscription, &it.id.resource_group));
    Done::list(wanted.map(account_json).collect())
}

pub(super) fn get(accounts: &StorageAccounts, id: &ResourceId) -> Result<Done, ArmError> {
    Ok(Done::ok(account_json(find(accounts, id)?)))
}

pub(super) fn keys(accounts: &StorageAccounts, id: &ResourceId) -> Result<Done, ArmError> {
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
    id: &ResourceId,
) -> Result<&'a StorageAccount, ArmError> {
    let found = accounts.of(id);
    found.ok_or_else(|| not_found(Kind::StorageAccount, id, ""))
}

fn account_json(account: &StorageAccount) -> Value {
    json!({
        "id": account.id.path(Kind::StorageAccount),
        "name": account.id.name,
        "type": Kind::StorageAccount.to_string(),
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
