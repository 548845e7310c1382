//! What must hold between keys. Most of it is about the two regions staying apart: two clusters
//! that write to one place, or delete each other's snapshots, are what a pair must never be.

use std::net::IpAddr;

use super::{BucketLocation, MonitorLimits, Pair, Protocol, Region, SecretKey};
use crate::reader::Reader;
use crate::role::Side;

pub(super) fn whole(pair: &Pair, read: &mut Reader) {
    apart(pair, read);
    storage(pair, read);
    objects(pair, read);
    secrets(pair, read);
    times(pair, read);
    for side in [Side::Primary, Side::Secondary] {
        let region = pair.region(side);
        if region.replication_factor > region.sizes.digest {
            read.problem(
                &format!("{side}.replication_factor"),
                format!(
                    "is {}, but only {} nodes hold segments ({side}.sizes.digest); lower it",
                    region.replication_factor, region.sizes.digest
                ),
            );
        }
    }
    if pair.tls_secret.is_none() && pair.traffic_manager.probe_protocol == Protocol::Https {
        read.problem(
            "tls_secret",
            "is missing, but the traffic manager probes by HTTPS; set it to the secret with the \
             certificate for the global name, or traffic_manager.probe_protocol to \"HTTP\"",
        );
    }
}

fn apart(pair: &Pair, read: &mut Reader) {
    let (one, two) = (&pair.primary, &pair.secondary);
    let same = [
        ("region", one.region == two.region),
        ("context", one.context == two.context),
        ("fqdn", one.fqdn == two.fqdn),
        ("endpoint_target", same_target(one, two)),
    ];
    for (name, same) in same {
        if same {
            read.problem(
                &format!("secondary.{name}"),
                "is that of the primary too; a pair has two regions, give each its own",
            );
        }
    }
    if one.ingress.address == two.ingress.address {
        read.problem(
            "secondary.ingress.address",
            "is that of the primary too; a pair has two regions, give each its own",
        );
    }
    if target_kind(one) != target_kind(two) {
        read.problem(
            "secondary.endpoint_target",
            format!(
                "is {}, and that of the primary {}; a traffic manager's endpoints have targets of \
                 one kind, give both of one (by default the fqdn)",
                target_kind(two),
                target_kind(one)
            ),
        );
    }
    let own = format!("{}.trafficmanager.net", pair.traffic_manager.relative_name);
    for (side, region) in [(Side::Primary, one), (Side::Secondary, two)] {
        if region.fqdn == pair.global_host {
            read.problem(
                &format!("{side}.fqdn"),
                "is the global name, which points to either region; give the region a name of its own",
            );
        }
        if region.endpoint_target == pair.global_host || region.endpoint_target == own {
            read.problem(
                &format!("{side}.endpoint_target"),
                "is the global name, which would point to itself; point it at the region",
            );
        }
    }
    let manager = &pair.traffic_manager;
    if manager
        .primary_endpoint
        .eq_ignore_ascii_case(&manager.secondary_endpoint)
    {
        read.problem(
            "traffic_manager.secondary_endpoint",
            "is the primary's too; give each endpoint its own name",
        );
    }
}

fn address(region: &Region) -> Option<IpAddr> {
    region.endpoint_target.parse().ok()
}

fn same_target(one: &Region, two: &Region) -> bool {
    match (address(one), address(two)) {
        (Some(one), Some(two)) => one == two,
        _ => one.endpoint_target == two.endpoint_target,
    }
}

/// Azure: <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-faqs>.
fn target_kind(region: &Region) -> &'static str {
    match address(region) {
        None => "a name",
        Some(IpAddr::V4(_)) => "an IPv4 address",
        Some(IpAddr::V6(_)) => "an IPv6 address",
    }
}

fn storage(pair: &Pair, read: &mut Reader) {
    let (one, two) = (&pair.primary.storage, &pair.secondary.storage);
    let disjoint = !one.object_key_prefix.starts_with(&two.object_key_prefix)
        && !two.object_key_prefix.starts_with(&one.object_key_prefix);
    match (&one.place, &two.place) {
        (
            BucketLocation::Azure {
                account, container, ..
            },
            BucketLocation::Azure {
                account: other_account,
                container: other_container,
                ..
            },
        ) => {
            // An account's name is unique in all of Azure, by whatever endpoint it is reached.
            if account == other_account && container == other_container && !disjoint {
                shared(read, "container");
            }
        }
        (BucketLocation::Folder { path, .. }, BucketLocation::Folder { path: other, .. }) => {
            if path == other {
                if !disjoint {
                    shared(read, "folder");
                }
            } else if within(path, other) || within(other, path) {
                read.problem(
                    "secondary.storage.path",
                    "lies in the other region's folder, or that one in it; give each its own",
                );
            }
        }
        _ => read.problem(
            "secondary.storage.provider",
            "is not that of the primary; both regions have buckets of one kind",
        ),
    }
}

fn shared(read: &mut Reader, what: &str) {
    read.problem(
        "secondary.storage.object_key_prefix",
        format!(
            "begins with that of the primary, or that one with it, in the same {what}: each would \
             read and delete the other's objects; give each its own prefix, or its own {what}"
        ),
    );
}

fn within(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The operator makes services of its own, and puts back what is changed in them: a routing service
/// of such a name would lose its selector at each of its rounds.
fn objects(pair: &Pair, read: &mut Reader) {
    for side in Side::BOTH {
        let region = pair.region(side);
        let (cluster, pools) = (&region.cluster, &region.pools);
        if pools.ui.name == pools.ingest.name {
            read.problem(
                &format!("{side}.pools.ingest.name"),
                format!("is that of {side}.pools.ui too; give each pool its own"),
            );
        }
        let operators = [
            cluster.clone(),
            region.pool_label(&pools.ui.name),
            region.pool_label(&pools.ingest.name),
            format!("{cluster}-headless"),
            format!("{cluster}-internal"),
        ];
        let services = [
            ("ui", &region.services.ui),
            ("ingest", &region.services.ingest),
        ];
        for (which, service) in services {
            if operators.contains(service) {
                read.problem(
                    &format!("{side}.services.{which}"),
                    "is the name of a service that humio-operator makes for the cluster or a pool, \
                     whose selector it puts back each time; give ours another name, as \
                     <cluster>-ui-cip",
                );
            }
        }
        if region.services.ui == region.services.ingest {
            read.problem(
                &format!("{side}.services.ingest"),
                format!(
                    "is that of {side}.services.ui too; each selects a pool, give each its own"
                ),
            );
        }
    }
}

/// Each region's cluster holds the secrets of both, so that it can recover from the other one.
fn secrets(pair: &Pair, read: &mut Reader) {
    for cluster in Side::BOTH {
        let mut held: Vec<(String, &SecretKey)> = Vec::new();
        // The own ones first: it is the copy's name that is free to choose.
        for of in [cluster, cluster.other()] {
            let storage = &pair.region(of).storage;
            let mut keys = Vec::from_iter(
                storage
                    .encryption_key
                    .secret()
                    .map(|it| ("encryption_key", it)),
            );
            if let BucketLocation::Azure { account_key, .. } = &storage.place {
                keys.push(("account_key", account_key));
            }
            for (name, key) in keys {
                let word = if of == cluster { "secret" } else { "copy" };
                let (name, key) = (format!("{of}.storage.{name}"), key.seen_from(cluster, of));
                if let Some((other, _)) = held.iter().find(|(_, other)| *other == key) {
                    read.problem(
                        &format!("{name}.{word}"),
                        format!(
                            "is, in the {cluster}'s cluster, the same key of the same secret as \
                             {other}, and one secret has one value there; give each its own"
                        ),
                    );
                }
                held.push((name, key));
            }
        }
    }
}

fn times(pair: &Pair, read: &mut Reader) {
    let manager = &pair.traffic_manager;
    if manager.limits == MonitorLimits::Azure {
        if !matches!(manager.interval, 10 | 30) {
            read.problem(
                "traffic_manager.interval",
                "must be 30 or 10, as Azure has it; other seconds need traffic_manager.limits = \"lab\"",
            );
        }
        let most = if manager.interval == 10 { 9 } else { 10 };
        if !(5..=most).contains(&manager.timeout) {
            read.problem(
                "traffic_manager.timeout",
                format!("must be from 5 to {most} at this interval, as Azure has it"),
            );
        }
    } else if manager.timeout > manager.interval {
        read.problem(
            "traffic_manager.timeout",
            "is longer than traffic_manager.interval, so probes would pile up; lower it",
        );
    }
    if pair.failover.probe_timeout_seconds > pair.failover.probe_interval_seconds {
        read.problem(
            "failover.probe_timeout_seconds",
            "is longer than failover.probe_interval_seconds, so probes would pile up; lower it",
        );
    }
}
