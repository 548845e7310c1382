#![allow(clippy::unwrap_used)]

use std::fs::Permissions;

use super::*;

fn read(content: &str, mode: u32) -> Result<StorageAccounts, StorageError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.json");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    StorageAccounts::read(&path)
}

const GOOD: &str = r#"{ "accounts": [{
    "subscription": "s", "resourceGroup": "dr", "name": "primaryacct", "location": "centralus",
    "blobEndpoint": "http://127.0.0.1:10000/primaryacct",
    "keys": [{ "name": "key1", "value": "s3cret" }, { "name": "key2", "value": "s3cret2" }]
}] }"#;

#[test]
fn accounts_are_read_and_their_keys_not_shown() {
    let accounts = read(GOOD, 0o600).unwrap();
    let account = accounts.all().next().unwrap();
    assert_eq!(account.keys[0].value, "s3cret");
    assert_eq!(accounts.of(&account.id).unwrap().id, account.id);
    assert!(!format!("{accounts:?}").contains("s3cret"));
    read(GOOD, 0o400).unwrap();
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    for mode in [0o644, 0o640, 0o604, 0o620, 0o610] {
        let refused = read(GOOD, mode).unwrap_err();
        assert!(matches!(refused, StorageError::Mode { .. }), "{mode:o}");
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
}

#[test]
fn no_error_quotes_a_key() {
    let table = [
        ("", "no JSON"),
        ("[]", "missing or wrong"),
        (r#"{ "accounts": [{}] }"#, "missing or wrong"),
        (
            &GOOD.replace("\"name\": \"key1\"", "\"nam\": \"s3cret\""),
            "missing or wrong",
        ),
        (
            &GOOD.replace(
                "[{ \"name\": \"key1\", \"value\": \"s3cret\" }",
                "[\"s3cret\"",
            ),
            "missing or wrong",
        ),
        (
            &GOOD.replace("primaryacct\", \"loc", "Not-A-Name\", \"loc"),
            "lower-case letters",
        ),
        (
            &GOOD.replace("\"s3cret2\"", "\"\""),
            "has no key, or an empty one",
        ),
    ];
    for (content, expected) in table {
        let refused = read(content, 0o600).unwrap_err().to_string();
        assert!(refused.contains(expected), "{content}: {refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
    let missing = StorageAccounts::read(Path::new("/nonexistent/accounts.json"));
    assert!(matches!(missing, Err(StorageError::File { .. })));
}
