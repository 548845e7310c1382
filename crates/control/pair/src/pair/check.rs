//! What must hold between keys. Most of it is about the two regions staying apart: two clusters
//! that write to one place, or delete each other's snapshots, are what a pair must never be.

use std::net::IpAddr;

use super::{BucketLocation, MonitorLimits, Pair, Protocol, Region};
use crate::reader::Reader;
use crate::role::Side;

pub(super) fn whole(pair: &Pair, read: &mut Reader) {
    apart(pair, read);
    storage(pair, read);
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

/// Each region's cluster holds the secrets of both, so that it can recover from the other one.
fn secrets(pair: &Pair, read: &mut Reader) {
    let keys = |side: Side| {
        let storage = &pair.region(side).storage;
        let mut keys = vec![("encryption_key", storage.encryption_key.clone())];
        if let BucketLocation::Azure { account_key, .. } = &storage.place {
            keys.push(("account_key", account_key.clone()));
        }
        keys.into_iter()
            .map(move |(name, key)| (format!("{side}.storage.{name}"), key))
    };
    let all: Vec<_> = keys(Side::Primary).chain(keys(Side::Secondary)).collect();
    for (index, (name, key)) in all.iter().enumerate() {
        if let Some((other, _)) = all[..index].iter().find(|(_, other)| other == key) {
            read.problem(
                &format!("{name}.key"),
                format!(
                    "is the same key of the same secret as {other}, and one secret has one value \
                     there; give each its own"
                ),
            );
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
