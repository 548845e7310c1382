#![allow(clippy::unwrap_used)]

use super::*;

const PROFILE: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Network/trafficManagerProfiles/logs";
const NEEDS: &str = "Microsoft.Network/trafficManagerProfiles/externalEndpoints/write";

fn endpoint() -> ResourceId {
    let profile: ResourceId = PROFILE.parse().unwrap();
    profile.child("externalEndpoints", "primary").unwrap()
}

#[test]
fn in_azure_s_words() {
    let message = format!(
        "The client 'app' with object id '0b1f6471-1bf0-4dda-aec3-111122223333' does not have \
         authorization to perform action '{NEEDS}' over scope '{PROFILE}/externalEndpoints/primary' \
         or the scope is invalid. If access was recently granted, please refresh your credentials."
    );
    let denied = denied(&message, "x/y", &endpoint());
    assert_eq!(denied.action, NEEDS);
    assert_eq!(
        denied.object_id.as_deref(),
        Some("0b1f6471-1bf0-4dda-aec3-111122223333")
    );
    assert_eq!(denied.scope, format!("{PROFILE}/externalEndpoints/primary"));
    assert_eq!(
        denied.grant,
        format!(
            "az role assignment create --assignee-object-id 0b1f6471-1bf0-4dda-aec3-111122223333 \
             --assignee-principal-type ServicePrincipal --role 'Traffic Manager Contributor' \
             --scope '{PROFILE}'"
        )
    );
}

#[test]
fn in_other_words() {
    for message in [
        "",
        "no",
        "action '",
        "action 'x",
        "action 'rm -rf; ' scope '$(reboot)' object id '$x'",
    ] {
        let denied = denied(message, NEEDS, &endpoint());
        assert_eq!(
            (denied.action.as_str(), denied.object_id),
            (NEEDS, None),
            "{message}"
        );
        assert!(
            denied.grant.ends_with(&format!("--scope '{PROFILE}'")),
            "{}",
            denied.grant
        );
    }
    let group = "/subscriptions/5e55/resourceGroups/dr";
    let denied = denied(
        &format!("action '{NEEDS}' over scope '{group}'"),
        NEEDS,
        &endpoint(),
    );
    assert!(
        denied.grant.ends_with(&format!("--scope '{group}'")),
        "{}",
        denied.grant
    );
}

#[test]
fn roles() {
    let table = [
        ("Microsoft.Network/trafficManagerProfiles/read", "Reader"),
        (NEEDS, "Traffic Manager Contributor"),
        (
            "Microsoft.Insights/metricAlerts/write",
            "Monitoring Contributor",
        ),
        (
            "Microsoft.AlertsManagement/alerts/changestate/action",
            "Monitoring Contributor",
        ),
        (
            "Microsoft.Storage/storageAccounts/listKeys/action",
            "Storage Account Key Operator Service Role",
        ),
    ];
    for (action, name) in table {
        assert_eq!(role(action), name, "{action}");
    }
}

proptest::proptest! {
    #[test]
    fn no_words_break_out_of_the_command(message in ".*action '.*' over scope '.*'.*object id '.*'.*") {
        let denied = denied(&message, NEEDS, &endpoint());
        let quotes = denied.grant.matches('\'').count();
        proptest::prop_assert!(quotes == 4 || quotes == 6, "{}", denied.grant);
        proptest::prop_assert!(!denied.grant.contains(['$', ';', '`', '|', '\n', '"']));
    }
}
