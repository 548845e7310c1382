#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apart;
mod faults;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{BucketLocation, EncryptionKey, EnvironmentField, MonitorLimits, Pair, Protocol, read};
use crate::document::{Document, Value};
use crate::error::{Origin, PairError, Problem};
use crate::reader::Reader;

const AZURE: &str = include_str!("../../tests/pair/azure.toml");
const FOLDER: &str = include_str!("../../tests/pair/folder.toml");

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .join(path)
}

fn example() -> String {
    std::fs::read_to_string(project("deploy/backstay.example.toml")).unwrap()
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Pair, Vec<Problem>> {
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match Pair::parse(text, Path::new("backstay.toml"), variables) {
        Ok(pair) => Ok(pair),
        Err(PairError::Invalid { problems, .. }) => Err(problems),
        Err(other) => panic!("{other}"),
    }
}

fn parse(text: &str) -> Result<Pair, Vec<Problem>> {
    with(text, &[])
}

/// Every key that is asked for, of a pair of either provider.
fn keys(text: &str) -> BTreeSet<String> {
    let mut reader = Reader::new(Document::parse(text).unwrap(), []);
    read::pair(&mut reader);
    reader.asked().clone()
}

#[test]
fn the_example_is_a_pair_with_the_defaults_of_the_manual() {
    let pair = Pair::read(&project("deploy/backstay.example.toml"), []).unwrap();
    assert_eq!(pair.namespace, "logging");
    assert_eq!(pair.ingress_namespace, "logging-ingress");
    assert_eq!(pair.primary.context, "aks-primary");
    assert_eq!(pair.secondary.context, "aks-secondary");
    assert_eq!(pair.failover.pre_failover_failure_seconds, 180);
    assert_eq!(pair.failover.cooldown_seconds, 300);
    let manager = &pair.traffic_manager;
    assert_eq!(
        (
            manager.interval,
            manager.timeout,
            manager.tolerated_failures,
            manager.ttl
        ),
        (30, 10, 3, 60)
    );
    assert_eq!(manager.limits, MonitorLimits::Azure);
    assert_eq!(manager.probe_protocol, Protocol::Https);
    assert_eq!(manager.probe_path, "/api/v1/status");
    let BucketLocation::Azure { endpoint_base, .. } = &pair.primary.storage.place else {
        panic!("not Azure");
    };
    assert_eq!(
        endpoint_base,
        "https://logscaleprimary.blob.core.windows.net"
    );
}

/// Lines like `#interval = 30`.
fn uncommented(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_example_has_every_key_and_what_it_calls_a_default_is_one() {
    let text = uncommented(&example());
    assert_eq!(parse(&text).unwrap(), parse(&example()).unwrap());
    let there = Document::parse(&text).unwrap().entries;
    for key in keys(AZURE) {
        let known_otherwise = key.ends_with(".storage.path");
        assert!(
            there.contains_key(&key) || known_otherwise,
            "{key} is not in the example"
        );
    }
}

#[test]
fn the_documentation_has_every_key() {
    let page = std::fs::read_to_string(project("docs/pair.md")).unwrap();
    for key in keys(AZURE).union(&keys(FOLDER)) {
        let key = key.strip_prefix("secondary.").unwrap_or(key);
        let key = key.strip_prefix("primary.").unwrap_or(key);
        assert!(
            page.contains(&format!("`{key}`")),
            "{key} is not in docs/pair.md"
        );
    }
}

#[test]
fn a_lab_leaves_to_defaults_what_has_them() {
    let pair = parse(FOLDER).unwrap();
    for (side, region) in [("primary", &pair.primary), ("secondary", &pair.secondary)] {
        assert_eq!(region.cluster, "logscale");
        assert_eq!(region.kafka, "logscale-strimzi-kafka");
        assert_eq!(region.services.ui, "logscale-ui-cip");
        assert_eq!(region.services.ingest, "logscale-ingest-cip");
        assert_eq!(region.ingress.name, "logscale-ui");
        assert_eq!(region.pools.ingest.name, "ingest-only");
        assert_eq!(region.pools.ui.node_label.value, "logscale-ui");
        assert_eq!(region.license.secret, "logscale-license");
        assert_eq!(region.environment_field, EnvironmentField::Common);
        assert!(region.tls);
        // Both clusters are called the same, so the other region's key needs another secret.
        let key = region.storage.encryption_key.secret().unwrap();
        assert_eq!(key.own.secret, "logscale-storage-encryption");
        let copy = format!("logscale-storage-encryption-{side}");
        assert_eq!((&key.copy.secret, &key.copy.key), (&copy, &key.own.key));
    }
    assert_eq!(pair.primary.endpoint_target, "primary.lab.test");
    assert_eq!(pair.traffic_manager.relative_name, "logs");
    assert_eq!(pair.traffic_manager.alert_name, "lab-dr-failover-alert");
    let BucketLocation::Folder { container, .. } = &pair.secondary.storage.place else {
        panic!("no folder");
    };
    assert_eq!(container, "secondary");
}

#[test]
fn variables_override_keys_of_every_type() {
    let changed = with(
        AZURE,
        &[
            ("BACKSTAY_PAIR__PRIMARY__STORAGE__ACCOUNT", "otheraccount"),
            (
                "BACKSTAY_PAIR__PRIMARY__STORAGE__ACCOUNT_KEY__SECRET",
                "other",
            ),
            ("BACKSTAY_PAIR__TRAFFIC_MANAGER__INTERVAL", "30"),
            ("BACKSTAY_PAIR__TRAFFIC_MANAGER__LIMITS", "lab"),
            ("BACKSTAY_PAIR__ENVIRONMENT__BACKSTAY_HEARTBEAT_MS", "500"),
            ("BACKSTAY_PAIR__ENVIRONMENT__BACKSTAY_SNAPSHOT_SECONDS", "9"),
            // Empty is unset, and what has another prefix is not ours.
            ("BACKSTAY_PAIR__PRIMARY__REGION", ""),
            ("BACKSTAY_PAIR", "backstay.toml"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    let mut expected = parse(AZURE).unwrap();
    let BucketLocation::Azure {
        account,
        account_key,
        ..
    } = &mut expected.primary.storage.place
    else {
        panic!("not Azure");
    };
    *account = "otheraccount".to_owned();
    account_key.own.secret = "other".to_owned();
    account_key.copy.secret = "other".to_owned();
    expected.traffic_manager.interval = 30;
    for (name, value) in [
        ("BACKSTAY_HEARTBEAT_MS", "500"),
        ("BACKSTAY_SNAPSHOT_SECONDS", "9"),
    ] {
        expected
            .environment
            .insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(changed, expected);
}

/// A real LogScale may encrypt nothing; then there is no secret, and the word is the variable's value.
#[test]
fn a_region_may_encrypt_nothing() {
    let from = "encryption_key = { secret = \"pri-encryption\", key = \"key\" }";
    assert!(AZURE.contains(from));
    let pair = parse(&AZURE.replace(from, "encryption_key = \"off\"")).unwrap();
    assert_eq!(pair.primary.storage.encryption_key, EncryptionKey::Off);
    assert_ne!(pair.secondary.storage.encryption_key, EncryptionKey::Off);
    let variable = [("BACKSTAY_PAIR__PRIMARY__STORAGE__ENCRYPTION_KEY", "off")];
    // The variable stands in front of the file's table, and for none.
    for text in [AZURE, &AZURE.replace(from, "")] {
        assert_eq!(with(text, &variable).unwrap(), pair);
    }
    let problems = parse(&AZURE.replace(from, "encryption_key = \"on\"")).unwrap_err();
    assert!(
        problems[0].message.starts_with("must be \"off\""),
        "{problems:?}"
    );
}

/// Each key of the fixture can be overridden by the variable that the documentation promises.
#[test]
fn every_key_has_its_variable() {
    for key in keys(AZURE) {
        if key == "environment" || key.ends_with(".path") {
            continue;
        }
        let name = format!("BACKSTAY_PAIR__{}", key.replace('.', "__").to_uppercase());
        // No key takes this.
        let problems = with(AZURE, &[(&name, "\u{7f}")]).unwrap_err();
        let problem = problems.iter().find(|it| it.key == key);
        assert_eq!(problem.unwrap().origin, Origin::Variable(name));
    }
}

#[test]
fn a_variable_can_stand_in_for_a_missing_key() {
    let text = FOLDER.replace("global_host = \"logs.lab.test\"\n", "");
    let problems = parse(&text).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "global_host: is missing; set it to the name that clients use"
    );
    let pair = with(&text, &[("BACKSTAY_PAIR__GLOBAL_HOST", "logs.lab.test")]);
    assert_eq!(pair, parse(FOLDER));
}

/// One place in a text, changed into anything.
fn mangled(text: &'static str) -> impl Strategy<Value = String> {
    let length = text.chars().count();
    (0..length, 0..40usize, ".{0,12}").prop_map(move |(at, gone, new)| {
        let before: String = text.chars().take(at).collect();
        let after: String = text.chars().skip(at + gone).collect();
        before + &new + &after
    })
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        any::<bool>().prop_map(|it| it.to_string()),
        "[a-z0-9./:-]{0,12}".prop_map(|it| format!("{it:?}")),
        ".{0,8}".prop_map(|it| format!("{it:?}")),
        Just("[1, 2]".to_owned()),
        Just("{ a = 1 }".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("1e400".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_change_to_a_file_panics(text in prop_oneof![mangled(AZURE), mangled(FOLDER)]) {
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.is_empty());
            let lines = text.matches('\n').count() + 1;
            for problem in problems {
                if let Origin::Line(line) = problem.origin {
                    prop_assert!((1..=lines).contains(&line), "{problem}");
                }
            }
        }
    }

    /// Any key with any value, in the file and as a variable.
    #[test]
    fn no_value_panics(index in any::<prop::sample::Index>(), value in leaf(), text in any::<String>()) {
        let all: Vec<String> = keys(AZURE).into_iter().collect();
        let key = index.get(&all);
        let file = format!("{key} = {value}");
        let _ = parse(&file);
        let name = format!("BACKSTAY_PAIR__{}", key.replace('.', "__").to_uppercase());
        let _ = with(AZURE, &[(&name, &text)]);
        let _ = with(&text, &[(&name, &text), (&format!("BACKSTAY_PAIR__{text}"), "x")]);
    }
}

#[test]
fn integers_in_any_notation_and_only_whole_ones() {
    let entries =
        Document::parse("a = 0x1F\nb = 1_000\nc = -5\nd = 99999999999999999999\ne = 1.0\n")
            .unwrap()
            .entries;
    assert_eq!(entries["a"].value, Value::Integer(31));
    assert_eq!(entries["b"].value, Value::Integer(1000));
    assert_eq!(entries["c"].value, Value::Integer(-5));
    assert!(matches!(entries["d"].value, Value::Other(_)));
    assert!(matches!(entries["e"].value, Value::Other(_)));
    assert_eq!(entries["e"].line, 5);
}
