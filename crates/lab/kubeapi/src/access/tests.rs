#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::kind::find;

fn may(role: Role, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let kind = crate::kind::KINDS
        .iter()
        .find(|kind| kind.group == group && kind.plural == plural)
        .unwrap();
    User(vec![role]).may(&Act {
        verb,
        kind,
        subresource,
        namespace,
        name: "x",
    })
}

#[test]
fn the_failover_function_may_do_what_it_needs_and_no_more() {
    for (verb, group, resource) in [
        ("get", "apps", "deployments"),
        ("patch", "apps", "deployments"),
        ("patch", "apps", "deployments/scale"),
        ("watch", "core.humio.com", "humioclusters"),
        ("update", "coordination.k8s.io", "leases"),
        ("create", "", "events"),
        ("list", "", "pods"),
        ("get", "", "pods/log"),
    ] {
        assert!(
            may(Role::DR_FUNCTION, verb, group, resource, "logging"),
            "{verb} {resource}"
        );
        assert!(!may(
            Role::DR_FUNCTION,
            verb,
            group,
            resource,
            "kube-system"
        ));
        assert!(!may(Role::DR_FUNCTION, verb, group, resource, ""));
    }
    for (verb, group, resource) in [
        ("delete", "apps", "deployments"),
        ("create", "apps", "deployments"),
        ("patch", "core.humio.com", "humioclusters"),
        ("get", "", "secrets"),
        ("list", "", "secrets"),
        ("delete", "", "pods"),
        ("get", "", "pods/exec"),
        ("create", "", "pods/exec"),
        ("get", "", "pods/portforward"),
        ("get", "", "pods/proxy"),
        ("list", "apps", "statefulsets"),
    ] {
        assert!(
            !may(Role::DR_FUNCTION, verb, group, resource, "logging"),
            "{verb} {resource}"
        );
    }
}

#[test]
fn the_ingress_reads_what_it_routes_by_and_nothing_else() {
    const READS: [(&str, &str); 4] = [
        ("", "services"),
        ("", "endpoints"),
        ("", "secrets"),
        ("networking.k8s.io", "ingresses"),
    ];
    for kind in &crate::kind::KINDS {
        let read = READS.contains(&(kind.group, kind.plural));
        for verb in ["get", "list", "watch"] {
            let allowed = may(Role::INGRESS, verb, kind.group, kind.plural, "logging");
            assert_eq!(allowed, read, "{verb} {}", kind.plural);
            assert!(!may(Role::INGRESS, verb, kind.group, kind.plural, "other"));
        }
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            for part in ["", "/status", "/proxy", "/exec"] {
                let resource = format!("{}{part}", kind.plural);
                assert!(
                    !may(Role::INGRESS, verb, kind.group, &resource, "logging"),
                    "{verb} {resource}"
                );
            }
        }
    }
}

#[test]
fn an_operator_may_not_exec_nor_touch_nodes() {
    assert!(may(Role::OPERATOR, "delete", "", "pods", "logging"));
    assert!(may(
        Role::OPERATOR,
        "patch",
        "core.humio.com",
        "humioclusters/status",
        "logging"
    ));
    assert!(!may(Role::OPERATOR, "create", "", "pods/exec", "logging"));
    assert!(!may(Role::OPERATOR, "delete", "", "nodes", ""));
    assert!(may(Role::ADMIN, "delete", "", "nodes", ""));
}

#[test]
fn a_rule_can_be_for_one_name_only() {
    const ROLE: Role = Role {
        name: "one",
        namespace: None,
        rules: &[Rule {
            verbs: &["get"],
            groups: &[""],
            resources: &["secrets"],
            names: &["mine"],
        }],
    };
    let kind = find("", "v1", "secrets").unwrap();
    for (name, allowed) in [("mine", true), ("other", false), ("", false)] {
        let act = Act {
            verb: "get",
            kind,
            subresource: "",
            namespace: "logging",
            name,
        };
        assert_eq!(User(vec![ROLE]).may(&act), allowed, "{name}");
    }
}

#[test]
fn who_has_two_roles_may_do_what_either_allows_and_has_one_token() {
    let folder = tempfile::TempDir::new().unwrap();
    let roles = [Role::RUNBOOK_PRIMARY, Role::INGRESS, Role::RUNBOOK_INGRESS];
    let access = Access::in_folder(folder.path(), &roles).unwrap();
    assert_eq!(access.tokens.len(), 2);
    let user = access
        .authenticate(access.token("runbook-primary").unwrap())
        .unwrap();
    assert_eq!(user.name(), "runbook-primary");
    for (group, plural, namespace, allowed) in [
        ("", "secrets", "logging", true),
        ("", "secrets", "logging-ingress", false),
        ("apps", "deployments", "logging", true),
        ("apps", "deployments", "logging-ingress", true),
        ("apps", "deployments", "other", false),
    ] {
        let act = Act {
            verb: "get",
            kind: find(group, "v1", plural).unwrap(),
            subresource: "",
            namespace,
            name: "x",
        };
        assert_eq!(user.may(&act), allowed, "{plural} in {namespace}");
    }
}

#[test]
fn tokens_are_kept_and_not_shown() {
    let folder = tempfile::TempDir::new().unwrap();
    let roles = [Role::ADMIN, Role::DR_FUNCTION];
    let access = Access::in_folder(folder.path(), &roles).unwrap();
    let again = Access::in_folder(folder.path(), &roles).unwrap();
    let token = access.token("admin").unwrap();
    assert_eq!(again.token("admin"), Some(token));
    assert_ne!(access.token("dr-function"), Some(token));
    assert_eq!(again.authenticate(token).unwrap().name(), "admin");
    assert!(again.authenticate("").is_none());
    assert!(!format!("{access:?}").contains(token));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = folder
        .path()
        .join("admin.token")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
