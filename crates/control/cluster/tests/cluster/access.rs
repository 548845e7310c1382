//! The way in, and permissions: each call is possible with what it says it needs, and names what is
//! missing when one is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstay_cluster::{Access, ClusterError, Expected, Lock, Note, Operator, Region, Severity};
use backstay_failover::marks::PAUSED;
use backstay_kubeapi::{Role, Rule};
use serde_json::json;

use crate::lab::{Lab, QUICK, deadline, soon};

const HUMIO: &str = "app.kubernetes.io/name=humio";

/// Verb, API group, resource: all that this crate ever needs.
const NEEDED: [(&str, &str, &str); 33] = [
    ("get", "apps", "deployments"),
    ("patch", "apps", "deployments"),
    ("patch", "apps", "deployments/scale"),
    ("get", "core.humio.com", "humioclusters"),
    ("patch", "core.humio.com", "humioclusters"),
    ("get", "kafka.strimzi.io", "kafkas"),
    ("get", "coordination.k8s.io", "leases"),
    ("create", "coordination.k8s.io", "leases"),
    ("update", "coordination.k8s.io", "leases"),
    ("patch", "coordination.k8s.io", "leases"),
    ("create", "", "events"),
    ("list", "", "pods"),
    ("watch", "", "pods"),
    ("delete", "", "pods"),
    ("get", "", "pods/log"),
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("delete", "", "secrets"),
    ("list", "", "services"),
    ("get", "", "services"),
    ("patch", "", "services"),
    ("list", "", "persistentvolumeclaims"),
    ("delete", "", "persistentvolumeclaims"),
    ("list", "core.strimzi.io", "strimzipodsets"),
    ("delete", "core.strimzi.io", "strimzipodsets"),
    ("get", "", "configmaps"),
    ("list", "", "configmaps"),
    ("create", "", "configmaps"),
    ("patch", "", "configmaps"),
    ("delete", "", "configmaps"),
    ("get", "", "pods/portforward"),
    ("create", "", "pods/portforward"),
    // Never asked for: one that is not needed is not missed.
    ("watch", "", "configmaps"),
];

/// A role with all of them but one.
fn role_without(left_out: Option<usize>) -> Role {
    let name = left_out.map_or("whole".to_owned(), |it| format!("without-{it}"));
    let kept = NEEDED
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != left_out);
    let rules = kept.map(|(_, (verb, group, resource))| Rule {
        verbs: Vec::leak(vec![*verb]),
        groups: Vec::leak(vec![*group]),
        resources: Vec::leak(vec![*resource]),
        names: &[],
    });
    Role {
        name: String::leak(name),
        namespace: Some("logging"),
        rules: Vec::leak(rules.collect()),
    }
}

/// As this crate writes it.
fn written((verb, group, resource): (&str, &str, &str)) -> String {
    let (resource, below) = resource.split_once('/').unwrap_or((resource, ""));
    let group = if group.is_empty() {
        String::new()
    } else {
        format!(".{group}")
    };
    let below = if below.is_empty() {
        String::new()
    } else {
        format!("/{below}")
    };
    format!("{verb} {resource}{group}{below} in namespace logging")
}

/// Makes every call there is; answers what was forbidden.
async fn everything(lab: &Lab, region: &Region, operator: &Operator, run: usize) -> Vec<String> {
    let mut missing = Vec::new();
    let mut note = |done: Result<(), ClusterError>| match done {
        Ok(()) => {}
        Err(ClusterError::Forbidden { denied, .. }) => missing.push(denied.permission.to_string()),
        Err(error) => panic!("{error}"),
    };
    let name = &operator.name;
    note(region.operator(name, deadline()).await.map(|_| ()));
    let value = run.to_string();
    let current = lab
        .region("admin")
        .await
        .operator(name, deadline())
        .await
        .unwrap();
    let expected = Expected::Value(current.annotations.get(PAUSED).cloned());
    note(
        region
            .annotate(name, PAUSED, &expected, Some(&value), deadline())
            .await
            .map(|_| ()),
    );
    // Another number than there is: what is so already is not written.
    let other = u16::from(current.replicas == 0);
    note(region.scale(name, other, deadline()).await.map(|_| ()));
    note(
        region
            .operator_and_clock(name, deadline())
            .await
            .map(|_| ()),
    );
    let annotations = [(PAUSED, Some(value.clone()))].into();
    let current = lab.region("admin").await.operator(name, deadline()).await;
    let version = current.unwrap().version;
    note(
        region
            .annotate_once(name, &version, &annotations, deadline())
            .await
            .map(|_| ()),
    );
    let lease = format!("bare-{run}");
    let lasts = Duration::from_secs(60);
    let admin = lab.region("admin").await;
    note(
        region
            .write_lease(&lease, None, Some("me"), lasts, deadline())
            .await
            .map(|_| ()),
    );
    let _ = admin
        .write_lease(&lease, None, Some("me"), lasts, deadline())
        .await;
    note(region.lease(&lease, deadline()).await.map(|_| ()));
    let held = admin.lease(&lease, deadline()).await.unwrap().unwrap();
    note(
        region
            .write_lease(&lease, Some(&held.version), None, lasts, deadline())
            .await
            .map(|_| ()),
    );
    note(
        region
            .humio_cluster("logscale", deadline())
            .await
            .map(|_| ()),
    );
    let spec = json!({ "environmentVariables": [{ "name": "RUN", "value": value }] });
    let changed = region
        .change_spec("logscale", |_| Ok(spec.clone()), deadline())
        .await;
    note(changed.map(|_| ()));
    let mut lock = Lock::new(
        region.clone(),
        &format!("lease-{run}"),
        "test",
        Duration::from_secs(60),
    );
    for _ in 0..2 {
        note(lock.acquire_or_renew(deadline()).await.map(|_| ()));
    }
    note(lock.release(deadline()).await);
    let event = Note {
        reason: "Test".to_owned(),
        message: "a test".to_owned(),
        severity: Severity::Normal,
    };
    note(region.record(operator, &event, deadline()).await);
    note(region.pods(HUMIO, deadline()).await.map(|_| ()));
    // Until something comes over the watch, that is after the first list.
    let (seen, churning) = (AtomicUsize::new(0), async {
        for round in 0_u64.. {
            lab.ready("node", round.is_multiple_of(2)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let twice = |_: &[_]| seen.fetch_add(1, Ordering::Relaxed) > 0;
    tokio::select! {
        () = churning => {}
        waited = region.wait_pods(HUMIO, "anything", twice, deadline()) => note(waited.map(|_| ())),
    }
    note(region.delete_pod("nobody", None, deadline()).await);
    note(
        region
            .follow_log("node", "humio")
            .next(deadline())
            .await
            .map(|_| ()),
    );
    note(region.secret("storage", deadline()).await.map(|_| ()));
    let stale = lab
        .region("admin")
        .await
        .stale_tls_secrets("logscale", deadline())
        .await
        .unwrap();
    note(
        region
            .stale_tls_secrets("logscale", deadline())
            .await
            .map(|_| ()),
    );
    note(
        region
            .delete_stale(&stale[0].0, deadline())
            .await
            .map(|_| ()),
    );
    note(region.services(deadline()).await.map(|_| ()));
    note(region.kafka("logscale", deadline()).await.map(|_| ()));
    note(region.spec("logscale", deadline()).await.map(|_| ()));
    let selector = [("run".to_owned(), value.clone())].into();
    note(region.select("logscale", &selector, deadline()).await);
    let read = region.service_selector("logscale", deadline()).await;
    note(read.map(|_| ()));
    state(lab, run).await;
    let own = format!("run={run}");
    note(region.claims(&own, deadline()).await.map(|_| ()));
    note(region.delete_claims(&own, deadline()).await.map(|_| ()));
    note(region.pod_sets(&own, deadline()).await.map(|_| ()));
    note(region.delete_pod_sets(&own, deadline()).await.map(|_| ()));
    note(
        region
            .delete_pods(&own, Some(0), deadline())
            .await
            .map(|_| ()),
    );
    let (name, labels) = (format!("record-{run}"), [].into());
    let made = region.write_record(&name, None, &labels, "1", deadline());
    note(made.await.map(|_| ()));
    let _ = admin
        .write_record(&name, None, &labels, "1", deadline())
        .await;
    note(region.read_record(&name, deadline()).await.map(|_| ()));
    note(region.records("", deadline()).await.map(|_| ()));
    let read = admin.read_record(&name, deadline()).await.unwrap().unwrap();
    let changed = region.write_record(&name, Some(&read.version), &labels, "2", deadline());
    note(changed.await.map(|_| ()));
    note(region.delete_record(&name, deadline()).await);
    let request = http::Request::new(String::new());
    match region.ask_pod("node", 1, request, deadline()).await {
        // Nothing listens there; but it was allowed to look.
        Err(ClusterError::Answer { .. }) => {}
        other => note(other.map(|_| ())),
    }
    missing
}

/// What a Kafka would leave behind, and a pod, with a label of this run.
async fn state(lab: &Lab, run: usize) {
    let metadata = |name: &str| json!({ "name": format!("{name}-{run}"), "labels": { "run": run.to_string() } });
    let claim = json!({
        "metadata": metadata("data"),
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    lab.make("v1", "PersistentVolumeClaim", claim).await;
    let set = json!({ "metadata": metadata("kafka"), "spec": { "pods": [], "selector": {} } });
    lab.make("core.strimzi.io/v1beta2", "StrimziPodSet", set)
        .await;
    let pod = json!({
        "metadata": metadata("pod"),
        "spec": { "nodeName": "node-1", "containers": [{ "name": "x", "image": "x" }] },
    });
    lab.make("v1", "Pod", pod).await;
}

async fn stale_secret(lab: &Lab, run: usize) {
    let secret = json!({
        "metadata": { "name": format!("logscale-core-{run}"), "labels": {
            "app.kubernetes.io/managed-by": "humio-operator", "app.kubernetes.io/instance": "logscale",
        } },
        "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": "", "tls.key": "" },
    });
    lab.make("v1", "Secret", secret).await;
}

#[tokio::test]
async fn what_is_needed_is_enough_and_each_part_of_it_is_missed_by_its_name() {
    let roles = std::iter::once(role_without(None));
    let roles = roles.chain((0..NEEDED.len()).map(|it| role_without(Some(it))));
    let lab = Lab::with_roles(roles.collect()).await;
    lab.operator().await;
    lab.pod("node").await;
    lab.logs.write("a line");
    let cluster = json!({ "metadata": { "name": "logscale" }, "spec": { "nodeCount": 1 } });
    lab.make("core.humio.com/v1alpha1", "HumioCluster", cluster)
        .await;
    let kafka = json!({ "metadata": { "name": "logscale" }, "spec": { "kafka": {} } });
    lab.make("kafka.strimzi.io/v1beta2", "Kafka", kafka).await;
    let service = json!({
        "metadata": { "name": "logscale" },
        "spec": { "selector": { "a": "b" }, "ports": [{ "port": 80 }] },
    });
    lab.make("v1", "Service", service).await;
    let storage = json!({ "metadata": { "name": "storage" }, "data": {} });
    lab.make("v1", "Secret", storage).await;
    let operator = lab
        .region("admin")
        .await
        .operator("humio-operator", deadline())
        .await
        .unwrap();

    stale_secret(&lab, 1000).await;
    let whole = lab.region("whole").await;
    assert_eq!(
        everything(&lab, &whole, &operator, 1000).await,
        Vec::<String>::new()
    );
    for (at, needed) in NEEDED.iter().enumerate() {
        stale_secret(&lab, at).await;
        let region = lab.region(&format!("without-{at}")).await;
        let mut missing = everything(&lab, &region, &operator, at).await;
        missing.dedup();
        let wanted = match needed.2 {
            "configmaps" if needed.0 == "watch" => Vec::new(),
            _ => vec![written(*needed)],
        };
        missing.sort();
        missing.dedup();
        assert_eq!(missing, wanted, "{needed:?}");
    }
}

#[tokio::test]
async fn what_we_may_is_known_without_doing_it() {
    let roles = (0..NEEDED.len()).map(|it| role_without(Some(it)));
    let lab = Lab::with_roles(roles.collect()).await;
    for (at, needed) in NEEDED.iter().enumerate() {
        let region = lab.region(&format!("without-{at}")).await;
        for (other, asked) in NEEDED.iter().enumerate() {
            let written: &str = String::leak(written(*asked));
            let (verb, rest) = written.split_once(' ').unwrap();
            let (resource, _) = rest.split_once(' ').unwrap();
            let answer = region.may(verb, resource, "", deadline()).await;
            match answer {
                Ok(()) => assert_ne!(at, other, "{needed:?}"),
                Err(ClusterError::Forbidden { denied, .. }) => {
                    assert_eq!(at, other, "{needed:?}");
                    assert_eq!(denied.permission.to_string(), written);
                    let grant = format!("--verb={verb} --resource={resource}");
                    assert!(denied.grant.contains(&grant), "{}", denied.grant);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_type() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let error = region
        .secret("storage", deadline())
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "aks-secondary: secrets storage: may not get secrets in namespace logging",
        "kubectl -n logging create role backstay-get-secrets --verb=get --resource=secrets",
        "--user=dr-function",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn there_is_no_way_in() {
    let lab = Lab::start().await;
    let _ = lab.region("admin").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let yaml = "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n";
    for (content, context) in [
        (yaml, "aks-primary"),
        ("", "x"),
        (": [", "x"),
        ("users: {token: hunter2}", "x"),
    ] {
        std::fs::write(file.path(), content).unwrap();
        let access = Access::Kubeconfig {
            path: Some(file.path().to_owned()),
            context: context.to_owned(),
        };
        let error = Region::connect(&access, "logging", QUICK)
            .await
            .unwrap_err();
        assert!(matches!(error, ClusterError::Access { .. }));
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(
            error.to_string().starts_with(&format!("{context}: ")),
            "{error}"
        );
    }
    let access = Access::Kubeconfig {
        path: Some("/nowhere/kubeconfig".into()),
        context: "aks-primary".to_owned(),
    };
    Region::connect(&access, "logging", QUICK)
        .await
        .unwrap_err();
    Region::connect(&Access::InCluster, "logging", QUICK)
        .await
        .unwrap_err();
}

#[tokio::test]
async fn what_a_program_prints_that_fetches_tokens_is_not_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for script in [
        "echo 'hunter2: ['",
        "echo '{\"status\": {\"token\": [\"hunter2\"]}}'",
        "echo hunter2; exit 3",
        "exit 0",
    ] {
        let config = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{ "name": "x", "cluster": { "server": "http://127.0.0.1:1" } }],
            "users": [{ "name": "x", "user": { "exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
                "args": ["-c", script], "interactiveMode": "Never",
            } } }],
            "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
        });
        std::fs::write(file.path(), config.to_string()).unwrap();
        let access = Access::Kubeconfig {
            path: Some(file.path().to_owned()),
            context: "x".to_owned(),
        };
        let error = match Region::connect(&access, "logging", QUICK).await {
            Ok(region) => region.operator("o", soon()).await.unwrap_err(),
            Err(error) => error,
        };
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{script}: {shown}");
    }
}
