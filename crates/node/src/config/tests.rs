#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use super::*;

fn config(vars: &[(&str, &str)]) -> Result<NodeConfig, ConfigError> {
    let mut all: HashMap<String, String> = HashMap::from([
        ("LOCAL_STORAGE_PATH".to_owned(), "/tmp/bucket".to_owned()),
        (
            "LOCAL_STORAGE_ENCRYPTION_KEY".to_owned(),
            "a long enough key".to_owned(),
        ),
    ]);
    all.extend(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    NodeConfig::from_env(&|name| all.get(name).cloned())
}

#[test]
fn defaults_are_those_of_the_table() {
    let config = config(&[]).unwrap();
    assert_eq!(config.port, 8080);
    assert_eq!(config.roles, Roles::All);
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    assert_eq!(
        config.admin_token_file,
        PathBuf::from("./data/admin-token.txt")
    );
    assert_eq!(config.public_url.as_str(), "http://localhost:8080/");
    assert_eq!(config.tuning.partitions, 4);
    assert!(config.recover_from.is_none());
    assert!(config.enable_alerts);
    assert!(!config.multiple_endpoints);
}

#[test]
fn values_that_mean_nothing_name_their_variable() {
    for (name, value) in [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("NODE_ROLES", "some"),
        ("ENABLE_ALERTS", "maybe"),
        ("PUBLIC_URL", "not a url"),
        ("EXTERNAL_URL", "not a url"),
        ("BACKSTAY_BIND", "here"),
        ("BACKSTAY_INGEST_PARTITIONS", "0"),
        ("INGEST_QUEUE_INITIAL_PARTITIONS", "0"),
        ("ELASTIC_PORT", "many"),
        ("BOOTSTRAP_ROOT_TOKEN_HASHED", "P2HS9.20.abc"),
        ("BACKSTAY_TRIM_SECONDS", "0"),
        ("BACKSTAY_SNAPSHOTS_KEPT", "1"),
        ("BACKSTAY_LEASE_MS", "3000"),
        ("BACKSTAY_COMMIT_BYTES", "-1"),
    ] {
        let error = config(&[(name, value)]).unwrap_err();
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

#[test]
fn other_nodes_are_told_the_external_url_and_clients_the_public_one() {
    let public = ("PUBLIC_URL", "https://logs.example.com/");
    let alone = config(&[public]).unwrap();
    assert_eq!(alone.external_url, alone.public_url);
    let both = config(&[public, ("EXTERNAL_URL", "http://pod-1.logs-headless:8080")]).unwrap();
    assert_eq!(
        both.external_url.as_str(),
        "http://pod-1.logs-headless:8080/"
    );
    assert_eq!(both.public_url.as_str(), "https://logs.example.com/");
}

#[test]
fn what_the_operator_sets_is_understood() {
    let operator = config(&[
        ("INGEST_QUEUE_INITIAL_PARTITIONS", "24"),
        ("ZONE", "eastus-1"),
        ("ELASTIC_PORT", "9200"),
    ])
    .unwrap();
    assert_eq!(operator.tuning.partitions, 24);
    assert_eq!(operator.zone.as_deref(), Some("eastus-1"));
    assert_eq!(operator.elastic_port, Some(9200));
    let both = [
        ("INGEST_QUEUE_INITIAL_PARTITIONS", "24"),
        ("BACKSTAY_INGEST_PARTITIONS", "3"),
    ];
    assert_eq!(config(&both).unwrap().tuning.partitions, 3);
}

#[test]
fn without_a_bucket_it_says_which_variables_there_are() {
    let error = NodeConfig::from_env(&|_| None).unwrap_err();
    assert!(error.to_string().contains("LOCAL_STORAGE_PATH"));
}

#[test]
fn the_recovery_source_brings_its_replacements() {
    let source = [
        ("LOCAL_RECOVER_FROM_PATH", "/tmp/other"),
        ("LOCAL_RECOVER_FROM_ENCRYPTION_KEY", "a long enough key"),
    ];
    let mut vars = source.to_vec();
    vars.push(("LOCAL_RECOVER_FROM_REPLACE_REGION", "eastus/westus"));
    let found = config(&vars).unwrap();
    assert!(found.recover_from.is_some());
    assert_eq!(found.replace_region, Some("eastus/westus".parse().unwrap()));
    let mut vars = source.to_vec();
    vars.push(("LOCAL_RECOVER_FROM_REPLACE_REGION", "eastus"));
    assert!(config(&vars).is_err());
}

#[test]
fn empty_values_count_as_unset() {
    assert_eq!(config(&[("PORT", " ")]).unwrap().port, 8080);
}

#[test]
fn a_zone_of_azure_says_its_region() {
    assert_eq!(region_of("eastus2-1").as_deref(), Some("eastus2"));
    for none in ["0", "", "-1", "eastus"] {
        assert_eq!(region_of(none), None, "{none}");
    }
    let said = [("ZONE", "eastus2-1"), ("BACKSTAY_REGION", "westus")];
    assert_eq!(config(&said).unwrap().region.as_deref(), Some("westus"));
    // Elsewhere a zone is called otherwise, and the bucket's variables say its region.
    assert_eq!(config(&[("ZONE", "eastus2-1")]).unwrap().region, None);
}
