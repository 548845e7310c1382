#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use backstay_cluster::{Kafka, Operator, Pool, Service};
use backstay_pair::{Derived, Dr, EnvSource, EnvVar, Pair, SecretKey, Side, derive};
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use secrecy::SecretSlice;

use super::*;
use crate::fact::{Asked, Fact, Granted, Held};
use crate::finding::{Finding, Outcome};

mod azure;

const SECRET: &str = "hunter2-is-no-key";

fn pair() -> Pair {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/backstay.example.toml");
    Pair::read(&file, []).unwrap()
}

fn standby(pair: &Pair) -> Derived {
    derive(pair, Side::Secondary, Dr::Standby, false)
}

/// What comes of a thing that is not there, and of one that could not be read.
fn as_any<T>(check: impl Fn(&Fact<T>) -> Finding) {
    let absent = check(&Fact::Absent("it is not there".to_owned()));
    assert_eq!(absent.outcome, Outcome::Fails);
    assert_eq!(absent.sentence, "it is not there");
    assert!(!absent.next.is_empty());
    let unknown = check(&Fact::Unknown("no answer".to_owned()));
    assert_eq!(unknown.outcome, Outcome::Unknown);
    assert_eq!(unknown.sentence, "no answer");
}

fn is_ok(finding: &Finding) {
    assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
    assert_eq!(finding.next, "");
}

fn fails(finding: &Finding, says: &str) {
    assert_eq!(finding.outcome, Outcome::Fails, "{finding:?}");
    assert!(finding.sentence.contains(says), "{finding:?}");
    assert!(!finding.next.is_empty(), "{finding:?}");
    assert!(!format!("{finding:?}").contains(SECRET));
}

fn at(replicas: i32) -> Fact<Operator> {
    Fact::Is(Operator {
        name: "humio-operator".to_owned(),
        uid: String::new(),
        version: String::new(),
        replicas,
        ready: 0,
        annotations: BTreeMap::new(),
        selector: String::new(),
    })
}

#[test]
fn the_operator_sleeps() {
    let pair = pair();
    let derived = standby(&pair);
    let judge = |fact: &Fact<Operator>| operator(&pair, &derived, fact);
    is_ok(&judge(&at(0)));
    fails(&judge(&at(1)), "humio-operator is at 1");
    assert!(judge(&at(1)).next.contains("--replicas=0"));
    as_any(judge);
    for replicas in [0, 1] {
        is_ok(&awake_or_asleep(&at(replicas)));
    }
    as_any(awake_or_asleep);
}

fn pools(counts: &[i64]) -> Fact<Vec<Pool>> {
    let pools = counts.iter().enumerate().map(|(at, count)| Pool {
        name: if at == 0 {
            String::new()
        } else {
            format!("pool-{at}")
        },
        node_count: *count,
        image: "node:1".to_owned(),
    });
    Fact::Is(pools.collect())
}

#[test]
fn one_node_is_declared() {
    let pair = pair();
    let derived = standby(&pair);
    let judge = |fact: &Fact<Vec<Pool>>| nodes(&derived, fact);
    is_ok(&judge(&pools(&[1])));
    is_ok(&judge(&pools(&[1, 0])));
    fails(&judge(&pools(&[0])), "nodeCount is 0");
    fails(&judge(&pools(&[3])), "nodeCount is 3");
    fails(&judge(&pools(&[1, 2])), "pool-1");
    fails(&judge(&pools(&[])), "nodeCount is 0");
    as_any(judge);
    is_ok(&node_is_declared(&pools(&[1])));
    is_ok(&node_is_declared(&pools(&[3])));
    fails(&node_is_declared(&pools(&[0])), "nodeCount is 0");
    as_any(node_is_declared);
}

#[test]
fn kafka_is_ready() {
    let of = |ready| {
        Fact::Is(Kafka {
            name: "logscale".to_owned(),
            ready,
            message: "no broker".to_owned(),
        })
    };
    is_ok(&kafka(&of(true)));
    fails(&kafka(&of(false)), "no broker");
    as_any(kafka);
}

#[test]
fn images_are_equal() {
    let of = |images: &[&str]| {
        let pools = images.iter().map(|image| Pool {
            name: String::new(),
            node_count: 1,
            image: (*image).to_owned(),
        });
        Fact::Is(pools.collect::<Vec<_>>())
    };
    is_ok(&versions(&of(&["node:1", "node:1"]), &of(&["node:1"])));
    is_ok(&versions(&of(&["node:1", ""]), &of(&["node:1"])));
    fails(&versions(&of(&["node:1"]), &of(&["node:2"])), "node:2");
    fails(
        &versions(&of(&["node:1", "node:2"]), &of(&["node:1"])),
        "node:1, node:2",
    );
    fails(
        &versions(&of(&[""]), &of(&["node:1"])),
        "what its operator chooses",
    );
    assert_eq!(versions(&of(&[""]), &of(&[])).outcome, Outcome::Unknown);
    as_any(|fact| versions(fact, &of(&["node:1"])));
    as_any(|fact| versions(&of(&["node:1"]), fact));
}

#[test]
fn what_is_not_permitted_is_named() {
    let asked = |answers: &[Granted]| -> Vec<Asked> {
        let all = answers.iter().enumerate();
        all.map(|(at, answer)| Asked {
            what: format!("get things-{at}"),
            answer: answer.clone(),
        })
        .collect()
    };
    let no = || Granted::No("kubectl create role".to_owned());
    let unknown = || Granted::Unknown("no answer".to_owned());
    is_ok(&permissions(&asked(&[Granted::Yes, Granted::Yes])));
    let finding = permissions(&asked(&[Granted::Yes, no(), unknown(), no()]));
    fails(&finding, "things-1, get things-3");
    assert_eq!(finding.next, "kubectl create role");
    let finding = permissions(&asked(&[Granted::Yes, unknown()]));
    assert_eq!(
        (finding.outcome, finding.sentence.as_str()),
        (Outcome::Unknown, "no answer")
    );
}

#[test]
fn the_environment_is_the_derived_one() {
    let pair = pair();
    let derived = standby(&pair);
    let judge = |fact: &Fact<Vec<EnvVar>>| environment(&derived, fact);
    let all = derived.cluster_environment();
    let mut more = all.clone();
    more.push(EnvVar::value("NODE_ROLES", "all"));
    more.push(EnvVar::value("LOGSCALE_MEMORY", "8G"));
    is_ok(&judge(&Fact::Is(all.clone())));
    is_ok(&judge(&Fact::Is(more.clone())));
    more.reverse();
    is_ok(&judge(&Fact::Is(more)));
    for at in 0..all.len() {
        let name = all[at].name.clone();
        let mut without = all.clone();
        without.remove(at);
        fails(&judge(&Fact::Is(without)), &format!("{name} is missing"));
        let mut other = all.clone();
        other[at] = EnvVar::value(&name, SECRET);
        fails(&judge(&Fact::Is(other)), &format!("{name} is not "));
    }
    // It would swap the container's name and keep this region's endpoint.
    let mut trap = all.clone();
    trap.push(EnvVar::value("AZURE_RECOVER_FROM_REPLACE_BUCKET", "a/b"));
    fails(
        &judge(&Fact::Is(trap)),
        "AZURE_RECOVER_FROM_REPLACE_BUCKET must not be there",
    );
    as_any(judge);
}

#[test]
fn a_failover_asks_for_less_of_the_environment() {
    let pair = pair();
    let derived = standby(&pair);
    let judge = |fact: &Fact<Vec<EnvVar>>| recovery_variables(&derived, fact);
    for at in 0..derived.cluster_environment().len() {
        let mut without = derived.cluster_environment();
        let name = without.remove(at).name;
        let finding = judge(&Fact::Is(without));
        if name.contains("_RECOVER_FROM_") || name == "BUCKET_STORAGE_MULTIPLE_ENDPOINTS" {
            fails(&finding, &name);
        } else {
            is_ok(&finding);
        }
    }
    as_any(judge);
}

fn held(keys: &[(&str, &str)]) -> Fact<Held> {
    let keys = keys.iter().map(|(key, value)| {
        (
            (*key).to_owned(),
            SecretSlice::from(value.as_bytes().to_vec()),
        )
    });
    Fact::Is(keys.collect())
}

/// All that are needed, each key with a value of its own.
fn all_secrets(derived: &Derived) -> BTreeMap<String, Fact<Held>> {
    let secrets = derived.secrets.iter().map(|needed| {
        let keys = needed.keys.iter().map(|key| {
            let value = format!("{SECRET} {} {key}", needed.name);
            (key.clone(), SecretSlice::from(value.into_bytes()))
        });
        (needed.name.clone(), Fact::Is(keys.collect::<Held>()))
    });
    secrets.collect()
}

#[test]
fn secrets_are_there_with_something_in_them() {
    let pair = pair();
    let derived = standby(&pair);
    let whole = all_secrets(&derived);
    is_ok(&secrets(&derived, &whole));
    for needed in &derived.secrets {
        for key in &needed.keys {
            let changed = |change: &dyn Fn(&mut Held)| {
                let mut other = whole.clone();
                let Some(Fact::Is(held)) = other.get_mut(&needed.name) else {
                    panic!()
                };
                change(held);
                secrets(&derived, &other)
            };
            let empty = changed(&|held| {
                held.insert(key.clone(), SecretSlice::from(Vec::new()));
            });
            fails(
                &empty,
                &format!("secret {}, key {key} is empty", needed.name),
            );
            let none = changed(&|held| {
                held.remove(key);
            });
            fails(&none, &format!("secret {} has no key {key}", needed.name));
        }
        let mut other = whole.clone();
        other.insert(needed.name.clone(), Fact::Absent(String::new()));
        fails(
            &secrets(&derived, &other),
            &format!("{} is not there", needed.name),
        );
        other.insert(needed.name.clone(), Fact::Unknown("no answer".to_owned()));
        let finding = secrets(&derived, &other);
        assert_eq!(
            (finding.outcome, finding.sentence.as_str()),
            (Outcome::Unknown, "no answer")
        );
    }
}

#[test]
fn secrets_are_equal_in_both_regions() {
    type All = BTreeMap<String, Fact<Held>>;
    let pair = pair();
    let tls = pair.tls_secret.as_deref().unwrap();
    let put = |all: &mut All, at: &SecretKey, value: &str| {
        let held = all.entry(at.secret.clone());
        let Fact::Is(held) = held.or_insert_with(|| Fact::Is(Held::new())) else {
            panic!()
        };
        held.insert(at.key.clone(), SecretSlice::from(value.as_bytes().to_vec()));
    };
    // Each key with a value of its own, and certificates that differ.
    let [mut primary, mut standby] = [All::new(), All::new()];
    for (at, [theirs, ours]) in secrets::both(&pair).enumerate() {
        put(&mut primary, theirs, &format!("{SECRET} {at}"));
        put(&mut standby, ours, &format!("{SECRET} {at}"));
    }
    primary.insert(tls.to_owned(), held(&[("tls.crt", "one")]));
    standby.insert(tls.to_owned(), held(&[("tls.crt", "another")]));
    let judge = |primary: &All, standby: &All| secrets_equal(&pair, primary, standby);
    is_ok(&judge(&primary, &standby));
    assert_eq!(secrets::both(&pair).count(), 4);
    for [theirs, ours] in secrets::both(&pair) {
        let says = format!("secret {}, key {}", ours.secret, ours.key);
        let mut other = primary.clone();
        put(&mut other, theirs, "another");
        fails(&judge(&other, &standby), &says);
        let mut other = standby.clone();
        put(&mut other, ours, "another");
        fails(&judge(&primary, &other), &says);
        // Empty in the standby: `secrets` tells it.
        put(&mut other, ours, "");
        is_ok(&judge(&primary, &other));
        let unread = || Fact::Unknown("no answer".to_owned());
        let [mut one, mut two] = [primary.clone(), standby.clone()];
        one.insert(theirs.secret.clone(), unread());
        two.insert(ours.secret.clone(), unread());
        for finding in [judge(&one, &standby), judge(&primary, &two)] {
            assert_eq!(
                (finding.outcome, finding.sentence.as_str()),
                (Outcome::Unknown, "no answer")
            );
        }
    }
}

#[test]
fn services_select_pods_that_there_are() {
    let pair = pair();
    let pool = |name: &str, node_count| Pool {
        name: name.to_owned(),
        node_count,
        image: String::new(),
    };
    let service = |what: &str, selector: &[(&str, &str)]| Service {
        name: format!("logscale-{what}-cip"),
        selector: selector
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let any = [("app.kubernetes.io/name", "humio")];
    let of = |pool: &'static str| [("humio.com/node-pool", pool)];
    let judge = |pools: &[Pool], services: &[Service]| {
        super::services(
            &pair,
            &Fact::Is(pools.to_vec()),
            &Fact::Is(services.to_vec()),
        )
    };
    let alone = [pool("", 1)];
    let grown = [pool("", 1), pool("ui", 2), pool("ingest-only", 0)];
    is_ok(&judge(
        &alone,
        &[service("ui", &any), service("ingest", &any)],
    ));
    let own = [
        service("ui", &of("logscale")),
        service("ingest", &of("logscale")),
    ];
    is_ok(&judge(&alone, &own));
    // `nodes` tells that.
    is_ok(&judge(&[pool("", 0)], &own));
    let pools = [service("ui", &of("logscale-ui")), service("ingest", &any)];
    is_ok(&judge(&grown, &pools));
    fails(
        &judge(&alone, &pools),
        "service logscale-ui-cip selects the pool logscale-ui",
    );
    let empty = [
        service("ui", &any),
        service("ingest", &of("logscale-ingest-only")),
    ];
    fails(
        &judge(&grown, &empty),
        "service logscale-ingest-cip selects the pool logscale-ingest-only",
    );
    fails(
        &judge(&alone, &[service("ui", &any)]),
        "there is no service logscale-ingest-cip",
    );
    fails(
        &judge(&alone, &[service("ui", &[]), service("ingest", &any)]),
        "selects no pods",
    );
    let other = [("app.kubernetes.io/name", "nginx")];
    fails(
        &judge(&alone, &[service("ui", &other), service("ingest", &any)]),
        "which no node has",
    );
}

const HOST: &str = "logscale.example.com";

fn pem(names: &[&str], from: i64, until: i64) -> String {
    let day = |days: i64| {
        let day = Utc::now() + TimeDelta::days(days);
        date_time_ymd(day.year(), day.month() as u8, day.day() as u8)
    };
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = day(from);
    params.not_after = day(until);
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
}

fn judged(pem: &str) -> Finding {
    certificate("logscale-tls", HOST, &held(&[("tls.crt", pem)]), Utc::now())
}

#[test]
fn a_certificate_is_for_the_name_and_not_near_its_end() {
    is_ok(&judged(&pem(&[HOST], -1, 90)));
    is_ok(&judged(&pem(&["other.example.com", HOST], -1, 16)));
    is_ok(&judged(&pem(&["*.example.com"], -1, 90)));
    // What follows the first one leads to the root.
    let chain = format!("{}{}", pem(&[HOST], -1, 90), pem(&["ca.example"], -9, -1));
    is_ok(&judged(&chain));
    fails(
        &judged(&pem(&["*.logscale.example.com"], -1, 90)),
        "is not for logscale.example.com",
    );
    fails(&judged(&pem(&["*.com"], -1, 90)), "is not for");
    fails(&judged(&pem(&[], -1, 90)), "is not for");
    fails(&judged(&pem(&[HOST], 2, 90)), "is not valid before");
    fails(&judged(&pem(&[HOST], -9, -1)), "has ended on");
    fails(&judged(&pem(&[HOST], -9, 10)), "ends on");
    for damaged in [
        "x",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        fails(&judged(damaged), "is no certificate");
    }
    let check = |fact: &Fact<Held>| certificate("logscale-tls", HOST, fact, Utc::now());
    assert_eq!(check(&held(&[])).outcome, Outcome::Unknown);
    assert_eq!(check(&held(&[("tls.crt", "")])).outcome, Outcome::Unknown);
    as_any(check);
}

proptest! {
    /// Any bytes are a certificate or none.
    #[test]
    fn no_certificate_is_too_damaged_to_be_judged(bytes: Vec<u8>, at in 0_usize..900, bit in 0_u8..8) {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let crt = |bytes: Vec<u8>| {
            let held = Held::from([("tls.crt".to_owned(), SecretSlice::from(bytes))]);
            certificate("s", HOST, &Fact::Is(held), now)
        };
        prop_assert_ne!(crt(bytes).outcome, Outcome::Ok);
        let mut damaged = pem(&[HOST], -1, 90).into_bytes();
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 1 << bit;
        }
        crt(damaged);
    }

    /// Whatever is in the place of a variable: it is not shown.
    #[test]
    fn no_value_that_is_found_is_shown(at in 0_usize..30, value in "[a-z]{3}-hunter2-[a-z]{3}") {
        let pair = pair();
        let derived = standby(&pair);
        let mut variables = derived.cluster_environment();
        let at = at % variables.len();
        variables[at].source = EnvSource::Value(value.clone());
        let finding = environment(&derived, &Fact::Is(variables));
        let shown = format!("{finding:?}");
        prop_assert!(!shown.contains(&value), "{}", shown);
    }
}
