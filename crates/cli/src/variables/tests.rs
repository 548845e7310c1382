#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn unknown(nearest: &str) -> Verdict {
    Verdict::Unknown {
        nearest: Some(nearest.to_owned()),
    }
}

fn decides(meant: &str) -> Verdict {
    Verdict::Decides {
        meant: meant.to_owned(),
    }
}

#[test]
fn a_name_is_known_misspelt_or_somebody_elses() {
    let known = known();
    for (name, value, verdict) in [
        ("BACKSTAY_MEMORY_BYTES", "1", Verdict::Known),
        ("BACKSTAY_TRAFFIC_DNS", "1", Verdict::Known),
        ("AZURE_RECOVER_FROM_REPLACE_REGION", "a/b", Verdict::Known),
        ("BACKSTAY_PAIR__NOTHING__LIKE__IT", "1", Verdict::Known),
        (
            "BACKSTAY_MEMORY_BYTE",
            "1",
            unknown("BACKSTAY_MEMORY_BYTES"),
        ),
        (
            "BAKCSTAY_MEMORY_BYTES",
            "1",
            unknown("BACKSTAY_MEMORY_BYTES"),
        ),
        (
            "backstay_memory_bytes",
            "1",
            unknown("BACKSTAY_MEMORY_BYTES"),
        ),
        (
            "BACKSTAY_XYZZY_PLUGH_17",
            "1",
            Verdict::Unknown { nearest: None },
        ),
        ("BACKSTAY_PORT", "8080", Verdict::Unknown { nearest: None }),
        // What decides a recovery.
        (
            "AZURE_RECOVER_FORM_BUCKET",
            "b",
            decides("AZURE_RECOVER_FROM_BUCKET"),
        ),
        (
            "AZURE_RECOVER_FROM_BUCKETS",
            "b",
            decides("AZURE_RECOVER_FROM_BUCKET"),
        ),
        (
            "Azure_Recover_From_Bucket",
            "b",
            decides("AZURE_RECOVER_FROM_BUCKET"),
        ),
        (
            "AZURE-RECOVER-FROM-BUCKET",
            "b",
            decides("AZURE_RECOVER_FROM_BUCKET"),
        ),
        (
            "S3_RECOVERFROM_ENCRYPTION_KEY",
            "k",
            decides("S3_RECOVER_FROM_ENCRYPTION_KEY"),
        ),
        (
            "LOCAL_RECOVER_FROM_REPLACE_REGIONS",
            "k",
            decides("LOCAL_RECOVER_FROM_REPLACE_REGION"),
        ),
        (
            "GCP_STORAGE_OBJECT_KEY_PREFX",
            "p/",
            decides("GCP_STORAGE_OBJECT_KEY_PREFIX"),
        ),
        ("AZURE_STORGE_BUCKET", "b", decides("AZURE_STORAGE_BUCKET")),
        (
            "BACKSTAY_RECOVER_WITHOUT_SEALS",
            "true",
            decides("BACKSTAY_RECOVER_WITHOUT_SEAL"),
        ),
        (
            "BUCKET_STORAGE_MULTIPLE_ENDPOINT",
            "true",
            decides("BUCKET_STORAGE_MULTIPLE_ENDPOINTS"),
        ),
        (
            "S3_RECOVER_FROM_KMS_KEY_ARN",
            "arn",
            Verdict::Unknown { nearest: None },
        ),
        // Somebody else's.
        ("PATH", "/bin", Verdict::Foreign),
        ("POST", "1", Verdict::Foreign),
        ("HUMIO_HOST", "1", Verdict::Foreign),
        ("AZURE_STORAGE_KEY", "k", Verdict::Foreign),
        ("AZURE_STORAGE_CONNECTION_STRING", "k", Verdict::Foreign),
        ("S3_STORAGE_PREFERRED_COPY_SOURCE", "true", Verdict::Foreign),
        ("S3_ARCHIVING_BUCKET", "b", Verdict::Foreign),
        ("BACKSTAY_SERVICE_HOST", "10.0.0.1", Verdict::Foreign),
        ("BACKSTAY_WATCH_SERVICE_PORT_HTTP", "80", Verdict::Foreign),
        ("BACKSTAY_PORT", "tcp://10.0.0.1:80", Verdict::Foreign),
        (
            "BACKSTAY_WATCH_PORT_80_TCP_ADDR",
            "10.0.0.1",
            Verdict::Foreign,
        ),
        (
            "BACKSTAY_PORT_80_TCP",
            "tcp://10.0.0.1:80",
            Verdict::Foreign,
        ),
    ] {
        assert_eq!(
            known.verdict(name, value, &|_| false),
            verdict,
            "{name}={value}"
        );
    }
}

#[test]
fn beside_the_right_name_a_wrong_one_changes_nothing() {
    let known = known();
    let set = |name: &str| name == "AZURE_RECOVER_FROM_BUCKET";
    assert_eq!(
        known.verdict("AZURE_RECOVER_FROM_BUKET", "b", &set),
        unknown("AZURE_RECOVER_FROM_BUCKET")
    );
}

#[test]
fn no_known_name_passes_for_a_misspelling_of_another_that_decides() {
    let known = known();
    for name in &known.names {
        assert_eq!(
            known.verdict(name, "x", &|_| false),
            Verdict::Known,
            "{name}"
        );
    }
}

/// Names in the sources and the documents of this repository.
fn written(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(
                name.as_str(),
                "target" | ".git" | "variables" | "node_modules"
            ) {
                written(&path, found);
            }
            continue;
        }
        // What is misspelt there is meant to be.
        if name == "variables.rs" {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for (start, _) in text.match_indices("BACKSTAY_") {
            let rest = &text[start..];
            let end = rest
                .find(|it: char| !(it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_'))
                .unwrap_or(rest.len());
            let name = rest[..end].trim_end_matches('_');
            let wildcard = end > name.len();
            // `BACKSTAY_PAIR__…` and the like stand for many.
            if !wildcard {
                found.insert(name.to_owned());
            }
        }
    }
}

#[test]
fn every_name_that_this_repository_mentions_is_known() {
    let root = backstay_testkit::root();
    let mut found = BTreeSet::new();
    for folder in ["bench", "crates", "deploy", "docs", "tests", ".ci"] {
        if root.join(folder).is_dir() {
            written(&root.join(folder), &mut found);
        }
    }
    assert!(
        found.contains("BACKSTAY_MEMORY_BYTES"),
        "nothing was looked at"
    );
    let known = known();
    let unknown: Vec<_> = found
        .iter()
        .filter(|name| known.verdict(name, "x", &|_| false) != Verdict::Known)
        .collect();
    assert!(
        unknown.is_empty(),
        "add to crates/cli/src/variables.rs or correct: {unknown:?}"
    );
}
