use super::*;

#[test]
fn what_to_type() {
    let permission = Permission {
        verb: "patch",
        resource: "deployments.apps/scale",
        namespace: "logging".to_owned(),
    };
    let name = "backstay-patch-deployments-apps-scale";
    let table = [
        (
            r#"deployments.apps "x" is forbidden: User "dr-function" cannot patch"#,
            "--user=dr-function",
        ),
        (
            r#"User "system:serviceaccount:logging:watch" cannot"#,
            "--serviceaccount=logging:watch",
        ),
        (r#"User "$(reboot)" cannot"#, "--user=USER"),
        ("no", "--user=USER"),
    ];
    for (message, subject) in table {
        assert_eq!(
            permission.grant(message),
            format!(
                "kubectl -n logging create role {name} --verb=patch --resource=deployments.apps/scale && \
                 kubectl -n logging create rolebinding {name} --role={name} {subject}"
            )
        );
    }
}
