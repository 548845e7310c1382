#![allow(clippy::unwrap_used, clippy::expect_used)]

use backstay_bucket::Provider;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const KEY: &str = "a0b1c2-secret-of-the-lab";

fn key(secret: &str, key: &str) -> SecretKey {
    SecretKey {
        secret: secret.to_owned(),
        key: key.to_owned(),
    }
}

fn folder(role: &str) -> Vec<EnvVar> {
    let of = key("storage", "encryption-key");
    vec![
        EnvVar::value(format!("LOCAL_{role}_BUCKET"), "primary"),
        EnvVar::value(format!("LOCAL_{role}_PATH"), "/buckets/primary"),
        EnvVar::value(format!("LOCAL_{role}_OBJECT_KEY_PREFIX"), "pri/"),
        EnvVar::secret(format!("LOCAL_{role}_ENCRYPTION_KEY"), &of),
    ]
}

fn azure(account_key: &EnvSource) -> Vec<EnvVar> {
    vec![
        EnvVar::value("AZURE_RECOVER_FROM_BUCKET", "primary"),
        EnvVar::value("AZURE_RECOVER_FROM_ACCOUNTNAME", "primaryacct"),
        EnvVar {
            name: "AZURE_RECOVER_FROM_ACCOUNTKEY".to_owned(),
            source: account_key.clone(),
        },
        EnvVar::value("AZURE_RECOVER_FROM_ENCRYPTION_KEY", KEY),
    ]
}

fn known(_: &SecretKey) -> Result<SecretString, Unresolved> {
    Ok(SecretString::from(KEY))
}

#[test]
fn a_bucket_is_made_of_values_and_secrets() {
    for (name, role) in [("STORAGE", Role::Own), ("RECOVER_FROM", Role::RecoverFrom)] {
        let environment = Environment::resolve(&folder(name), known);
        let bucket = environment.bucket(role).unwrap().unwrap();
        assert_eq!(bucket.encryption_key.expose(), KEY);
        assert_eq!(bucket.prefix, "pri/");
        let path = "/buckets/primary".into();
        assert_eq!(bucket.provider, Provider::Local { path });
        let other = match role {
            Role::Own => Role::RecoverFrom,
            Role::RecoverFrom => Role::Own,
        };
        assert_eq!(environment.bucket(other).unwrap(), None);
    }
}

#[test]
fn a_pods_source_address_is_not_ours() {
    let mut variables = folder("STORAGE");
    variables.push(EnvVar::value(SOURCE_ADDRESS, "127.71.3.4"));
    let bucket = Environment::resolve(&variables, known).bucket(Role::Own);
    assert_eq!(bucket.unwrap().unwrap().source_address, None);
}

#[test]
fn what_has_no_value_is_said_by_its_name() {
    let missing = |key: &SecretKey| Err(Unresolved::NoSecret(key.secret.clone()));
    let no_key = |key: &SecretKey| Err(Unresolved::NoKey(key.clone()));
    let empty = |_: &SecretKey| Ok(SecretString::from(""));
    let said = |resolve: fn(&SecretKey) -> Result<SecretString, Unresolved>| {
        let environment = Environment::resolve(&folder("RECOVER_FROM"), resolve);
        environment
            .bucket(Role::RecoverFrom)
            .unwrap_err()
            .to_string()
    };
    let variable = "LOCAL_RECOVER_FROM_ENCRYPTION_KEY: ";
    assert_eq!(
        said(missing),
        format!("{variable}secret storage is not there; create it")
    );
    assert_eq!(
        said(no_key),
        format!("{variable}secret storage has no key encryption-key; add it")
    );
    let said = said(empty);
    assert!(
        said.contains("it is empty, its SHA-256 is e3b0c442"),
        "{said}"
    );
}

#[test]
fn what_only_a_pod_can_resolve_is_no_value() {
    let field = json!({ "fieldRef": { "fieldPath": "status.podIP" } });
    let field = EnvSource::Other([("valueFrom".to_owned(), field)].into_iter().collect());
    for source in [field, EnvSource::Value("$(OTHER)".to_owned())] {
        let environment = Environment::resolve(&azure(&source), known);
        let error = environment.bucket(Role::RecoverFrom).unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("AZURE_RECOVER_FROM_ACCOUNTKEY: it comes from"),
            "{said}"
        );
        assert!(!error.is_unreachable());
    }
}

#[test]
fn a_region_that_does_not_answer_is_known_by_its_error() {
    let unreachable = |key: &SecretKey| {
        Err(Unresolved::Unreadable {
            secret: key.secret.clone(),
            source: Arc::new(ClusterError::Unreachable {
                region: "aks-secondary".to_owned(),
                object: "secrets storage".to_owned(),
                why: "connection refused".to_owned(),
                waited: std::time::Duration::ZERO,
            }),
        })
    };
    let environment = Environment::resolve(&folder("RECOVER_FROM"), unreachable);
    assert!(
        environment
            .bucket(Role::RecoverFrom)
            .unwrap_err()
            .is_unreachable()
    );
}

/// Somebody has put a credential where a URL belongs, and takes it from a secret.
#[test]
fn a_wrong_value_of_a_secret_is_not_quoted() {
    let mut variables = azure(&EnvSource::Value("eA==".to_owned()));
    let at = key("storage", "account-key");
    variables.push(EnvVar::secret("AZURE_RECOVER_FROM_ENDPOINT_BASE", &at));
    let wrong = |_: &SecretKey| Ok(SecretString::from("http://[not/a/url"));
    let environment = Environment::resolve(&variables, wrong);
    let said = environment
        .bucket(Role::RecoverFrom)
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "AZURE_RECOVER_FROM_ENDPOINT_BASE: the value in secret storage, key account-key cannot be used there; correct it"
    );
}

#[test]
fn of_a_name_twice_the_last_counts() {
    let mut variables = folder("STORAGE");
    variables.push(EnvVar::value(
        "LOCAL_STORAGE_ENCRYPTION_KEY",
        "another-key-of-a-length",
    ));
    let environment = Environment::resolve(&variables, known);
    assert_eq!(environment.secret_of("LOCAL_STORAGE_ENCRYPTION_KEY"), None);
    let bucket = environment.bucket(Role::Own).unwrap().unwrap();
    assert_eq!(bucket.encryption_key.expose(), "another-key-of-a-length");
}

proptest! {
    /// Whatever the values are: no text of ours shows one that a secret holds.
    #[test]
    fn nothing_shows_a_secret(
        value in "[A-Za-z0-9/:#?\\[\\] .]{8,40}",
        place in 0_usize..5,
        role in prop_oneof![Just(Role::Own), Just(Role::RecoverFrom)],
    ) {
        let name = if role == Role::Own { "STORAGE" } else { "RECOVER_FROM" };
        let mut variables = azure(&EnvSource::Value("eA==".to_owned()));
        variables.extend(folder(name).into_iter().take(1));
        let of = ["BUCKET", "ACCOUNTNAME", "ACCOUNTKEY", "ENDPOINT_BASE", "OBJECT_KEY_PREFIX"][place];
        let variable = EnvVar::secret(format!("AZURE_{name}_{of}"), &key("storage", "some"));
        variables.push(variable);
        let resolve = |_: &SecretKey| Ok(SecretString::from(value.as_str()));
        let environment = Environment::resolve(&variables, resolve);
        let shown = format!("{environment:?}");
        prop_assert!(!shown.contains(&value), "{}", shown);
        if let Err(error) = environment.bucket(role) {
            let said = format!("{error} {error:?}");
            prop_assert!(!said.contains(&value), "{}", said);
        }
    }
}
