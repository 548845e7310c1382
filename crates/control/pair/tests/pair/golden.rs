//! What is derived is compared with files that a person has read.

use std::collections::BTreeSet;

use backstay_pair::{Dr, Side, derive, manifests, traffic_manager_profile};
use serde_json::{Value, json};

use crate::cases::{self, Case};

/// A single cluster is the same on either side and by either routing, which
/// [`a_single_cluster_always_routes_by_pool`] holds.
fn matters(case: &Case) -> bool {
    case.dr != Dr::None || (case.side == Side::Primary && case.dedicated)
}

#[test]
fn derivations_are_those_of_the_golden_files() {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for case in cases::all().into_iter().filter(matters) {
        let derived = derive(&case.pair, case.side, case.dr, case.dedicated);
        let document = json!({
            "derived": derived,
            "manifests": manifests(&case.pair, &derived),
        });
        compare(&case.name(), &document, &mut known, &mut wrong);
    }
    for provider in ["azure", "folder"] {
        let profile = traffic_manager_profile(&cases::pair(provider));
        compare(
            &format!("{provider}-traffic-manager"),
            &profile,
            &mut known,
            &mut wrong,
        );
    }
    for file in std::fs::read_dir(cases::folder().join("golden")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if !known.contains(&name) {
            wrong.push(format!("golden/{name} belongs to no case; remove it"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nif this is meant, run the test again with BACKSTAY_BLESS=1, and read the change",
        wrong.join("\n")
    );
}

fn compare(name: &str, document: &Value, known: &mut BTreeSet<String>, wrong: &mut Vec<String>) {
    let name = format!("{name}.json");
    let path = cases::folder().join("golden").join(&name);
    let now = format!("{document:#}\n");
    if std::env::var_os("BACKSTAY_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if now != golden {
        let diff = similar::TextDiff::from_lines(&golden, &now);
        let header = format!("golden/{name}");
        wrong.push(
            diff.unified_diff()
                .context_radius(3)
                .header(&header, "derived now")
                .to_string(),
        );
    }
    known.insert(name);
}

#[test]
fn a_single_cluster_always_routes_by_pool() {
    for provider in ["azure", "folder"] {
        let pair = cases::pair(provider);
        for side in [Side::Primary, Side::Secondary] {
            let shared = derive(&pair, side, Dr::None, false);
            let mut dedicated = derive(&pair, side, Dr::None, true);
            dedicated.dedicated_routing = false;
            assert_eq!(shared, dedicated);
        }
    }
}
