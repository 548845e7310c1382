#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use super::{Derived, derive, derive_file, reverse_recovery};
use crate::environment::{EnvSource, EnvVar};
use crate::pair::{BucketLocation, Pair};
use crate::role::{Dr, Side};

fn file(provider: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pair");
    folder.join(format!("{provider}.toml"))
}

fn all() -> impl Iterator<Item = (Pair, Derived)> {
    ["azure", "folder"].into_iter().flat_map(|provider| {
        let pair = Pair::read(&file(provider), []).unwrap();
        let mut derived = Vec::new();
        for side in [Side::Primary, Side::Secondary] {
            for dr in [Dr::Active, Dr::Standby, Dr::None] {
                for dedicated in [false, true] {
                    derived.push((pair.clone(), derive(&pair, side, dr, dedicated)));
                }
            }
        }
        derived
    })
}

fn names(variables: &[EnvVar]) -> Vec<&str> {
    variables.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn only_a_standby_recovers_and_never_by_replacing_the_bucket() {
    for (_, derived) in all() {
        assert_eq!(derived.recovery.is_empty(), derived.dr != Dr::Standby);
        for name in names(&derived.cluster_environment()) {
            assert!(!name.ends_with("REPLACE_BUCKET"), "{name}");
        }
    }
}

#[test]
fn the_variables_of_recovery_are_those_of_the_manual() {
    let pair = Pair::read(&file("azure"), []).unwrap();
    let expected = [
        "AZURE_RECOVER_FROM_BUCKET",
        "AZURE_RECOVER_FROM_ACCOUNTNAME",
        "AZURE_RECOVER_FROM_ACCOUNTKEY",
        "AZURE_RECOVER_FROM_ENDPOINT_BASE",
        "AZURE_RECOVER_FROM_OBJECT_KEY_PREFIX",
        "AZURE_RECOVER_FROM_ENCRYPTION_KEY",
        "AZURE_RECOVER_FROM_REPLACE_REGION",
    ];
    let standby = derive(&pair, Side::Secondary, Dr::Standby, false);
    assert_eq!(names(&standby.recovery), expected);
    let reverse = reverse_recovery(&pair);
    assert_eq!(names(&reverse), expected);
    // "Inverted from failover direction."
    let region = |list: &[EnvVar]| list.last().unwrap().source.clone();
    assert_eq!(
        region(&standby.recovery),
        EnvSource::Value("centralus/eastus2".to_owned())
    );
    assert_eq!(
        region(&reverse),
        EnvSource::Value("eastus2/centralus".to_owned())
    );
}

#[test]
fn a_source_is_the_other_regions_own_bucket() {
    for (pair, derived) in all() {
        let other = derive(&pair, derived.side.other(), Dr::None, true);
        for recovery in [&derived.recovery, &derived.reverse_recovery] {
            for variable in recovery {
                if variable.name.ends_with("_REPLACE_REGION") {
                    continue;
                }
                let own = variable.name.replace("_RECOVER_FROM_", "_STORAGE_");
                let theirs = other.environment.iter().find(|it| it.name == own).unwrap();
                let storage = &pair.region(other.side).storage;
                let mut keys = Vec::from_iter(storage.encryption_key.secret());
                if let BucketLocation::Azure { account_key, .. } = &storage.place {
                    keys.push(account_key);
                }
                // A secret is held here under the name of its copy.
                let held = match &theirs.source {
                    EnvSource::Secret(key) => {
                        let key = keys.iter().find(|it| it.own == *key).unwrap();
                        EnvSource::Secret(key.copy.clone())
                    }
                    source => source.clone(),
                };
                assert_eq!(held, variable.source, "{own}");
            }
        }
    }
}

#[test]
fn no_environment_has_a_name_twice_not_even_with_the_way_back() {
    for (_, derived) in all() {
        let mut list = derived.cluster_environment();
        list.extend(derived.reverse_recovery.clone());
        let unique: BTreeSet<&str> = names(&list).into_iter().collect();
        assert_eq!(unique.len(), list.len());
    }
}

#[test]
fn roles_have_the_flags_of_the_manual() {
    for (_, derived) in all() {
        let value = |name: &str| {
            let found = derived.environment.iter().find(|it| it.name == name);
            found.map(|it| it.source.clone())
        };
        let text = |text: &str| Some(EnvSource::Value(text.to_owned()));
        let (endpoints, alerts) = match derived.dr {
            Dr::Active => (text("true"), text("true")),
            Dr::Standby => (text("true"), text("false")),
            Dr::None => (None, None),
        };
        assert_eq!(value("BUCKET_STORAGE_MULTIPLE_ENDPOINTS"), endpoints);
        assert_eq!(value("ENABLE_ALERTS"), alerts);
    }
}

#[test]
fn a_standby_sleeps_with_one_node_declared() {
    for (pair, derived) in all() {
        let standby = derived.dr == Dr::Standby;
        assert_eq!(derived.operator_replicas == 0, standby);
        assert_eq!(derived.failover_function, standby);
        if standby {
            assert_eq!(derived.node_count, 1);
            assert!(derived.node_pools.iter().all(|it| it.node_count == 0));
        } else {
            assert_eq!(derived.node_count, pair.region(derived.side).sizes.digest);
        }
    }
}

#[test]
fn no_service_selects_a_pool_that_is_not_there() {
    for (pair, derived) in all() {
        let region = pair.region(derived.side);
        let mut pools = vec![region.cluster.clone()];
        for pool in derived.node_pools.iter().filter(|it| it.node_count > 0) {
            pools.push(region.pool_label(&pool.name));
        }
        for selector in [&derived.selectors.ui, &derived.selectors.ingest] {
            assert_eq!(selector.len(), 1);
            if derived.dr != Dr::None && !derived.dedicated_routing {
                assert_eq!(selector["app.kubernetes.io/name"], "humio");
            } else {
                assert!(
                    pools.contains(&selector["humio.com/node-pool"]),
                    "{selector:?}"
                );
            }
        }
    }
}

#[test]
fn every_secret_that_is_referred_to_is_named_beforehand() {
    for (pair, derived) in all() {
        let referred = derived
            .environment
            .iter()
            .chain(&derived.recovery)
            .chain(&derived.reverse_recovery)
            .filter_map(|it| match &it.source {
                EnvSource::Secret(key) => Some((key.secret.as_str(), key.key.as_str())),
                _ => None,
            });
        let tls = pair.tls_secret.as_deref();
        let tls = tls
            .into_iter()
            .flat_map(|it| [(it, "tls.crt"), (it, "tls.key")]);
        let needed: BTreeSet<(&str, &str)> = derived
            .secrets
            .iter()
            .flat_map(|it| it.keys.iter().map(|key| (it.name.as_str(), key.as_str())))
            .collect();
        for (secret, key) in referred.chain(tls) {
            assert!(needed.contains(&(secret, key)), "{secret} {key}");
        }
    }
}

#[test]
fn an_active_region_keeps_what_it_reads_its_history_with() {
    for (pair, derived) in all() {
        let kept = derived.clone().keep_recovery(&pair);
        assert_eq!(kept.recovery.is_empty(), derived.dr == Dr::None);
        let standby = derive(&pair, derived.side, Dr::Standby, false);
        if derived.dr != Dr::None {
            assert_eq!(kept.recovery, standby.recovery);
        }
        // A failback's merge then finds nothing to change.
        if derived.dr == Dr::Active && derived.side == Side::Primary {
            let list = kept.cluster_environment();
            let merged = crate::merge_environment(&list, &derived.reverse_recovery);
            assert_eq!(merged, list);
        }
        // Every pool searches, or hands over to one that does.
        let variables = kept.cluster_environment();
        for document in crate::manifests(&pair, &kept) {
            if document["kind"] != "HumioCluster" {
                continue;
            }
            let spec = &document["spec"];
            let common = spec["commonEnvironmentVariables"].clone();
            let pools = spec["nodePools"].as_array().unwrap().iter();
            for spec in pools.map(|pool| &pool["spec"]).chain([spec]) {
                let lists = [&spec["environmentVariables"], &common];
                let lists = lists.into_iter().filter_map(|it| it.as_array());
                let told: Vec<&serde_json::Value> = lists.flatten().collect();
                for variable in &variables {
                    let variable = serde_json::to_value(variable).unwrap();
                    assert_eq!(told.iter().filter(|it| ***it == variable).count(), 1);
                }
            }
        }
    }
}

/// The whole way: what the promotion changes, and that the way back ends where it began.
#[test]
fn a_round_trip_ends_where_it_began() {
    let pair = Pair::read(&file("azure"), []).unwrap();
    let of = |dr, dedicated| derive(&pair, Side::Secondary, dr, dedicated);
    let standby = of(Dr::Standby, false);
    let phase_one = of(Dr::Active, false);
    let phase_two = of(Dr::Active, true);
    // Phase 1 adds the pools while services still select any pod: no moment without one.
    assert_eq!(phase_one.selectors, standby.selectors);
    assert!(!phase_one.node_pools.is_empty());
    // Phase 2 changes nothing but the selectors.
    let mut expected = phase_one.clone();
    expected.dedicated_routing = true;
    expected.selectors = phase_two.selectors.clone();
    assert_eq!(phase_two, expected);
    assert_ne!(phase_two.selectors, phase_one.selectors);
    assert_eq!(of(Dr::Standby, false), standby);
}

#[test]
fn one_call_reads_and_derives() {
    let derived = derive_file(&file("azure"), [], Side::Secondary, Dr::Standby, true).unwrap();
    let pair = Pair::read(&file("azure"), []).unwrap();
    assert_eq!(derived, derive(&pair, Side::Secondary, Dr::Standby, true));
    assert!(derive_file(Path::new("/nowhere"), [], Side::Primary, Dr::Active, true).is_err());
}

#[test]
fn words_for_sides_and_roles() {
    for side in [Side::Primary, Side::Secondary] {
        assert_eq!(side.as_str().parse(), Ok(side));
    }
    for dr in [Dr::Active, Dr::Standby, Dr::None] {
        assert_eq!(dr.as_str().parse(), Ok(dr));
    }
    assert!("Primary".parse::<Side>().is_err());
    let error = "passive".parse::<Dr>().unwrap_err();
    assert_eq!(error.to_string(), "must be active, standby or empty");
}
