//! What the standby's cluster declares.

use std::collections::BTreeMap;

use backstay_cluster::{Kafka, Operator, Pool, Service};
use backstay_global::recovery::outside::Holder;
use backstay_kinds::label;
use backstay_pair::{Derived, Dr, HUMIO_OPERATOR, Pair, Side, derive};
use serde_json::{Map, Value, json};

use crate::clean::Left;
use crate::fact::{Asked, Fact, Granted};
use crate::finding::{Check, Finding};

const PROVISION: &str = "provision the standby; `backstay derive --region secondary --manifests` shows what it consists of";

/// A standby's operator is at 0: at 1 it would start the node, which takes the primary over.
pub(crate) fn operator(pair: &Pair, derived: &Derived, found: &Fact<Operator>) -> Finding {
    let check = Check::Operator;
    found.judge(check, PROVISION, |operator| {
        let wanted = i64::from(derived.operator_replicas);
        if i64::from(operator.replicas) == wanted {
            return Finding::ok(check, format!("{} is at {wanted}", operator.name));
        }
        Finding::fails(
            check,
            format!("{} is at {}, a standby's is at {wanted}", operator.name, operator.replicas),
            format!(
                "if the secondary has not taken over: kubectl --context {} -n {} scale deployment {HUMIO_OPERATOR} --replicas={wanted}",
                pair.secondary.context, pair.namespace
            ),
        )
    })
}

/// For a failover that its replicas may have woken already: that it is there at all.
pub(crate) fn awake_or_asleep(found: &Fact<Operator>) -> Finding {
    let check = Check::Operator;
    found.judge(check, PROVISION, |operator| {
        Finding::ok(check, format!("{} is there", operator.name))
    })
}

/// "Do not patch spec.nodeCount, it is already set to 1."
pub(crate) fn nodes(derived: &Derived, found: &Fact<Vec<Pool>>) -> Finding {
    let check = Check::Nodes;
    found.judge(check, PROVISION, |pools| {
        let wanted = i64::from(derived.node_count);
        let further = further(pools);
        let next = "apply the standby's manifests again";
        if node_count(pools) != wanted {
            return Finding::fails(
                check,
                format!(
                    "nodeCount is {}, a standby's is {wanted}",
                    node_count(pools)
                ),
                next,
            );
        }
        if !further.is_empty() {
            return Finding::fails(
                check,
                format!(
                    "further pools have nodes ({}), a standby's have none",
                    further.join(", ")
                ),
                next,
            );
        }
        Finding::ok(check, format!("nodeCount is {wanted}"))
    })
}

/// `spec.nodeCount`.
fn node_count(pools: &[Pool]) -> i64 {
    pools.first().map_or(0, |it| it.node_count)
}

/// The pools with nodes beside the cluster's own.
fn further(pools: &[Pool]) -> Vec<&str> {
    let further = pools.iter().skip(1).filter(|it| it.node_count > 0);
    further.map(|it| it.name.as_str()).collect()
}

/// That the operator, once it runs, has a node to start.
pub(crate) fn node_is_declared(found: &Fact<Vec<Pool>>) -> Finding {
    let check = Check::Nodes;
    found.judge(check, PROVISION, |pools| {
        if node_count(pools) >= 1 {
            return Finding::ok(check, format!("nodeCount is {}", node_count(pools)));
        }
        Finding::fails(
            check,
            "nodeCount is 0: the operator would start no node",
            "set spec.nodeCount to 1",
        )
    })
}

/// What an earlier life has left, while the standby sleeps. One that is awake, or that holds the
/// primary's journal, has snapshots of its own.
pub(crate) fn clean(left: Option<&Left>, operator: &Fact<Operator>) -> Finding {
    const CLEAN: &str = "backstay clean-secondary --pair …";
    let check = Check::Clean;
    let Some(left) = left else {
        return Finding::ok(check, "its own bucket holds no snapshot");
    };
    match operator {
        Fact::Is(operator) if operator.replicas > 0 => {
            return Finding::ok(check, "the standby is awake, and its snapshots are its own");
        }
        Fact::Is(_) => {}
        Fact::Absent(_) => return Finding::behind(check, Check::Operator),
        Fact::Unknown(why) => return Finding::unknown(check, why),
    }
    let newest = format!(
        "its own bucket still holds a snapshot, epochOffset={}",
        left.newest
    );
    match (&left.primary, &left.own) {
        (Ok(Holder::Other { cluster_id, .. }), _) if *cluster_id == left.cluster_id => Finding::ok(
            check,
            "the secondary holds the primary's journal, and goes on from its own snapshots",
        ),
        (_, Holder::Other { cluster_id, term }) => Finding::fails(
            check,
            format!(
                "{newest}, of before cluster {cluster_id} has ended its journal with term {term}: its node would be fenced instead of recovering"
            ),
            CLEAN,
        ),
        (Ok(_), _) => Finding::fails(
            check,
            format!("{newest}: its node would go on from there instead of recovering"),
            CLEAN,
        ),
        (Err(why), _) => Finding::unknown(
            check,
            format!("{newest}, and it is not known who holds the primary's journal: {why}"),
        ),
    }
}

/// The services select pods that the operator will start. One that selects a pool that is not
/// there would answer 503 after a failover.
pub(crate) fn services(
    pair: &Pair,
    pools: &Fact<Vec<Pool>>,
    found: &Fact<Vec<Service>>,
) -> Finding {
    let check = Check::Services;
    let judge = |pools: &Vec<Pool>, services: &Vec<Service>| {
        let derived = derive(pair, Side::Secondary, Dr::Standby, false).selectors;
        let (mut wrong, mut next) = (Vec::new(), None);
        let names = &pair.secondary.services;
        for (name, wanted) in [(&names.ui, derived.ui), (&names.ingest, derived.ingest)] {
            let Some(service) = services.iter().find(|it| it.name == *name) else {
                wrong.push(format!("there is no service {name}"));
                next.get_or_insert_with(|| PROVISION.to_owned());
                continue;
            };
            if let Some(problem) = selects_nothing(pair, pools, service) {
                wrong.push(format!("service {name} {problem}"));
                next.get_or_insert_with(|| select(pair, service, &wanted));
            }
        }
        match next {
            None => Finding::ok(check, "they select the cluster's nodes"),
            Some(next) => Finding::fails(check, wrong.join("; "), next),
        }
    };
    found.judge(check, PROVISION, |services| {
        pools.judge(check, PROVISION, |pools| judge(pools, services))
    })
}

fn selects_nothing(pair: &Pair, pools: &[Pool], service: &Service) -> Option<String> {
    if service.selector.is_empty() {
        return Some("selects no pods".to_owned());
    }
    let (name, any) = label::HUMIO;
    if let Some(value) = service.selector.get(name)
        && value != any
    {
        return Some(format!("selects {name}={value}, which no node has"));
    }
    let value = service.selector.get(label::NODE_POOL)?;
    let there = pools.iter().any(|pool| match pool.name.as_str() {
        // How many nodes that is, is another check's.
        "" => *value == pair.secondary.cluster,
        name => pool.node_count > 0 && *value == pair.secondary.pool_label(name),
    });
    (!there).then(|| format!("selects the pool {value}, which there is not"))
}

/// How a selector becomes this one, and nothing besides.
fn select(pair: &Pair, service: &Service, wanted: &BTreeMap<String, String>) -> String {
    let gone = service
        .selector
        .keys()
        .filter(|it| !wanted.contains_key(*it));
    let gone = gone.map(|it| (it.clone(), Value::Null));
    let all = wanted
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)));
    let selector: Map<String, Value> = gone.chain(all).collect();
    format!(
        "kubectl --context {} -n {} patch service {} --type=merge -p '{}'",
        pair.secondary.context,
        pair.namespace,
        service.name,
        json!({ "spec": { "selector": selector } })
    )
}

pub(crate) fn kafka(found: &Fact<Kafka>) -> Finding {
    let check = Check::Kafka;
    found.judge(check, PROVISION, |kafka| {
        if kafka.ready {
            return Finding::ok(check, format!("Kafka {} is Ready", kafka.name));
        }
        Finding::fails(
            check,
            format!("Kafka {} is not Ready: {}", kafka.name, kafka.message),
            "look at its pods; the node does not start without it",
        )
    })
}

/// The images of both regions: a standby of another version may not understand the snapshot.
pub(crate) fn versions(primary: &Fact<Vec<Pool>>, standby: &Fact<Vec<Pool>>) -> Finding {
    let check = Check::Versions;
    let images = |pools: &[Pool]| {
        let mut images: Vec<String> = pools.iter().map(|it| it.image.clone()).collect();
        images.retain(|image| !image.is_empty());
        images.sort_unstable();
        images.dedup();
        images
    };
    standby.judge(check, PROVISION, |standby| {
        primary.judge(check, "check the pair's file", |primary| {
            let (theirs, ours) = (images(primary), images(standby));
            if theirs.is_empty() && ours.is_empty() {
                return Finding::unknown(check, "neither region declares an image");
            }
            if theirs == ours {
                return Finding::ok(check, format!("both regions run {}", ours.join(", ")));
            }
            Finding::fails(
                check,
                format!(
                    "the primary runs {}, the standby would run {}",
                    listed(&theirs),
                    listed(&ours)
                ),
                "bring both regions to the same version",
            )
        })
    })
}

fn listed(images: &[String]) -> String {
    match images {
        [] => "what its operator chooses".to_owned(),
        images => images.join(", "),
    }
}

/// What we may do in the standby's cluster. What is missing is named with what gives it.
pub(crate) fn permissions(asked: &[Asked]) -> Finding {
    let check = Check::Permissions;
    let missing: Vec<(&str, &str)> = asked
        .iter()
        .filter_map(|it| match &it.answer {
            Granted::No(how) => Some((it.what.as_str(), how.as_str())),
            Granted::Yes | Granted::Unknown(_) => None,
        })
        .collect();
    if let [(_, how), ..] = missing.as_slice() {
        let names: Vec<&str> = missing.iter().map(|(what, _)| *what).collect();
        return Finding::fails(check, format!("we may not: {}", names.join(", ")), *how);
    }
    let unknown = asked.iter().find_map(|it| match &it.answer {
        Granted::Unknown(why) => Some(why),
        Granted::Yes | Granted::No(_) => None,
    });
    match unknown {
        Some(why) => Finding::unknown(check, why),
        None => Finding::ok(check, format!("all {} are given", asked.len())),
    }
}
