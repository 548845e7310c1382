//! What is said of variables that nobody reads, by the command as it is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

/// `backstay node` on a folder bucket, which cannot start: its port is another's.
fn node(variables: &[(&str, &str)]) -> (Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_backstay"))
        .args(["node", "--bind", "127.0.0.1", "--bucket-folder", "bucket"])
        .arg(format!("--port={}", taken.local_addr().unwrap().port()))
        .env("LOCAL_STORAGE_ENCRYPTION_KEY", "a long enough key")
        .envs(variables.iter().copied())
        .current_dir(&folder)
        .output()
        .unwrap();
    (output, folder)
}

#[test]
fn a_misspelt_name_that_decides_a_recovery_is_refused_before_anything_is_done() {
    for (name, meant) in [
        ("LOCAL_RECOVER_FORM_PATH", "LOCAL_RECOVER_FROM_PATH"),
        ("AZURE_RECOVER_FROM_BUKET", "AZURE_RECOVER_FROM_BUCKET"),
        (
            "LOCAL_STORAGE_OBJECT_KEY_PREFX",
            "LOCAL_STORAGE_OBJECT_KEY_PREFIX",
        ),
    ] {
        let (output, folder) = node(&[(name, "x")]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(name) && said.contains(meant), "{said}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn other_misspelt_names_are_told_and_change_nothing() {
    let (output, _folder) = node(&[
        ("BACKSTAY_MEMORY_BYTE", "1"),
        ("BACKSTAY_LOG_FORMAT", "text"),
        ("LOCAL_RECOVER_FORM_PATH", ""),
    ]);
    // Beyond the variables: the port is taken.
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    let of_it: Vec<_> = said
        .lines()
        .filter(|it| it.contains("BACKSTAY_MEMORY_BYTE "))
        .collect();
    assert_eq!(of_it.len(), 1, "{said}");
    assert!(
        of_it[0].contains("is BACKSTAY_MEMORY_BYTES meant?"),
        "{said}"
    );
    assert!(!said.contains("BACKSTAY_LOG_FORMAT"), "{said}");
    assert!(!said.contains("LOCAL_RECOVER_FORM_PATH"), "{said}");
}
