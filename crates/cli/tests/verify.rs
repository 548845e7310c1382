//! `backstay verify` in a lab: a standby that is able, faults that are planted one by one, and a
//! primary that is gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]
#![cfg(target_os = "linux")]

#[path = "lab/calls.rs"]
#[allow(dead_code)] // Shared with the lab's own tests.
mod calls;
#[path = "lab/world.rs"]
#[allow(dead_code)] // Shared with the lab's own tests.
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backstay_cluster::{Access, Region};
use backstay_pair::Pair;
use backstay_pair::Side::{Primary, Secondary};
use backstay_retry::Deadline;
use backstay_verify::{Check, Finding, Outcome, POLICY, keeps_from_failover, readiness};
use serde_json::Value;

use calls::{SUBSCRIPTION, azure, ingest};
use world::{Logs, World, no_kubectl};

const STANDBY: &str = "kubectl --context aks-secondary -n logging";
/// What opens the primary's bucket.
const KEYS: &str = "secret logscale-primary-storage";
/// What is waited for comes, unless something hangs.
const HANG: Duration = Duration::from_secs(180);

/// The lab, and all that `verify` has printed.
struct Stage {
    world: World,
    printed: RefCell<String>,
}

/// How it has ended.
struct Verified {
    code: i32,
    out: String,
}

impl Verified {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The checks that came out so, in the order of the lines.
    fn checks(&self, mark: &str) -> Vec<&str> {
        let lines = self.out.lines().filter_map(|it| it.strip_prefix(mark));
        lines
            .filter_map(|it| it.split_whitespace().next())
            .collect()
    }
}

impl Stage {
    fn verify(&self, arguments: &[&str]) -> Verified {
        let place = self.world.place();
        let output = Command::new(env!("CARGO_BIN_EXE_backstay"))
            .arg("verify")
            .args(arguments)
            .env("KUBECONFIG", place.kubeconfig())
            .env("BACKSTAY_PAIR", place.pair())
            .env("BACKSTAY_AZURE_TOKEN_FILE", place.arm_token())
            .env("BACKSTAY_LOG", "debug")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let mut printed = self.printed.borrow_mut();
        printed.push_str(&out);
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        Verified {
            code: output.status.code().unwrap(),
            out,
        }
    }

    /// Until it comes out as wanted: a loaded machine may not answer in time at first.
    fn until(&self, arguments: &[&str], wanted: impl Fn(&Verified) -> bool) -> Verified {
        let start = Instant::now();
        loop {
            let verified = self.verify(arguments);
            if wanted(&verified) {
                return verified;
            }
            assert!(
                start.elapsed() < HANG,
                "{}: {}",
                verified.code,
                verified.out
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn is_able(&self) {
        self.until(&[], |it| it.code == 0);
    }

    /// While the fault is there, exactly this check fails, and in the first line.
    fn fails(&self, check: &str, says: &str, arguments: &[&str]) {
        let verified = self.until(arguments, |it| it.checks("✖") == [check]);
        assert_eq!(verified.code, 3, "{}", verified.out);
        let first = verified.out.lines().next().unwrap();
        assert!(first.starts_with(&format!("✖ {check}")), "{first}");
        assert!(first.contains(says), "{first}");
    }

    fn patch(&self, what: &str, kind: &str, patch: &str) {
        self.world.shell(&format!(
            "{STANDBY} patch {what} --type={kind} -p '{patch}'"
        ));
    }

    /// The key of the primary's bucket as the standby has it, in base64.
    fn key(&self) -> String {
        let path = "jsonpath='{.data.encryption-key}'";
        self.world.shell(&format!("{STANDBY} get {KEYS} -o {path}"))
    }

    fn set_key(&self, value: &str) {
        let patch = format!(r#"{{"data":{{"encryption-key":"{value}"}}}}"#);
        self.patch(KEYS, "merge", &patch);
    }

    fn bucket(&self) -> PathBuf {
        self.world.place().bucket(Primary)
    }

    /// The files of the primary's bucket below a folder, by name.
    fn objects(&self, below: &str) -> Vec<PathBuf> {
        let all = contents(&self.bucket()).into_keys();
        all.filter(|it| it.strip_prefix(self.bucket()).unwrap().starts_with(below))
            .collect()
    }

    /// What `watch` asks before a failover.
    fn readiness(&self) -> Vec<Finding> {
        let place = self.world.place();
        let pair = Pair::read(&place.pair(), []).unwrap();
        let access = Access::Kubeconfig {
            path: Some(place.kubeconfig()),
            context: pair.secondary.context.clone(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let region = Region::connect(&access, &pair.namespace, POLICY)
                .await
                .unwrap();
            readiness(&pair, &region, Deadline::after(HANG)).await
        })
    }

    /// What of it keeps from a failover.
    fn kept(&self) -> Vec<Check> {
        let findings = self.readiness();
        let kept = findings.iter().filter(|it| keeps_from_failover(it));
        kept.map(|it| it.check).collect()
    }
}

/// Every file below a folder with its content.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                all.insert(path, bytes);
            }
        }
    }
    all
}

#[test]
fn a_standby_is_able_and_each_fault_is_named() {
    if no_kubectl() {
        return;
    }
    let stage = Stage {
        world: World::up(Logs::Folders),
        printed: RefCell::default(),
    };
    let start = Instant::now();
    while stage.objects("segments").len() < 2 {
        ingest(&stage.world, Primary, "an event of the primary");
        assert!(start.elapsed() < HANG, "no segments come");
        std::thread::sleep(Duration::from_millis(200));
    }
    able(&stage);
    declared_wrongly(&stage);
    routed_wrongly(&stage);
    // From here on, nobody but `verify` touches the primary's bucket.
    stage.world.done(&["lab", "kill-region", "primary"]);
    without_the_primary(&stage);
    damaged(&stage);
    secrets_stay_secret(&stage);
    stage.world.down();
}

fn able(stage: &Stage) {
    stage.is_able();
    let json = stage.until(&["--output", "json", "--seed", "7"], |it| it.code == 0);
    let json = json.json();
    assert_eq!(json["able"], true);
    let findings = json["findings"].as_array().unwrap();
    // Nobody was called: that has to be asked for.
    let told = findings.iter().map(|it| it["check"].as_str().unwrap());
    let mut told: Vec<&str> = told.collect();
    told.sort_unstable();
    let quiet = Check::ALL.into_iter().filter(|it| *it != Check::AlertChain);
    let mut quiet: Vec<&str> = quiet.map(Check::as_str).collect();
    quiet.sort_unstable();
    assert_eq!(told, quiet, "{json:#}");
    assert!(findings.iter().all(|it| it["outcome"] == "ok"), "{json:#}");
    let figure = |name: &str| {
        json["figures"][name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {json:#}"))
    };
    assert!(figure("segments") >= 2.0);
    assert!(figure("segmentsRead") >= 2.0);
    assert!(figure("repositories") >= 1.0);
    assert!(figure("newestEventAgeSeconds") >= 0.0);
    assert!(figure("expectedRecoverySeconds") >= figure("loadSeconds"));
    let metrics = stage.until(&["--output", "prometheus"], |it| it.code == 0);
    for line in metrics.out.lines().filter(|it| !it.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("backstay_verify_"), "{line}");
        value.parse::<f64>().unwrap();
    }
    assert!(
        metrics.out.contains("\nbackstay_verify_able 1\n"),
        "{}",
        metrics.out
    );
    assert!(metrics.out.ends_with("# EOF\n"), "{}", metrics.out);
    let findings = stage.readiness();
    assert!(
        findings.iter().all(|it| it.outcome == Outcome::Ok),
        "{findings:?}"
    );
    // The standby's bucket is begun by its node, not by us.
    assert!(!stage.world.place().bucket(Secondary).exists());
    // No other command has metrics.
    let refused = stage
        .world
        .backstay(&["lab", "status", "--output", "prometheus"]);
    assert_eq!(refused.status.code(), Some(2));
}

fn declared_wrongly(stage: &Stage) {
    let (key, set) = (stage.key(), |value: &str| stage.set_key(value));
    set("");
    stage.fails(
        "secrets",
        "secret logscale-primary-storage, key encryption-key is empty",
        &[],
    );
    assert_eq!(stage.kept(), [Check::Secrets]);
    set(&key);

    let cluster = "humiocluster logscale";
    let environment = stage.world.shell(&format!(
        "{STANDBY} get {cluster} -o jsonpath='{{.spec.environmentVariables}}'"
    ));
    let all: Vec<Value> = serde_json::from_str(&environment).unwrap();
    let without =
        |name: &str| -> Vec<&Value> { all.iter().filter(|it| it["name"] != name).collect() };
    let set = |variables: &Value| {
        let patch = serde_json::json!({ "spec": { "environmentVariables": variables } });
        stage.patch(cluster, "merge", &patch.to_string());
    };
    let path = "LOCAL_RECOVER_FROM_PATH";
    set(&serde_json::json!(without(path)));
    stage.fails("environment", "LOCAL_RECOVER_FROM_PATH is missing", &[]);
    assert_eq!(stage.kept(), [Check::Environment]);
    set(&serde_json::json!(without("ENABLE_ALERTS")));
    stage.fails("environment", "ENABLE_ALERTS is missing", &[]);
    assert_eq!(stage.kept(), []);
    set(&serde_json::json!(all));

    stage.patch(cluster, "merge", r#"{"spec":{"nodeCount":0}}"#);
    stage.fails("nodes", "nodeCount is 0", &[]);
    assert_eq!(stage.kept(), [Check::Nodes]);
    stage.patch(
        cluster,
        "merge",
        r#"{"spec":{"nodeCount":1,"image":"backstay/node:other"}}"#,
    );
    stage.fails("versions", "backstay/node:other", &[]);
    stage.patch(
        cluster,
        "merge",
        r#"{"spec":{"image":"backstay/node:lab"}}"#,
    );
    stage.is_able();
}

fn routed_wrongly(stage: &Stage) {
    let world = &stage.world;
    let set = |of: &str, name: &str, version: &str, properties: &str| {
        let id = format!("{SUBSCRIPTION}/resourceGroups/{of}/providers/{name}");
        let body = format!(r#"{{"properties":{properties}}}"#);
        azure(world, "PATCH", &id, version, &body);
    };
    let profile = "Microsoft.Network/trafficmanagerprofiles/lab-logs";
    let endpoint = |properties: &str| {
        let name = format!("{profile}/externalEndpoints/secondary");
        set("lab-dr", &name, "2022-04-01", properties);
    };
    endpoint(r#"{"endpointStatus":"Disabled"}"#);
    stage.fails("endpoints", "endpoint secondary is disabled", &[]);
    endpoint(r#"{"endpointStatus":"Enabled","priority":7}"#);
    stage.fails(
        "endpoints",
        "endpoint secondary: priority 7 instead of 2",
        &[],
    );
    endpoint(r#"{"priority":2}"#);
    set(
        "lab-dr",
        profile,
        "2022-04-01",
        r#"{"dnsConfig":{"ttl":300}}"#,
    );
    stage.fails("traffic-manager", "TTL 300 instead of 1", &[]);
    set(
        "lab-dr",
        profile,
        "2022-04-01",
        r#"{"dnsConfig":{"ttl":1}}"#,
    );
    let alert = |enabled: bool| {
        let name = "Microsoft.Insights/metricAlerts/lab-dr-failover-alert";
        set(
            "lab-secondary",
            name,
            "2018-03-01",
            &format!(r#"{{"enabled":{enabled}}}"#),
        );
    };
    alert(false);
    stage.fails("alert", "lab-dr-failover-alert is disabled", &[]);
    alert(true);
    stage.is_able();
}

/// The disaster itself: the standby is no less able for it, and says what it cannot know.
fn without_the_primary(stage: &Stage) {
    let before = contents(&stage.bucket());
    let verified = stage.until(&[], |it| it.checks("?") == ["secrets-equal", "versions"]);
    assert_eq!(
        (verified.code, verified.checks("✖").len()),
        (0, 0),
        "{}",
        verified.out
    );
    let strict = stage.until(&["--strict"], |it| {
        it.checks("?") == ["secrets-equal", "versions"]
    });
    assert_eq!(strict.code, 3, "{}", strict.out);
    let deep = stage.until(&["--deep"], |it| it.code == 0);
    assert!(deep.out.contains(" read, all: "), "{}", deep.out);
    assert_eq!(stage.kept(), []);
    assert!(
        contents(&stage.bucket()) == before,
        "the primary's bucket was changed"
    );
    assert!(!stage.world.place().bucket(Secondary).exists());
}

/// What is wrong with the primary's bucket, or with the key to it.
fn damaged(stage: &Stage) {
    let before = contents(&stage.bucket());
    let (key, set) = (stage.key(), |value: &str| stage.set_key(value));
    // "another key"
    set("YW5vdGhlciBrZXk=");
    stage.fails("encryption-key", "encrypted with another key", &[]);
    assert_eq!(stage.kept(), [Check::EncryptionKey]);
    set(&key);

    let segment = stage.objects("segments").pop().unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let whole = &before[&segment];
    std::fs::remove_file(&segment).unwrap();
    stage.fails("segments", name, &[]);
    std::fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    stage.fails("segments", name, &[]);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&segment, &flipped).unwrap();
    stage.fails("segment-contents", name, &["--deep"]);
    std::fs::write(&segment, whole).unwrap();

    let snapshot = stage.objects("globalsnapshots").pop().unwrap();
    let whole = &before[&snapshot];
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&snapshot, &flipped).unwrap();
    stage.fails("snapshot", "global-snapshot.json", &[]);
    std::fs::write(&snapshot, whole).unwrap();

    let away = stage.bucket().with_extension("away");
    std::fs::rename(stage.bucket(), &away).unwrap();
    stage.fails("recovery-source", "does not exist", &[]);
    std::fs::rename(&away, stage.bucket()).unwrap();
    stage.is_able();
    assert!(
        contents(&stage.bucket()) == before,
        "the primary's bucket was changed"
    );
}

/// In nothing that was printed, with all of the log.
fn secrets_stay_secret(stage: &Stage) {
    let printed = stage.printed.borrow();
    let world = &stage.world;
    let mut secrets = vec![std::fs::read_to_string(world.place().arm_token()).unwrap()];
    let all = world.shell(&format!("{STANDBY} get secrets -o json"));
    let all: Value = serde_json::from_str(&all).unwrap();
    for secret in all["items"].as_array().unwrap() {
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            if key != "tls.crt" && key != "ca.crt" {
                secrets.push(value.as_str().unwrap().to_owned());
                let line = format!(
                    "echo '{}' | base64 -d | head -c 4096",
                    value.as_str().unwrap()
                );
                let plain = world.shell(&line);
                secrets.extend(plain.lines().map(str::to_owned));
            }
        }
    }
    let telling = secrets
        .iter()
        .map(|it| it.trim())
        .filter(|it| it.len() >= 12 && !it.starts_with("-----"));
    let mut looked_for = 0;
    for secret in telling {
        looked_for += 1;
        assert!(
            !printed.contains(secret),
            "a secret of {} bytes is in the output",
            secret.len()
        );
    }
    assert!(looked_for >= 4, "{looked_for} secrets");
}
