//! What humio-operator says of a cluster, and what to do about it. It is for people: a step goes on when
//! the pods are right, whatever is said.

use backstay_cluster::HumioCluster;

/// What is to be done in a state. `ConfigError` may outlive its cause, and a pod that stays `Pending`
/// is not replaced when the specification changes
/// (<https://github.com/humio/humio-operator/issues/361>, `/issues/533`).
fn advice(state: &str) -> &'static str {
    match state {
        "ConfigError" => {
            "correct what it names; it may still be said when that is done, and nothing waits for it \
             if the pods are right"
        }
        "Pending" => {
            "a pod is not placed (kubectl describe pod); it is not replaced when the HumioCluster \
             changes, so delete it after that"
        }
        "Restarting" | "Upgrading" => "its pods are being replaced",
        _ => "see kubectl describe humiocluster",
    }
}

/// What is not `Running`, by pool where the operator says it so, with what to do; `None` where all is.
pub(crate) fn said(cluster: &HumioCluster) -> Option<String> {
    let odd = |state: &str| !matches!(state, "" | "Running");
    let mut all: Vec<String> = cluster
        .pool_states
        .iter()
        .filter(|it| odd(&it.state))
        .map(|it| format!("pool {} {} ({})", it.name, it.state, advice(&it.state)))
        .collect();
    if all.is_empty() && odd(&cluster.state) {
        all.push(format!("{} ({})", cluster.state, advice(&cluster.state)));
    }
    if all.is_empty() {
        return None;
    }
    let message = match cluster.message.as_str() {
        "" => String::new(),
        message => format!(": {}", backstay_report::excerpt(message)),
    };
    Some(format!("the operator says {}{message}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use backstay_cluster::PoolState;

    use super::*;

    fn cluster(state: &str, message: &str, pools: &[(&str, &str)]) -> HumioCluster {
        let pools = pools.iter().map(|(name, state)| PoolState {
            name: (*name).to_owned(),
            state: (*state).to_owned(),
        });
        HumioCluster::reported(state, message, pools.collect())
    }

    #[test]
    fn what_is_not_running_is_said_by_pool_with_what_to_do() {
        assert_eq!(
            said(&cluster("Running", "", &[("logscale", "Running")])),
            None
        );
        assert_eq!(said(&cluster("", "", &[])), None);
        let pools = [("logscale", "Running"), ("logscale-ui", "Pending")];
        let text = said(&cluster("Pending", "0/3 nodes", &pools)).unwrap();
        assert!(
            text.starts_with("the operator says pool logscale-ui Pending ("),
            "{text}"
        );
        assert!(
            text.contains("delete it after that") && text.ends_with(": 0/3 nodes"),
            "{text}"
        );
        assert!(!text.contains("pool logscale Running"), "{text}");
        for (state, word) in [
            ("ConfigError", "nothing waits for it"),
            ("Restarting", "being replaced"),
            ("Upgrading", "being replaced"),
            ("Odd", "kubectl describe"),
        ] {
            let text = said(&cluster(state, "", &[])).unwrap();
            assert!(text.contains(state) && text.contains(word), "{text}");
        }
    }
}
