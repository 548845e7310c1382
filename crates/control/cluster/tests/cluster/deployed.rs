//! What is deployed in a cluster so that people may run what this crate does.

use backstay_kubeapi::Role;

/// Rules as `deploy/kubernetes` has them; lines that only say why are left out there.
fn rules(role: &Role) -> String {
    let list = |texts: &[&str]| {
        let quoted: Vec<String> = texts.iter().map(|it| format!("\"{it}\"")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let lines = role.rules.iter().map(|rule| {
        format!(
            "  - apiGroups: {}\n    resources: {}\n    verbs: {}\n",
            list(rule.groups),
            list(rule.resources),
            list(rule.verbs)
        )
    });
    let lines: String = lines.collect();
    format!("rules:\n{lines}---\n")
}

#[test]
fn what_is_deployed_for_the_runbook_is_what_its_roles_allow_here() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../deploy/kubernetes/runbook.yaml"
    );
    let deployed = std::fs::read_to_string(path).unwrap();
    let said = deployed
        .lines()
        .filter(|it| !it.trim_start().starts_with('#'))
        .map(|it| format!("{it}\n"));
    let said: String = said.collect();
    let roles = [
        (Role::RUNBOOK_PRIMARY, "primary"),
        (Role::RUNBOOK_INGRESS, "primary"),
        (Role::RUNBOOK_SECONDARY, "secondary"),
    ];
    assert_eq!(
        said.matches("kind: Role\n").count() - said.matches("roleRef").count(),
        3
    );
    for (role, side) in roles {
        let wanted = format!(
            "  namespace: {}\n  labels:\n    app.kubernetes.io/name: backstay\n    \
             app.kubernetes.io/component: runbook\n    logscale.dr/side: {side}\n{}",
            role.namespace.unwrap(),
            rules(&role)
        );
        assert!(said.contains(&wanted), "{path} has not\n{wanted}");
    }
    // Whoever proves at the end that a failover would be allowed must be allowed all of that.
    for rule in Role::FAILOVER.rules {
        let has = |verb: &&str, resource: &&str| {
            Role::RUNBOOK_SECONDARY.rules.iter().any(|it| {
                it.groups == rule.groups
                    && it.resources.contains(resource)
                    && it.verbs.contains(verb)
            })
        };
        for (verb, resource) in rule
            .verbs
            .iter()
            .flat_map(|verb| rule.resources.iter().map(move |it| (verb, it)))
        {
            assert!(has(verb, resource), "{verb} {resource}");
        }
    }
}
