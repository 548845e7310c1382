#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;
use crate::config::NodeConfig;

/// What reading the configuration asks for, of a node of each provider that recovers from another of
/// its kind.
fn asked_for() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let mut read = 0;
    for provider in ["AZURE", "S3", "GCP", "LOCAL"] {
        let value = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            let of_bucket = name.strip_prefix(provider)?;
            let (_, what) = of_bucket
                .split_once("_STORAGE_")
                .or_else(|| of_bucket.split_once("_RECOVER_FROM_"))?;
            let value = match what {
                "REPLACE_REGION" | "REPLACE_BUCKET" => "from/to",
                "WORKLOAD_IDENTITY" => return None,
                "ENDPOINT_BASE" => "https://store.example.com",
                _ => "a-value-that-is-long-enough",
            };
            Some(value.to_owned())
        };
        NodeConfig::from_env(&value).unwrap();
        read += 1;
    }
    assert_eq!(read, 4);
    asked.into_inner()
}

#[test]
fn the_list_is_what_the_configuration_asks_for() {
    let listed: BTreeSet<String> = variables().into_iter().collect();
    let asked = asked_for();
    assert_eq!(listed, asked);
    let deciding: BTreeSet<String> = deciding_variables().into_iter().collect();
    assert!(deciding.is_subset(&listed));
}

#[test]
fn each_has_a_row_in_the_table() {
    let table = include_str!("../../config.rs");
    for name in VARIABLES {
        assert!(table.contains(&format!("`{name}`")), "{name}");
    }
}
