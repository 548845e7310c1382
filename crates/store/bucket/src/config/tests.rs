#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use super::*;

fn read(role: Role, vars: &[(&str, &str)]) -> Result<Option<BucketConfig>> {
    let vars: HashMap<String, String> = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    BucketConfig::from_env(role, &|name| vars.get(name).cloned())
}

/// The variable that the error names, and its text.
fn wrong(role: Role, vars: &[(&str, &str)]) -> (String, String) {
    match read(role, vars).unwrap_err() {
        Error::Config { variable, problem } => (variable, problem),
        other => panic!("{other}"),
    }
}

const AZURE: [(&str, &str); 6] = [
    ("AZURE_STORAGE_BUCKET", "primarylogscalecontainer"),
    ("AZURE_STORAGE_ACCOUNTNAME", "primaryacct"),
    ("AZURE_STORAGE_ACCOUNTKEY", "a2V5"),
    (
        "AZURE_STORAGE_ENDPOINT_BASE",
        "https://primaryacct.blob.core.windows.net/",
    ),
    ("AZURE_STORAGE_OBJECT_KEY_PREFIX", "z072ef-drpri/"),
    ("AZURE_STORAGE_ENCRYPTION_KEY", "0123456789abcdef"),
];

#[test]
fn nothing_configured_is_no_bucket() {
    assert_eq!(read(Role::Own, &[]).unwrap(), None);
    assert_eq!(read(Role::RecoverFrom, &AZURE).unwrap(), None);
    // Declared but empty, as manifests have it.
    let empty = [("AZURE_RECOVER_FROM_BUCKET", "")];
    assert_eq!(read(Role::RecoverFrom, &empty).unwrap(), None);
}

#[test]
fn azure_in_full() {
    let config = read(Role::Own, &AZURE).unwrap().unwrap();
    assert_eq!(config.provider_name(), "azure");
    assert_eq!(config.container, "primarylogscalecontainer");
    assert_eq!(config.prefix, "z072ef-drpri/");
    assert_eq!(
        config.endpoint(),
        "https://primaryacct.blob.core.windows.net"
    );
    assert_eq!(config.variable_prefix(), "AZURE_STORAGE_");
    assert_eq!(config.credential_variable(), "AZURE_STORAGE_ACCOUNTKEY");
    assert_eq!(config.encryption_key.expose(), "0123456789abcdef");
    let text = format!("{config:?}");
    assert!(
        !text.contains("0123456789abcdef") && !text.contains("a2V5"),
        "{text}"
    );
}

#[test]
fn the_recovery_source_has_its_own_variables() {
    let vars: Vec<(String, &str)> = AZURE
        .iter()
        .map(|(name, value)| (name.replace("_STORAGE_", "_RECOVER_FROM_"), *value))
        .collect();
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (&**name, *value)).collect();
    let config = read(Role::RecoverFrom, &vars).unwrap().unwrap();
    assert_eq!(config.role, Role::RecoverFrom);
    assert_eq!(
        config.encryption_key_variable(),
        "AZURE_RECOVER_FROM_ENCRYPTION_KEY"
    );
    assert_eq!(read(Role::Own, &vars).unwrap(), None);
}

#[test]
fn each_required_variable_is_asked_for_by_name() {
    for left_out in [1, 2, 5] {
        let mut vars = AZURE.to_vec();
        let (name, _) = vars.remove(left_out);
        assert_eq!(wrong(Role::Own, &vars).0, name);
        vars.push((name, ""));
        assert_eq!(wrong(Role::Own, &vars).0, name);
    }
}

#[test]
fn an_empty_encryption_key_is_called_what_it_is() {
    let mut vars = AZURE.to_vec();
    vars[5].1 = "";
    assert!(wrong(Role::Own, &vars).1.contains("e3b0c442"));
    vars[5].1 = "off";
    assert!(wrong(Role::Own, &vars).1.contains("always encrypted"));
}

#[test]
fn settings_without_their_bucket_are_not_ignored() {
    let (variable, problem) = wrong(Role::Own, &AZURE[1..]);
    assert_eq!(variable, "AZURE_STORAGE_BUCKET");
    assert!(problem.contains("AZURE_STORAGE_ACCOUNTNAME"));
}

#[test]
fn two_buckets_of_one_role_are_one_too_many() {
    let mut vars = AZURE.to_vec();
    vars.push(("LOCAL_STORAGE_PATH", "/data"));
    let (variable, problem) = wrong(Role::Own, &vars);
    assert_eq!(variable, "LOCAL_STORAGE_PATH");
    assert!(problem.contains("AZURE_STORAGE_BUCKET"));
}

#[test]
fn s3_with_a_key_with_a_role_and_with_half_a_key() {
    let role = [
        ("S3_STORAGE_BUCKET", "b"),
        ("S3_STORAGE_REGION", "eu-west-1"),
        ("S3_STORAGE_ENCRYPTION_KEY", "0123456789abcdef"),
    ];
    let config = read(Role::Own, &role).unwrap().unwrap();
    assert_eq!(config.provider_name(), "s3");
    assert_eq!(config.region(), Some("eu-west-1"));
    assert_eq!(config.endpoint(), "https://s3.eu-west-1.amazonaws.com");
    let mut key = role.to_vec();
    key.push(("S3_STORAGE_ACCESSKEY", "id"));
    assert_eq!(wrong(Role::Own, &key).0, "S3_STORAGE_SECRETKEY");
    key.push(("S3_STORAGE_SECRETKEY", "hush"));
    let config = read(Role::Own, &key).unwrap().unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    assert_eq!(
        config.provider,
        Provider::S3 {
            region: "eu-west-1".to_owned(),
            credentials: Some(S3Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: Secret::new("hush"),
            }),
            endpoint_base: None,
        }
    );
    assert_eq!(wrong(Role::Own, &role[..1]).0, "S3_STORAGE_REGION");
}

#[test]
fn gcp_with_a_file_with_an_identity_and_with_both() {
    let base = [
        ("GCP_RECOVER_FROM_BUCKET", "b"),
        ("GCP_RECOVER_FROM_ENCRYPTION_KEY", "k"),
    ];
    assert_eq!(
        wrong(Role::RecoverFrom, &base).0,
        "GCP_RECOVER_FROM_ACCOUNT_JSON_FILE"
    );
    let mut vars = base.to_vec();
    vars.push(("GCP_RECOVER_FROM_WORKLOAD_IDENTITY", "true"));
    let config = read(Role::RecoverFrom, &vars).unwrap().unwrap();
    assert_eq!(config.provider_name(), "gcp");
    assert_eq!(
        config.credential_variable(),
        "GCP_RECOVER_FROM_WORKLOAD_IDENTITY"
    );
    vars.push(("GCP_RECOVER_FROM_ACCOUNT_JSON_FILE", "/secrets/sa.json"));
    assert_eq!(
        wrong(Role::RecoverFrom, &vars).0,
        "GCP_RECOVER_FROM_WORKLOAD_IDENTITY"
    );
    vars[2].1 = "yes";
    assert!(wrong(Role::RecoverFrom, &vars).1.contains("yes"));
}

#[test]
fn a_folder_is_named_after_its_last_component() {
    let mut vars = vec![
        ("LOCAL_STORAGE_PATH", "/var/lib/backstay/primary"),
        ("LOCAL_STORAGE_ENCRYPTION_KEY", "0123456789abcdef"),
    ];
    let config = read(Role::Own, &vars).unwrap().unwrap();
    assert_eq!(config.container, "primary");
    assert_eq!(config.endpoint(), "/var/lib/backstay/primary");
    vars.push(("LOCAL_STORAGE_BUCKET", "named"));
    assert_eq!(read(Role::Own, &vars).unwrap().unwrap().container, "named");
}

#[test]
fn prefixes_and_endpoints_that_cannot_work_are_refused() {
    for prefix in ["/a", "a//b", "../a", "a/./b", "a\\b"] {
        let mut vars = AZURE.to_vec();
        vars[4].1 = prefix;
        assert_eq!(wrong(Role::Own, &vars).0, "AZURE_STORAGE_OBJECT_KEY_PREFIX");
    }
    for endpoint in ["ftp://host", "http://", "https://ho st"] {
        let mut vars = AZURE.to_vec();
        vars[3].1 = endpoint;
        assert_eq!(wrong(Role::Own, &vars).0, "AZURE_STORAGE_ENDPOINT_BASE");
    }
    let mut vars = AZURE.to_vec();
    vars[3].1 = "primaryacct.blob.core.windows.net";
    let config = read(Role::Own, &vars).unwrap().unwrap();
    assert_eq!(
        config.endpoint(),
        "https://primaryacct.blob.core.windows.net"
    );
}

#[test]
fn a_key_that_can_be_guessed_can_be_read_with_and_is_told_without_being_shown() {
    for (key, fits) in [
        ("hush!", false),
        ("0123456789abcde", false),
        ("0123456789abcdef", true),
    ] {
        let own = [
            ("LOCAL_STORAGE_PATH", "/data"),
            ("LOCAL_STORAGE_ENCRYPTION_KEY", key),
        ];
        let config = read(Role::Own, &own).unwrap().unwrap();
        let Some(Error::Config { variable, problem }) = config.guessable_key() else {
            assert!(fits, "{key}");
            continue;
        };
        assert!(!fits, "{key}");
        assert_eq!(variable, "LOCAL_STORAGE_ENCRYPTION_KEY");
        assert!(problem.contains("openssl rand"), "{problem}");
        assert!(!problem.contains(key), "{problem}");
    }
}
