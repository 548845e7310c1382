//! The variables of the standby's nodes, against those that follow from the pair's file.

use std::collections::BTreeMap;

use backstay_pair::{Derived, EnvSource, EnvVar, Side};

use crate::fact::Fact;
use crate::finding::{Check, Finding};
use crate::recovery;

/// Without it, both regions' segments would be looked for at one endpoint.
const MULTIPLE_ENDPOINTS: &str = "BUCKET_STORAGE_MULTIPLE_ENDPOINTS";

/// Every derived variable is there as derived, and no other of a bucket is. Further variables are
/// the cluster's own business.
pub(crate) fn environment(derived: &Derived, found: &Fact<Vec<EnvVar>>) -> Finding {
    compare(derived.side, found, &derived.cluster_environment())
}

/// The same for what a recovery cannot do without: what a failover asks before it begins.
pub(crate) fn recovery_variables(derived: &Derived, found: &Fact<Vec<EnvVar>>) -> Finding {
    let all = derived.cluster_environment().into_iter();
    let wanted: Vec<EnvVar> = all
        .filter(|it| is_of_recovery(&it.name) || it.name == MULTIPLE_ENDPOINTS)
        .collect();
    compare(derived.side, found, &wanted)
}

fn compare(side: Side, found: &Fact<Vec<EnvVar>>, wanted: &[EnvVar]) -> Finding {
    let check = Check::Environment;
    let absent = format!("provision the {}'s HumioCluster", recovery::who(side));
    found.judge(check, &absent, |found| {
        let differences = differences(found, wanted);
        if differences.is_empty() {
            return Finding::ok(
                check,
                format!("all {} derived variables are as derived", wanted.len()),
            );
        }
        Finding::fails(
            check,
            differences.join("; "),
            match side {
                Side::Secondary => {
                    "apply the standby's manifests again; `backstay derive --region secondary` shows what is derived"
                }
                Side::Primary => recovery::provide(side),
            },
        )
    })
}

/// What is found is not shown: it may be a credential where none belongs.
fn differences(found: &[EnvVar], wanted: &[EnvVar]) -> Vec<String> {
    let there: BTreeMap<&str, &EnvSource> = found
        .iter()
        .map(|it| (it.name.as_str(), &it.source))
        .collect();
    let mut differences = Vec::new();
    for EnvVar { name, source } in wanted {
        match there.get(name.as_str()) {
            Some(there) if *there == source => {}
            // Kubernetes leaves an empty value out.
            Some(EnvSource::Other(fields)) if fields.is_empty() && is_empty(source) => {}
            Some(_) => differences.push(format!("{name} is not {}", described(source))),
            None => differences.push(format!("{name} is missing")),
        }
    }
    let known = |name: &str| wanted.iter().any(|it| it.name == name);
    let strangers = there.keys().filter(|it| is_of_recovery(it) && !known(it));
    differences.extend(strangers.map(|it| format!("{it} must not be there")));
    differences
}

fn is_empty(source: &EnvSource) -> bool {
    matches!(source, EnvSource::Value(value) if value.is_empty())
}

fn is_of_recovery(name: &str) -> bool {
    ["AZURE_", "S3_", "GCP_", "LOCAL_"].iter().any(|family| {
        let rest = name.strip_prefix(family);
        rest.is_some_and(|it| it.starts_with("RECOVER_FROM_"))
    })
}

fn described(source: &EnvSource) -> String {
    match source {
        EnvSource::Value(value) => format!("{value:?}"),
        EnvSource::Secret(key) => format!("secret {}, key {}", key.secret, key.key),
        EnvSource::Other(_) => "as derived".to_owned(),
    }
}
