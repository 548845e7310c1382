//! Those who read what is derived understand it: the node's bucket, and the traffic manager.

use std::collections::HashMap;
use std::path::Path;

use backstay_bucket::{BucketConfig, Role};
use backstay_pair::{
    BucketLocation, EnvSource, EnvVar, Pair, SecretKey, Side, Storage, StorageKey, derive,
    traffic_manager_profile,
};
use backstay_traffic_profile::{Context, Profile, parse_profile};
use proptest::prelude::*;

use crate::cases;

fn content(key: &SecretKey) -> String {
    format!("content of {} in {}", key.key, key.secret)
}

/// As a pod has it, its secrets resolved.
fn environment(variables: &[EnvVar]) -> HashMap<String, String> {
    let value = |variable: &EnvVar| match &variable.source {
        EnvSource::Value(value) => value.clone(),
        EnvSource::Secret(key) => content(key),
        EnvSource::Other(_) => panic!("{variable:?}"),
    };
    variables
        .iter()
        .map(|it| (it.name.clone(), value(it)))
        .collect()
}

fn bucket(role: Role, variables: &[EnvVar]) -> Option<BucketConfig> {
    let environment = environment(variables);
    BucketConfig::from_env(role, &|name| environment.get(name).cloned()).unwrap()
}

fn is(config: &BucketConfig, storage: &Storage, held: impl Fn(&StorageKey) -> &SecretKey) {
    let (container, endpoint, provider) = match &storage.place {
        BucketLocation::Azure {
            container,
            endpoint_base,
            ..
        } => (container, endpoint_base, "azure"),
        BucketLocation::Folder { path, container } => (container, path, "local"),
    };
    assert_eq!(config.provider_name(), provider);
    assert_eq!(&config.container, container);
    assert_eq!(&config.endpoint(), endpoint);
    assert_eq!(config.prefix, storage.object_key_prefix);
    assert_eq!(
        config.encryption_key.expose(),
        content(held(storage.encryption_key.secret().unwrap()))
    );
    if let (
        BucketLocation::Azure {
            account,
            account_key,
            ..
        },
        backstay_bucket::Provider::Azure {
            account: read, key, ..
        },
    ) = (&storage.place, &config.provider)
    {
        assert_eq!(
            (read, key.expose()),
            (account, content(held(account_key)).as_str())
        );
    }
}

#[test]
fn a_node_finds_its_own_bucket_and_the_one_to_recover_from() {
    for case in cases::all() {
        let derived = derive(&case.pair, case.side, case.dr, case.dedicated);
        let other = &case.pair.region(case.side.other()).storage;
        for derived in [derived.clone(), derived.keep_recovery(&case.pair)] {
            let list = derived.cluster_environment();
            let own = bucket(Role::Own, &list).unwrap();
            is(&own, &case.pair.region(case.side).storage, |it| &it.own);
            let source = bucket(Role::RecoverFrom, &list);
            assert_eq!(source.is_some(), !derived.recovery.is_empty());
            if let Some(source) = source {
                is(&source, other, |it| &it.copy);
            }
            if !derived.reverse_recovery.is_empty() {
                is(
                    &bucket(Role::RecoverFrom, &derived.reverse_recovery).unwrap(),
                    other,
                    |it| &it.copy,
                );
            }
        }
    }
}

fn profile(pair: &Pair) -> Profile {
    let manager = &pair.traffic_manager;
    let context = Context {
        subscription: &manager.subscription,
        resource_group: &manager.resource_group,
        profile: &manager.profile,
        zone: "trafficmanager.net",
        limits: manager.limits,
    };
    parse_profile(context, traffic_manager_profile(pair)).unwrap()
}

#[test]
fn the_traffic_manager_takes_the_profile() {
    for provider in ["azure", "folder"] {
        let pair = cases::pair(provider);
        let profile = profile(&pair);
        assert_eq!(profile.id(), pair.traffic_manager.profile_id());
        let names: Vec<String> = profile.endpoints.iter().map(|it| it.name.clone()).collect();
        let manager = &pair.traffic_manager;
        assert_eq!(
            names,
            [&*manager.primary_endpoint, &*manager.secondary_endpoint]
        );
    }
}

/// The fixture with some of its values replaced, if that is still a pair.
fn changed(changes: &[(&str, String)]) -> Option<Pair> {
    let text = include_str!("azure.toml");
    let text = changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the fixture has no {from}");
        text.replacen(from, to, 1)
    });
    Pair::parse(&text, Path::new("azure.toml"), []).ok()
}

proptest! {
    /// What the pair's rules let through, the bucket's let through.
    #[test]
    fn a_node_takes_every_storage_that_a_pair_may_have(
        prefix in "[a-z0-9._/-]{0,5}/?",
        container in "[a-z0-9-]{3,8}",
        endpoint in "https?://[a-z0-9.:\\[\\]%/_-]{0,10}[a-z0-9]",
    ) {
        let pair = changed(&[
            ("\"z072ef-drpri/\"", format!("{prefix:?}")),
            ("\"primarylogscalecontainer\"", format!("{container:?}")),
            ("\"https://primaryacct.blob.core.windows.net\"", format!("{endpoint:?}")),
        ]);
        if let Some(pair) = pair {
            let derived = derive(&pair, Side::Secondary, Side::Secondary.usual(), false);
            let source = bucket(Role::RecoverFrom, &derived.recovery).unwrap();
            is(&source, &pair.primary.storage, |it| &it.copy);
        }
    }

    /// What the pair's rules let through, the traffic manager's let through.
    #[test]
    fn the_traffic_manager_takes_every_profile_that_a_pair_may_have(
        limits in "azure|lab",
        interval in prop_oneof![Just(10u32), Just(30), 0..4000u32],
        timeout in 0..40u32,
        tolerated in 0..12u32,
        path in "/[!-~]{0,6}",
        targets in prop_oneof![
            ("[a-z0-9.:-]{1,12}", "[a-z0-9.:-]{1,12}"),
            ("[a-c]\\.[0-9a-c]{1,3}", "[a-c]\\.[0-9a-c]{1,3}"),
            ("[0-9]{1,3}\\.1\\.1\\.[0-9]", "[0-9]{1,3}\\.1\\.1\\.[0-9]"),
            ("::[0-9a-f]{1,2}", "0:0::[0-9a-f]{1,2}"),
        ],
        endpoint in "[A-Za-z0-9.-]{1,8}",
    ) {
        let pair = changed(&[
            ("limits = \"lab\"", format!("limits = {limits:?}")),
            ("interval = 1\n", format!("interval = {interval}\n")),
            ("timeout = 1\n", format!("timeout = {timeout}\n")),
            ("tolerated_failures = 2", format!("tolerated_failures = {tolerated}")),
            ("probe_path = \"/api/v1/status\"", format!("probe_path = {path:?}")),
            ("endpoint_target = \"203.0.113.10\"", format!("endpoint_target = {:?}", targets.0)),
            ("endpoint_target = \"203.0.113.20\"", format!("endpoint_target = {:?}", targets.1)),
            ("primary_endpoint = \"pri\"", format!("primary_endpoint = {endpoint:?}")),
        ]);
        if let Some(pair) = pair {
            profile(&pair);
        }
    }
}
