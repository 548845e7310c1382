//! Readiness, liveness and startup.

use serde_json::json;

use crate::region::{World, http, pod, shell, until};
use backstay_testkit::kubernetes::no_kubectl;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_ready_while_its_server_says_so() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let mut container = http();
    container["readinessProbe"]["httpGet"]["path"] = json!("/healthy/");
    container["readinessProbe"]["failureThreshold"] = json!(1);
    world.apply(pod("web", container)).await;
    world.until_row("web", ["0/1", "Running"]).await;
    let status = world.get("pod web").await;
    let conditions = status["status"]["conditions"].as_array().unwrap().clone();
    let ready = conditions.iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(ready["message"], "containers with unready status: [humio]");
    let address = status["status"]["podIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("127."), "{address}");

    world.exec("web", "mkdir healthy").await;
    world.until_running("web").await;
    assert_eq!(world.row("web").await, ["1/1", "Running", "0"]);
    world.exec("web", "rmdir healthy").await;
    world.until_row("web", ["0/1", "Running"]).await;
    // Unready is no reason to restart, and the address is the pod's.
    let status = world.get("pod web").await;
    assert_eq!(status["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_eq!(status["status"]["podIP"], address.as_str());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_https_and_commands_can_be_asked() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let mut tcp = http();
    tcp["readinessProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1 });
    world.apply(pod("tcp", tcp)).await;

    let certificate = rcgen::generate_simple_self_signed(["pod".to_owned()]).unwrap();
    world
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "tls", "namespace": "logging" }, "type": "kubernetes.io/tls",
            "stringData": {
                "tls.crt": certificate.cert.pem(),
                "tls.key": certificate.signing_key.serialize_pem(),
            },
        }))
        .await;
    let serve = "import http.server, os, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/tls/tls.crt', '/tls/tls.key')
server = http.server.HTTPServer((os.environ['POD_IP'], 8443), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()";
    let mut https = http();
    https["command"] = json!(["python3", "-c", serve]);
    https["volumeMounts"] = json!([{ "name": "tls", "mountPath": "/tls" }]);
    https["readinessProbe"] =
        json!({ "httpGet": { "scheme": "HTTPS", "port": 8443 }, "periodSeconds": 1 });
    let mut https = pod("https", https);
    https["spec"]["volumes"] = json!([{ "name": "tls", "secret": { "secretName": "tls" } }]);
    world.apply(https).await;

    let mut command = shell("sleep 600");
    command["readinessProbe"] = json!({
        "exec": { "command": ["sh", "-c", "test -e /data/there"] }, "periodSeconds": 1,
        "failureThreshold": 1,
    });
    command["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let mut command = pod("command", command);
    command["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    world.apply(command).await;

    world.until_running("tcp").await;
    world.until_running("https").await;
    world.until_row("command", ["0/1", "Running"]).await;
    world.exec("command", "touch /data/there").await;
    world.until_running("command").await;
    world.exec("command", "rm /data/there").await;
    world.until_row("command", ["0/1", "Running"]).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_alive_is_started_again_and_frozen_is_not_dead() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let mut container = shell("touch alive; trap 'exit 9' TERM; while :; do sleep 0.1; done");
    let probe = json!({
        "exec": { "command": ["test", "-e", "alive"] }, "periodSeconds": 1, "failureThreshold": 2,
    });
    container["livenessProbe"] = probe.clone();
    container["startupProbe"] = probe;
    world.apply(pod("alive", container)).await;
    world.until_running("alive").await;
    assert_eq!(world.row("alive").await[2], "0");

    world.exec("alive", "rm alive").await;
    let ended = until("a restart", || async {
        let status = world.get("pod alive").await["status"]["containerStatuses"][0].clone();
        match status["restartCount"].as_u64() {
            Some(1) => Ok(status["lastState"]["terminated"].clone()),
            _ => Err(status),
        }
    })
    .await;
    assert_eq!(ended["exitCode"], 9);
    let message = ended["message"].as_str().unwrap();
    assert!(
        message.contains("Container humio failed liveness probe"),
        "{message}"
    );
    world.until_running("alive").await;

    // A frozen process answers nothing; a server's does not even close a connection.
    let mut server = http();
    server["readinessProbe"]["failureThreshold"] = json!(1);
    server["livenessProbe"] =
        json!({ "httpGet": { "port": "http" }, "periodSeconds": 1, "failureThreshold": 1 });
    server["startupProbe"] =
        json!({ "httpGet": { "port": "http" }, "periodSeconds": 1, "failureThreshold": 100 });
    world.apply(pod("server", server)).await;
    world.until_running("server").await;
    world.runtime.freeze_all();
    world.until_row("server", ["0/1", "Running"]).await;
    for group in world.runtime.groups() {
        let stat = std::fs::read_to_string(format!("/proc/{group}/stat")).unwrap();
        assert!(stat.contains(") T "), "{stat}");
    }
    world.runtime.thaw_all();
    world.until_running("server").await;
    assert_eq!(world.row("server").await[2], "0");
    world.stop().await;
}
