//! The commands of the runbook that Backstay implements, as they are written there but for names,
//! in the order of the story: provision, failover, promotion, failback, clean-up.

use backstay_pair::Side::{Primary, Secondary};
use serde_json::Value;

use crate::calls::{SUBSCRIPTION, admin, azure, ingest};
use crate::hand::{flush_on_shutdown, start_from_the_secondary, stop};
use crate::world::{Logs, World, no, no_kubectl, region};

const PODS: &str = "-l app.kubernetes.io/name=humio";

#[test]
fn the_runbooks_commands_work_as_they_are_written() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    provisioned(&world);
    failed_over(&world);
    promoted(&world);
    failed_back(&world);
    cleaned(&world);
    world.down();
}

/// The storage is Azurite's, by the account's key that Azure gives out, and nothing of the key is
/// seen where everybody looks.
#[test]
fn a_lab_runs_an_azurite_of_its_own() {
    if no_kubectl() || no("azurite-blob", &["--version"]) {
        return;
    }
    let world = World::up(Logs::OfItsOwn);
    assert_eq!(world.status()["store"], "azurite");
    let keys = azure(
        &world,
        "POST",
        &format!(
            "{SUBSCRIPTION}/resourceGroups/lab-primary/providers/Microsoft.Storage/storageAccounts/labprimaryacct/listKeys"
        ),
        "2023-01-01",
        "",
    );
    let key = keys["keys"][0]["value"].as_str().unwrap().to_owned();
    let secret = world.shell(
        "kubectl --context aks-secondary -n logging get secret logscale-primary-storage -o jsonpath='{.data.account-key}' | base64 -d",
    );
    assert_eq!(secret, key);
    ingest(&world, Primary, "into blobs");
    found(&world, Primary, "into blobs");
    for process in backstay_lab::up::sweep::processes(&world.lab()) {
        let arguments = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(&key));
    }
    let logs = world.shell(&format!(
        "cat {0}/logs/* {0}/*/agent/pods/*/containers/*/logs/* 2>/dev/null | grep -cF '{key}' || true",
        world.lab().display()
    ));
    assert_eq!(logs.trim(), "0");
    failed_over_at_once(&world);
    world.down();
}

fn failed_over_at_once(world: &World) {
    world.done(&["lab", "kill-region", "primary"]);
    world.shell(
        "kubectl --context aks-secondary -n logging scale deploy humio-operator --replicas=1",
    );
    world.until(
        &format!("kubectl --context aks-secondary -n logging get pods {PODS}"),
        |text| text.contains("1/1"),
    );
    found(world, Secondary, "into blobs");
}

fn endpoint(name: &str) -> String {
    format!(
        "{SUBSCRIPTION}/resourceGroups/lab-dr/providers/Microsoft.Network/trafficmanagerprofiles/lab-logs/externalEndpoints/{name}"
    )
}

fn endpoint_is(world: &World, name: &str, status: &str) {
    let start = std::time::Instant::now();
    loop {
        let found = azure(world, "GET", &endpoint(name), "2022-04-01", "");
        let properties = &found["properties"];
        if properties["endpointMonitorStatus"] == status {
            return;
        }
        assert!(start.elapsed().as_secs() < 120, "{name}: {found:#}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

pub fn provisioned(world: &World) {
    let variable = world.shell(
        r#"kubectl --context aks-primary get humiocluster -n logging -o jsonpath='{.items[0].spec.environmentVariables}'"#,
    );
    let variables: Value = serde_json::from_str(&variable).unwrap();
    let of = |name: &str| {
        let all = variables.as_array().unwrap();
        all.iter().find(|it| it["name"] == name).cloned()
    };
    assert_eq!(
        of("BUCKET_STORAGE_MULTIPLE_ENDPOINTS").unwrap()["value"],
        "true"
    );
    assert!(of("LOCAL_RECOVER_FROM_PATH").is_none());
    let operator =
        world.shell("kubectl --context aks-secondary -n logging get deploy humio-operator");
    assert!(operator.contains("0/0"), "{operator}");
    let nodes = world.shell("kubectl --context aks-primary get nodes -l agentpool=lsuinode");
    assert!(nodes.contains("Ready"), "{nodes}");
    let pods = world.shell("kubectl --context aks-primary -n logging get pods -o wide");
    assert_eq!(pods.matches("logscale-").count(), 4, "{pods}");
    world.shell(&world.ask(Primary, "/api/v1/status", "--fail"));
    let code = world.shell(&world.ask(
        Secondary,
        "/api/v1/status",
        "-o /dev/null -w '%{http_code}'",
    ));
    assert_eq!(code, "503");
    endpoint_is(world, "primary", "Online");
    endpoint_is(world, "secondary", "Degraded");
    let services = world.shell("kubectl --context aks-primary -n logging get svc -o wide");
    assert!(
        services.contains("humio.com/node-pool=logscale-ui"),
        "{services}"
    );
}

pub fn failed_over(world: &World) {
    ingest(world, Primary, "before the disaster");
    world.done(&["lab", "kill-region", "primary"]);
    endpoint_is(world, "primary", "Degraded");
    world.shell(
        "kubectl --context aks-secondary -n logging scale deploy humio-operator --replicas=1",
    );
    azure(
        world,
        "PATCH",
        &endpoint("primary"),
        "2022-04-01",
        r#"{"properties":{"endpointStatus":"Disabled"}}"#,
    );
    world.until(
        &format!("kubectl --context aks-secondary -n logging get pods {PODS}"),
        |text| text.contains("1/1"),
    );
    world.shell(&format!(
        "kubectl --context aks-secondary -n logging wait pod {PODS} --for=condition=Ready --timeout=120s"
    ));
    let log = world.shell(&format!(
        "kubectl --context aks-secondary -n logging logs {PODS} -c humio --tail=-1 | grep DataSnapshotLoader"
    ));
    for line in [
        "localAndHttpWereEmpty=true",
        "Trying to fetch a global snapshot as recovery source from bucket storage",
        "now patching",
        "updateSnapshotForDisasterRecovery",
        "setting readOnly=true",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let snapshot = world.shell(
        r#"kubectl config use-context aks-secondary >/dev/null
POD=$(kubectl -n logging get pod -l app.kubernetes.io/name=humio -o jsonpath='{.items[0].metadata.name}')
for _ in $(seq 100); do
  kubectl -n logging exec "$POD" -c humio -- cat /data/humio-data/global-data-snapshot.json > snapshot.json && break
  sleep 0.5
done
head -60 snapshot.json; rm snapshot.json"#,
    );
    assert!(snapshot.contains("readOnly"), "{snapshot}");
    endpoint_is(world, "secondary", "Online");
    let [_, https] = world.place().ingress_proxies(Secondary);
    if std::process::Command::new("dig").arg("-v").output().is_ok() {
        let dns = world.place().dns();
        world.until(
            &format!(
                "dig @{} -p {} +short logs.trafficmanager.net",
                dns.ip(),
                dns.port()
            ),
            |text| text.trim() == https.ip().to_string(),
        );
    }
    found(world, Secondary, "before the disaster");
}

/// Phase 1 with shared routing, phase 2 with pools of their own, each step of Terraform's done by
/// hand.
fn promoted(world: &World) {
    let pools = r#"{"spec":{"nodePools":[
        {"name":"ui","spec":{"image":"backstay/node:lab","nodeCount":1,"nodeSelector":{"agentpool":"lsuinode"},"environmentVariables":ENVIRONMENT}},
        {"name":"ingest","spec":{"image":"backstay/node:lab","nodeCount":1,"nodeSelector":{"agentpool":"lsingestnode"},"environmentVariables":ENVIRONMENT}}]}}"#;
    let environment = world.shell(
        r#"kubectl --context aks-secondary get humiocluster -n logging -o jsonpath='{.items[0].spec.environmentVariables}'"#,
    );
    let patch = world.lab().join("pools.json");
    std::fs::write(&patch, pools.replace("ENVIRONMENT", environment.trim())).unwrap();
    world.shell(&format!(
        "kubectl --context aks-secondary -n logging patch humiocluster logscale --type=merge --patch-file {}",
        patch.display()
    ));
    world.until(
        &format!(
            "kubectl --context aks-secondary -n logging get pods {PODS} --no-headers | grep -c 1/1"
        ),
        |text| text.trim() == "3",
    );
    world.shell("kubectl --context aks-secondary get nodes -l agentpool=lsingestnode | grep Ready");
    world.shell(&world.ask(Secondary, "/api/v1/status", "--fail"));
    for pool in ["ui", "ingest"] {
        world.shell(&format!(
            r#"kubectl --context aks-secondary -n logging patch svc logscale-{pool}-cip --type=json -p '[{{"op":"replace","path":"/spec/selector","value":{{"humio.com/node-pool":"logscale-{pool}"}}}}]'"#
        ));
    }
    world.shell(&world.ask(Secondary, "/api/v1/status", "--fail"));
    // A wrong selector is a real 503.
    world.shell(
        r#"kubectl --context aks-secondary -n logging patch svc logscale-ui-cip --type=merge -p '{"spec":{"selector":{"humio.com/node-pool":"nobody"}}}'"#,
    );
    let status = world.ask(
        Secondary,
        "/api/v1/status",
        "-o /dev/null -w '%{http_code}'",
    );
    world.until(&status, |text| text == "503");
    world.shell(
        r#"kubectl --context aks-secondary -n logging patch svc logscale-ui-cip --type=merge -p '{"spec":{"selector":{"humio.com/node-pool":"logscale-ui"}}}'"#,
    );
    world.until(&status, |text| text == "200");
    ingest(world, Secondary, "while the primary was away");
    found(world, Secondary, "while the primary was away");
}

fn failed_back(world: &World) {
    // Phase 1: the alert, the annotation.
    let alert = format!(
        "{SUBSCRIPTION}/resourceGroups/lab-secondary/providers/Microsoft.Insights/metricAlerts/lab-dr-failover-alert"
    );
    let off = azure(
        world,
        "PATCH",
        &alert,
        "2018-03-01",
        r#"{"properties":{"enabled":false}}"#,
    );
    assert_eq!(off["properties"]["enabled"], false);
    world.shell("kubectl --context aks-secondary -n logging annotate deployment humio-operator logscale.dr/degraded-since-epoch=1 --overwrite");
    world.shell("kubectl --context aks-secondary -n logging annotate deployment humio-operator logscale.dr/degraded-since-epoch- --overwrite");
    // Fired alerts are closed.
    let alerts = format!("{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts");
    let fired = azure(world, "GET", &alerts, "2019-05-05-preview", "");
    for one in fired["value"].as_array().unwrap() {
        let change = format!(
            "{}/changeState?newState=Closed",
            one["id"].as_str().unwrap()
        );
        azure(world, "POST", &change, "2019-05-05-preview", "");
    }
    // Phase 3: the secondary is told to flush, and drained.
    flush_on_shutdown(world);
    stop(world, Secondary);
    // The primary's region comes back, fenced: its pods run and are never ready.
    world.done(&["lab", "restore", "primary"]);
    world.until(
        "kubectl --context aks-primary -n logging get deploy humio-operator",
        |text| text.contains("1/1"),
    );
    stop(world, Primary);
    start_from_the_secondary(world);
    let log = world.shell(&format!(
        "kubectl --context aks-primary -n logging logs {PODS} -c humio --tail=-1 | grep DataSnapshotLoader"
    ));
    assert!(log.contains("as recovery source"), "{log}");
    azure(
        world,
        "PATCH",
        &endpoint("primary"),
        "2022-04-01",
        r#"{"properties":{"endpointStatus":"Enabled"}}"#,
    );
    endpoint_is(world, "primary", "Online");
    found(world, Primary, "before the disaster");
    found(world, Primary, "while the primary was away");
}

/// Phase 4: Kafka's state goes.
fn cleaned(world: &World) {
    for line in [
        "scale deploy humio-operator --replicas=0",
        "delete pods -l app.kubernetes.io/name=humio --ignore-not-found=true",
        "wait --for=delete pod -l app.kubernetes.io/name=humio --timeout=180s",
        "scale deploy strimzi-cluster-operator --replicas=0",
        "delete pods -l strimzi.io/cluster --force --grace-period=0 --ignore-not-found=true",
        "delete pvc -l strimzi.io/cluster --ignore-not-found=true",
        "delete strimzipodset --all --ignore-not-found=true",
    ] {
        world.shell(&format!(
            "kubectl --context aks-secondary -n logging {line}"
        ));
    }
    world.until(
        "kubectl --context aks-secondary -n logging get pvc -l strimzi.io/cluster 2>/dev/null | wc -l",
        |text| text.trim() == "0",
    );
    world.shell("kubectl --context aks-secondary -n logging scale deploy strimzi-cluster-operator --replicas=1");
    world.until(
        "kubectl --context aks-secondary -n logging get pods -l strimzi.io/component-type=kafka --no-headers",
        |text| text.contains("kafka"),
    );
    world.shell(
        "kubectl --context aks-secondary -n logging wait pod -l strimzi.io/component-type=kafka --for=condition=Ready --timeout=120s",
    );
    let status = world.status();
    assert_eq!(
        region(&status, Primary)["missing"],
        Value::Null,
        "{status:#}"
    );
}

/// Events into `humio` by a region's ingress, with its admin's token.
fn found(world: &World, side: backstay_pair::Side, text: &str) {
    let body = format!(r#"{{"queryString":"\"{text}\" | count()","start":"1d"}}"#);
    let start = std::time::Instant::now();
    loop {
        let answer = admin(world, side, "/api/v1/repositories/humio/query", &body);
        if answer.trim() == "_count->1" {
            return;
        }
        assert!(start.elapsed().as_secs() < 120, "{text}: {answer}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
