//! The control half as processes.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::World;

/// Nothing takes longer unless something hangs.
pub const HANG: Duration = Duration::from_secs(180);

/// The variable with the holdoff.
pub const HOLDOFF: &str = "BACKSTAY_PAIR__FAILOVER__PRE_FAILOVER_FAILURE_SECONDS";

/// Waits until something is so.
pub fn until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < HANG, "{what} has not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A command of the control half, with all that it needs to find this lab.
pub fn command(world: &World, arguments: &[&str]) -> Command {
    let lab = world.lab();
    let status = world.status();
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    command
        .args(arguments)
        .env("BACKSTAY_PAIR", lab.join("backstay.toml"))
        .env("BACKSTAY_AZURE_TOKEN_FILE", lab.join("arm-token.txt"))
        .env("KUBECONFIG", world.place().kubeconfig())
        .env("BACKSTAY_DNS", status["dns"].as_str().unwrap())
        .env(HOLDOFF, "0")
        // A machine that is busy with other tests is no dead primary.
        .env("BACKSTAY_PAIR__FAILOVER__PROBE_INTERVAL_SECONDS", "2")
        .env("BACKSTAY_PAIR__FAILOVER__PROBE_TIMEOUT_SECONDS", "2")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(world: &World, arguments: &[&str]) -> Output {
    command(world, arguments).output().unwrap()
}

/// A command's one JSON object, and how it ended.
pub fn json(world: &World, arguments: &[&str]) -> (Value, i32) {
    let mut all = arguments.to_vec();
    all.extend(["--output", "json"]);
    let output = run(world, &all);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        panic!("{arguments:?}: {error}: {said}")
    });
    (value, output.status.code().unwrap())
}

/// The same again and again, until it is as wanted.
pub fn until_json(world: &World, arguments: &[&str], wanted: impl Fn(&Value, i32) -> bool) {
    let start = Instant::now();
    loop {
        let (value, code) = json(world, arguments);
        if wanted(&value, code) {
            return;
        }
        assert!(start.elapsed() < HANG, "{arguments:?}: {code}: {value:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A `backstay watch`.
pub struct Watch {
    child: Child,
    url: String,
    webhook: Option<String>,
    log: PathBuf,
}

impl Watch {
    /// One that is told these variables besides.
    pub fn start(world: &World, name: &str, variables: &[(&str, &str)]) -> Self {
        Self::with(world, name, &[], variables)
    }

    /// And these flags.
    pub fn with(world: &World, name: &str, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let log = world.lab().join(format!("{name}.log"));
        let mut child = command(
            world,
            &["watch", "--listen", "127.0.0.1:0", "--output", "json"],
        )
        .args(flags)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: {line}: {}", read(&log)));
        let url = format!("http://{}", told["listen"].as_str().unwrap());
        let webhook = told["webhook"]
            .as_str()
            .map(|it| format!("http://{it}/api/alert"));
        Self {
            child,
            url,
            webhook,
            log,
        }
    }

    fn get(&self, path: &str) -> String {
        let output = Command::new("curl")
            // As Prometheus asks for metrics.
            .args(["-H", "Accept: application/openmetrics-text"])
            .args(["-s", "--max-time", "10", &format!("{}{path}", self.url)])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where it takes alerts.
    pub fn webhook(&self) -> &str {
        self.webhook.as_deref().unwrap()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// What everybody on its machine sees of it.
    pub fn command_line(&self) -> String {
        read(format!("/proc/{}/cmdline", self.child.id()).as_ref())
    }

    pub fn metrics(&self) -> String {
        self.get("/metrics")
    }

    /// Waits until it exports this line.
    pub fn until_metric(&self, line: &str) {
        let start = Instant::now();
        loop {
            let metrics = self.metrics();
            if metrics.lines().any(|it| it == line) {
                assert_eq!(metrics.matches("# EOF").count(), 1, "{metrics}");
                return;
            }
            assert!(start.elapsed() < HANG, "{line}: {metrics}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What its last round saw.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status")).unwrap_or_default()
    }

    /// Waits until its status is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(
                start.elapsed() < HANG,
                "{what} has not come: {status:#}\n{}",
                read(&self.log)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it is in this state; and, where that is the last one, until it has seen all else
    /// too: one look may have missed something.
    pub fn until_state(&self, state: &str) -> Value {
        let known = |status: &Value| !status["term"].is_null() && !status["endpoint"].is_null();
        self.until(state, |status| {
            status["state"] == state && (state != "failed-over" || known(status))
        })
    }

    /// Ends it as an operator would.
    pub fn end(mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill").arg(&pid).status().unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "{}", read(&self.log));
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has killed itself, at the point that it was told.
    pub fn until_killed(mut self) {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait().unwrap() {
                assert_eq!(ended.signal(), Some(9), "{ended}: {}", read(&self.log));
                return;
            }
            assert!(start.elapsed() < HANG, "it lives: {}", read(&self.log));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many rounds it has taken.
    pub fn rounds(&self) -> u64 {
        let metrics = self.metrics();
        let mut lines = metrics.lines();
        let count = lines.find_map(|it| it.strip_prefix("backstay_failover_rounds_total "));
        count.map_or(0, |it| it.parse().unwrap())
    }

    /// Waits until it has taken so many more rounds; each status must be as wanted.
    pub fn rounds_pass(&self, count: u64, wanted: impl Fn(&Value) -> bool) {
        let until = self.rounds() + count;
        let start = Instant::now();
        while self.rounds() < until {
            let status = self.status();
            assert!(wanted(&status), "{status:#}\n{}", read(&self.log));
            assert!(start.elapsed() < HANG, "no rounds: {}", read(&self.log));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(log: &std::path::Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// The primary's endpoint, as the Resource Manager has it.
pub fn endpoint(world: &World) -> Value {
    serde_json::from_str(&arm(world, "GET", None)).unwrap()
}

/// A call about the primary's endpoint, as `az rest` would make it.
pub fn arm(world: &World, method: &str, body: Option<&str>) -> String {
    let path = "resourceGroups/lab-dr/providers/Microsoft.Network/trafficManagerProfiles/lab-logs/\
                externalEndpoints/primary";
    arm_at(world, method, path, "2022-04-01", body)
}

/// A call of the Resource Manager, as `az rest` would make it.
pub fn arm_at(
    world: &World,
    method: &str,
    path: &str,
    version: &str,
    body: Option<&str>,
) -> String {
    let status = world.status();
    let base = status["arm"]
        .as_str()
        .unwrap_or_else(|| panic!("{status:#}"));
    let data = body.map_or_else(String::new, |body| {
        format!("-H 'content-type: application/json' -d '{body}'")
    });
    world.shell(&format!(
        "curl -sf --max-time 10 -X {method} {data} -H \"authorization: bearer $(cat {token})\" \
         '{base}/subscriptions/00000000-0000-0000-0000-000000000000/{path}?api-version={version}'",
        token = world.lab().join("arm-token.txt").display(),
    ))
}
