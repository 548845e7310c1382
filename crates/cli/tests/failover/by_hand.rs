//! A failover that a person wants.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::control::{Watch, command, endpoint, json, run};
use crate::world::{Logs, World, no_kubectl};

const MARKS: &str = "kubectl --context aks-secondary -n logging get deploy humio-operator \
                     -o jsonpath='{.metadata.annotations.logscale\\.dr/failover-run} {.spec.replicas}'";

/// What an OpenTelemetry collector is to an exporter.
struct Collector {
    url: String,
    received: Arc<Mutex<String>>,
    _runtime: Runtime,
}

impl Collector {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let received = Arc::new(Mutex::new(String::new()));
        let kept = received.clone();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let take = |body: String| async move {
            kept.lock().unwrap().push_str(&body);
            "{}"
        };
        let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        runtime.spawn(axum::serve(listener, router).into_future());
        Self {
            url,
            received,
            _runtime: runtime,
        }
    }

    fn received(&self) -> String {
        self.received.lock().unwrap().clone()
    }
}

fn codes(status: &serde_json::Value) -> Vec<&str> {
    let reasons = status["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect()
}

#[test]
fn it_says_what_speaks_against_it_and_a_person_can_overrule_that() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    world.until_status(|status| status["regions"][0]["view"]["status"] == 200);
    let before = world.shell(MARKS);
    let (told, code) = json(&world, &["failover", "--dry-run"]);
    assert_eq!((&told["done"], code), (&false.into(), 3), "{told:#}");
    assert_eq!(codes(&told["status"]), ["primary-answers"], "{told:#}");
    let (told, code) = json(&world, &["failover"]);
    assert_eq!((&told["done"], code), (&false.into(), 3), "{told:#}");
    assert_eq!(world.shell(MARKS), before, "nothing was changed");
    // What there is not, and what nobody may overrule.
    for over in ["nonsense", "run-in-progress"] {
        let output = run(&world, &["failover", "--over", over]);
        assert_eq!(output.status.code(), Some(2), "{over}");
    }
    // Nobody is there who could be asked.
    let (told, code) = json(&world, &["failover", "--over", "primary-answers"]);
    assert_eq!((&told["ok"], code), (&false.into(), 4), "{told:#}");
    let error = told["error"].as_str().unwrap();
    assert!(error.contains("--yes"), "{error}");
    assert_eq!(world.shell(MARKS), before, "nothing was changed");
    // An operator's word stands against everybody's.
    let annotate = "kubectl --context aks-secondary -n logging annotate deploy humio-operator";
    world.shell(&format!("{annotate} logscale.dr/paused='a rehearsal'"));
    let (told, code) = json(&world, &["failover", "--yes", "--over", "primary-answers"]);
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(codes(&told["status"])[0], "paused", "{told:#}");
    let (status, code) = json(&world, &["status"]);
    assert_eq!(
        (&status["state"], code),
        (&"paused".into(), 3),
        "{status:#}"
    );
    world.shell(&format!("{annotate} logscale.dr/paused-"));

    let over = "primary-answers,not-yet-sure,holdoff-running,still-trusted,too-few-witnesses";
    let (told, code) = json(&world, &["failover", "--over", over, "--dry-run"]);
    assert_eq!((&told["dry_run"], code), (&true.into(), 0), "{told:#}");
    assert_eq!(world.shell(MARKS), before, "nothing was changed");
    let collector = Collector::start();
    let mut command = command(
        &world,
        &["failover", "--yes", "--output", "json", "--over", over],
    );
    let output = command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = output.status.code().unwrap();
    assert_eq!((&told["done"], code), (&true.into(), 0), "{told:#}");
    let run = told["status"]["run"]["id"].as_str().unwrap();
    for named in ["failover", "step", run, "seal the primary's journal"] {
        let got = collector.received();
        assert!(got.contains(named), "{named}: {got}");
    }
    assert!(told["timing"]["after_decision_ms"].is_u64(), "{told:#}");
    assert_eq!(endpoint(&world)["properties"]["endpointStatus"], "Disabled");
    // The living primary is fenced.
    world.until_status(|status| status["regions"][0]["view"]["status"] == 503);
    // Once more, it is done already.
    let (told, code) = json(&world, &["failover"]);
    assert_eq!((&told["done"], code), (&true.into(), 0), "{told:#}");
    world.down();
}

#[test]
fn what_cannot_be_reached_is_said_with_its_name() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let output = run(&world, &["status", "--pair", "/nowhere/backstay.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/nowhere/backstay.toml"), "{said}");
    let mut failover = command(&world, &["failover"]);
    let output = failover
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("standby") && said.contains("kubeconfig"),
        "{said}"
    );
    // And what would be done is said without doing it.
    let annotations = "kubectl --context aks-secondary -n logging get deploy humio-operator \
                       -o jsonpath='{.metadata.annotations} {.spec.replicas}'";
    let before = world.shell(annotations);
    let watch = Watch::with(&world, "watch", &["--dry-run"], &[]);
    watch.until_state("healthy");
    world.done(&["lab", "kill-region", "primary"]);
    watch.until("a holdoff that would begin", |status| {
        status["state"] == "holding"
    });
    watch.until("the word of it", |_| watch.log().contains("would act"));
    assert_eq!(world.shell(annotations), before);
    watch.end();
    world.down();
}
