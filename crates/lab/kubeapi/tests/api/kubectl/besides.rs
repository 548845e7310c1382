//! What people use besides the runbook: forwarding, exec, patches, labels, roles.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{humio_pod, kafka, provision};
use crate::Region;
use crate::pod;
use backstay_testkit::kubernetes::{no_kubectl, until};

/// How `kubectl` may be told to talk: as its version does, and as those before 1.31 did.
const KUBECTL_PROTOCOLS: [&str; 2] = [
    "",
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false KUBECTL_PORT_FORWARD_WEBSOCKETS=false",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_forwarded_and_proxied() {
    if no_kubectl() {
        return;
    }
    let region = Region::start().await;
    provision(&region).await;
    let port = pod::free_port().await;
    humio_pod(&region, "logscale-core-abcde", port).await;
    region
        .kubectl("wait pod logscale-core-abcde --for=condition=Ready --timeout=60s")
        .await;
    // The program says so once it listens.
    let mut log = region.spawn(&["logs", "-f", "logscale-core-abcde"]);
    until(&mut log, "DataSnapshotLoader").await;
    log.kill().await.unwrap();

    for way in KUBECTL_PROTOCOLS {
        let mut forward = region.command("bash");
        forward.args([
            "-c",
            &format!("{way} exec kubectl port-forward pod/logscale-core-abcde :1 :{port}"),
        ]);
        let mut forward = forward.spawn().unwrap();
        let wanted = format!("-> {port}");
        let lines = until(&mut forward, &wanted).await;
        let local = |line: &str| line.split(&[':', ' '][..]).nth(3).unwrap().to_owned();
        let (good, bad) = (local(lines.last().unwrap()), local(&lines[0]));
        // Several at a time, over one session.
        let requests = (0..8).map(|_| {
            let url = format!("http://127.0.0.1:{good}/api/v1/status");
            async move { reqwest::get(url).await.unwrap().text().await.unwrap() }
        });
        for answer in futures::future::join_all(requests).await {
            assert_eq!(answer, "OK", "{way}");
        }
        // Nothing listens on the other port, and that ends nothing else.
        assert!(
            reqwest::get(format!("http://127.0.0.1:{bad}/"))
                .await
                .is_err()
        );
        forward.kill().await.unwrap();
    }

    let proxied = region
        .kubectl(&format!(
            "get --raw /api/v1/namespaces/logging/pods/logscale-core-abcde:{port}/proxy/api/v1/status"
        ))
        .await;
    assert_eq!(proxied, "OK");
    let by_name = region
        .kubectl("get --raw /api/v1/namespaces/logging/pods/logscale-core-abcde:http/proxy/api/v1/status")
        .await;
    assert_eq!(by_name, "OK");

    // By way of a service: to a pod that is behind it, or nowhere.
    let service = "get --raw /api/v1/namespaces/logging/services/logscale:8080/proxy/api/v1/status";
    let nowhere = region.refused(service).await;
    assert!(
        nowhere.contains("no endpoints available for service"),
        "{nowhere}"
    );
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": "logscale", "namespace": "logging" },
        "subsets": [{
            "addresses": [{
                "ip": "127.0.0.1",
                "targetRef": { "kind": "Pod", "name": "logscale-core-abcde" },
            }],
            "ports": [{ "port": port }],
        }],
    });
    region
        .kubectl_with("apply -f -", &endpoints.to_string())
        .await;
    assert_eq!(region.kubectl(service).await, "OK");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_carries_input_errors_and_exit_codes() {
    if no_kubectl() {
        return;
    }
    let region = Region::start().await;
    provision(&region).await;
    kafka(&region).await;
    region
        .kubectl("wait pod kafka-0 --for=condition=Ready --timeout=60s")
        .await;
    for way in KUBECTL_PROTOCOLS {
        let echoed = region
            .shell(&format!(
                "yes line | head -50000 | {way} kubectl exec -i kafka-0 -- cat"
            ))
            .await
            .ok();
        assert_eq!(echoed.len(), 250_000, "{way}");
        let failed = region
            .shell(&format!(
                "{way} kubectl exec kafka-0 -- sh -c 'echo out; echo err >&2; exit 7'"
            ))
            .await;
        assert_eq!((failed.out.as_str(), failed.code), ("out\n", Some(7)));
        assert!(failed.err.contains("err\n"), "{}", failed.err);
        assert!(failed.err.contains("exit code 7"), "{}", failed.err);
    }
    let wrong = region.refused("exec kafka-0 -c humio -- true").await;
    assert!(
        wrong.contains("container humio is not valid for pod kafka-0"),
        "{wrong}"
    );
    let previous = region.refused("logs kafka-0 --previous").await;
    assert!(
        previous.contains("previous terminated container \"kafka\" in pod \"kafka-0\" not found"),
        "{previous}"
    );
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_use_besides() {
    if no_kubectl() {
        return;
    }
    let region = Region::start().await;
    provision(&region).await;

    // Apply: create, again, change; and by server-side apply with a conflict of owners.
    let map = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "settings" }, "data": { "a": value, "b": "kept" },
        })
        .to_string()
    };
    assert!(
        region
            .kubectl_with("apply -f -", &map("1"))
            .await
            .ends_with("created\n")
    );
    assert!(
        region
            .kubectl_with("apply -f -", &map("1"))
            .await
            .ends_with("unchanged\n")
    );
    assert!(
        region
            .kubectl_with("apply -f -", &map("2"))
            .await
            .ends_with("configured\n")
    );
    let other = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "owned" }, "data": { "a": value },
        })
        .to_string()
    };
    let apply = "apply --server-side --field-manager=one -f -";
    region.kubectl_with(apply, &other("1")).await;
    let line = format!(
        "echo '{}' | kubectl apply --server-side --field-manager=two -f -",
        other("2")
    );
    let conflict = region.shell(&line).await;
    assert_eq!(conflict.code, Some(1));
    assert!(
        conflict.err.contains("conflict with \"one\""),
        "{}",
        conflict.err
    );
    region
        .shell(&format!("{line} --force-conflicts"))
        .await
        .ok();
    let value = region.kubectl("get cm owned -o jsonpath='{.data.a}'").await;
    assert_eq!(value, "2");

    // Output forms.
    let yaml = region.kubectl("get cm settings -o yaml").await;
    assert!(
        yaml.contains("\nkind: ConfigMap\n") && yaml.contains("  b: kept\n"),
        "{yaml}"
    );
    let wide = region.kubectl("get deploy humio-operator -o wide").await;
    assert!(
        wide.contains("SELECTOR") && wide.contains("app=humio-operator"),
        "{wide}"
    );
    let mut watched = region.spawn(&["get", "cm", "settings", "-o", "yaml", "--watch"]);
    until(&mut watched, "b: kept").await;
    watched.kill().await.unwrap();

    // Labels and selectors.
    region.kubectl("label cm settings tier=front").await;
    for (selector, count) in [
        ("tier=front", 1),
        ("'tier in (front,back)'", 1),
        ("'tier notin (front)'", 1),
        ("'!tier'", 1),
        ("tier!=front", 1),
    ] {
        let names = region
            .kubectl(&format!("get cm -l {selector} -o name"))
            .await;
        assert_eq!(names.lines().count(), count, "{selector}: {names}");
    }
    let one = region
        .kubectl("get cm --field-selector metadata.name=owned -o name")
        .await;
    assert_eq!(one, "configmap/owned\n");

    // Patches.
    region
        .kubectl(r#"patch deploy humio-operator -p '{"spec":{"template":{"spec":{"containers":[{"name":"humio-operator","env":[{"name":"A","value":"1"}]}]}}}}'"#)
        .await;
    let container = region
        .kubectl("get deploy humio-operator -o jsonpath='{.spec.template.spec.containers}'")
        .await;
    let container: Value = serde_json::from_str(&container).unwrap();
    assert_eq!(container[0]["image"], "operator:1");
    assert_eq!(container[0]["env"][0]["value"], "1");
    region
        .kubectl(r#"patch humiocluster logscale --type=json -p '[{"op":"replace","path":"/spec/nodeCount","value":3}]'"#)
        .await;
    let refused = region
        .refused(r#"patch humiocluster logscale -p '{"spec":{"nodeCount":4}}'"#)
        .await;
    assert!(
        refused.contains("strategic-merge-patch+json is not supported"),
        "{refused}"
    );
    let refused = region
        .refused(r#"patch humiocluster logscale --type=json -p '[{"op":"test","path":"/spec/nodeCount","value":4}]'"#)
        .await;
    assert!(refused.contains("The request is invalid"), "{refused}");
    let refused = region
        .refused(r#"patch deploy humio-operator --type=merge -p '{"spec":{"selector":{"matchLabels":{"x":"y"}}}}'"#)
        .await;
    assert!(refused.contains("field is immutable"), "{refused}");
    let explained = region.kubectl("explain humiocluster.spec").await;
    assert!(explained.contains("core.humio.com"), "{explained}");

    // Roles, in Kubernetes' words.
    let refused = region.refused("--context function get secrets").await;
    assert!(
        refused.contains(
            "secrets is forbidden: User \"dr-function\" cannot list resource \"secrets\" in API group \"\" in the namespace \"logging\""
        ),
        "{refused}"
    );
    let refused = region
        .refused("--context function delete deploy humio-operator")
        .await;
    assert!(refused.contains("cannot delete resource \"deployments\" in API group \"apps\""));
    region
        .kubectl("--context function scale deploy humio-operator --replicas=1")
        .await;
    let refused = region
        .refused("--context function -n default get pods")
        .await;
    assert!(
        refused.contains("in the namespace \"default\""),
        "{refused}"
    );
    let bad = region.refused("--token wrong get pods").await;
    assert!(bad.contains("You must be logged in to the server"), "{bad}");

    // Kinds that kubectl has types of, it sends in protobuf.
    region.kubectl("create namespace made").await;
    region
        .kubectl("-n made create secret generic s --from-literal=token=s3cret")
        .await;
    region
        .kubectl("-n made create configmap m --from-literal=a=b")
        .await;
    let token = region
        .shell("kubectl -n made get secret s -o jsonpath='{.data.token}' | base64 -d")
        .await
        .ok();
    assert_eq!(token, "s3cret");
    let refused = region
        .refused("-n made create deployment d --image=x")
        .await;
    assert!(refused.contains("kubectl apply -f -"), "{refused}");
    region.kubectl("delete ns made").await;
    let may = region
        .kubectl("--context function auth can-i patch deployments.apps")
        .await;
    assert_eq!(may, "yes\n");
    let may = region
        .shell("kubectl --context function auth can-i get secrets")
        .await;
    assert_eq!((may.out.as_str(), may.code), ("no\n", Some(1)));

    // The file is for its owner, also after kubectl has written it.
    region.kubectl("config use-context aks-secondary").await;
    let mode = region.kubeconfig().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A namespace takes everything with it.
    region.kubectl("delete ns logging").await;
    let gone = region.refused("get ns logging").await;
    assert!(gone.contains("namespaces \"logging\" not found"), "{gone}");
    let secret = base64::engine::general_purpose::STANDARD.encode("s3cret");
    assert!(
        !region
            .kubectl("get secrets -A -o yaml")
            .await
            .contains(&secret)
    );
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_is_applied_shown_and_read_by_its_role() {
    if no_kubectl() {
        return;
    }
    let region = Region::start().await;
    region.kubectl("create namespace logging").await;
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "logscale" },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{ "hosts": ["logs.example.com"], "secretName": "logs-tls" }],
            "rules": [{
                "host": "logs.example.com",
                "http": { "paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": { "service": { "name": "logscale-ui", "port": { "number": 8080 } } },
                }] },
            }],
        },
    });
    region
        .kubectl_with("apply -f -", &ingress.to_string())
        .await;
    region
        .kubectl(r#"patch ing logscale --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"127.71.1.2"}]}}}'"#)
        .await;
    let shown = region.kubectl("get ingress").await;
    let lines: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
    );
    assert_eq!(
        lines[1][..6],
        [
            "logscale",
            "nginx",
            "logs.example.com",
            "127.71.1.2",
            "80,",
            "443"
        ]
    );
    let described = region.kubectl("describe ingress logscale").await;
    assert!(described.contains("logscale-ui:8080"), "{described}");
    let kinds = region
        .kubectl("api-resources --api-group=networking.k8s.io -o name")
        .await;
    assert_eq!(kinds, "ingresses.networking.k8s.io\n");
    for may in ["ingresses", "services", "endpoints", "secrets"] {
        region
            .kubectl(&format!("--context ingress get {may}"))
            .await;
    }
    let refused = region.refused("--context ingress get pods").await;
    assert!(
        refused.contains("User \"ingress\" cannot list resource \"pods\""),
        "{refused}"
    );
    let refused = region
        .refused("--context ingress delete ingress logscale")
        .await;
    assert!(
        refused.contains("cannot delete resource \"ingresses\""),
        "{refused}"
    );
    region.kubectl("delete ingress logscale").await;
    region.stop().await;
}
