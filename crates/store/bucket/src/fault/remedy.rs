//! What to do about a refusal, by the store's own code.

use super::ServiceError;
use crate::BucketConfig;

/// What to do about a 401 or 403.
pub(super) fn of_denied(config: &BucketConfig, refusal: &ServiceError) -> String {
    let variable = config.what_to_correct(config.credential_variable());
    let message = refusal.message.to_ascii_lowercase();
    let is_late = message.contains("date header") || message.contains("too old");
    match refusal.code.as_str() {
        "RequestTimeTooSkewed" => clock(),
        "AuthenticationFailed" | "InvalidAuthenticationInfo" if is_late => clock(),
        "AuthorizationFailure" => format!(
            "let the account's firewall (networking: networks and addresses) pass this machine, or check {variable}"
        ),
        "KeyBasedAuthenticationNotPermitted" => {
            "the account forbids its own keys: allow storage account key access there".to_owned()
        }
        "AccountIsDisabled" | "AllAccessDisabled" | "AccountProblem" | "accountDisabled" => {
            "the account is disabled: enable it, or settle its subscription".to_owned()
        }
        "InvalidObjectState" => thaw(),
        "AuthorizationPermissionMismatch"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch"
        | "InsufficientAccountPermissions"
        | "AccessDenied"
        | "forbidden" => {
            format!("give the account of {variable} leave to read, write, list and delete there")
        }
        _ => format!("check {variable} and what the account may do there"),
    }
}

/// What to do about a 409 or 412 to something that is not made on a condition.
pub(super) fn of_conflict(code: &str) -> String {
    match code {
        "BlobArchived" | "BlobBeingRehydrated" => thaw(),
        "BlobImmutableDueToPolicy" | "ObjectLocked" | "retentionPolicyNotMet" => {
            "an immutability policy or a legal hold of the container forbids it; remove it there"
                .to_owned()
        }
        "LeaseIdMissing"
        | "LeaseIdMismatchWithBlobOperation"
        | "LeaseIdMismatchWithContainerOperation"
        | "LeaseAlreadyPresent" => "a lease forbids it; break the lease".to_owned(),
        "SnapshotsPresent" => "it has snapshots; delete them first".to_owned(),
        "AccountBeingCreated" | "AccountIsDisabled" => {
            "look at the state of the storage account".to_owned()
        }
        _ => "a lease or a policy of the container may forbid it; look at the container's settings"
            .to_owned(),
    }
}

/// Whether a 409 or 412 says that an object is there, or is another one than expected. A code that
/// is not known, or was lost with the rest of the answer, may say so: whoever asked looks.
pub(super) fn is_precondition(code: &str) -> bool {
    !matches!(
        code,
        "BlobArchived"
            | "BlobBeingRehydrated"
            | "BlobImmutableDueToPolicy"
            | "ObjectLocked"
            | "retentionPolicyNotMet"
            | "LeaseIdMissing"
            | "LeaseIdMismatchWithBlobOperation"
            | "LeaseIdMismatchWithContainerOperation"
            | "LeaseAlreadyPresent"
            | "SnapshotsPresent"
            | "InvalidBlobType"
            | "AccountBeingCreated"
            | "AccountIsDisabled"
            | "FeatureVersionMismatch"
    )
}

fn clock() -> String {
    "this machine's clock differs from the store's: set it (NTP)".to_owned()
}

fn thaw() -> String {
    "it is in an archive tier: bring it back to an online tier (rehydrate, restore), and exempt this container from the lifecycle rule that moved it".to_owned()
}
