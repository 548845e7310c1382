//! A traffic manager in a process of its own, which is killed and stopped.
//!
//! The process is this test program again, told by a variable to be a server.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backstay_traffic::{Addresses, TrafficManager};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoint::{Fake, Way};
use crate::server::{Api, GROUP, TEST_TIMEOUT, config, profile};

const FOLDER: &str = "BACKSTAY_TRAFFIC_TEST_CHILD";

/// Not a test: what the child process runs.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    // It must not outlive its parent, however that ends.
    std::thread::spawn(|| {
        let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        std::process::exit(1);
    });
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let manager = TrafficManager::start(config(folder)).await.unwrap();
        let addresses = serde_json::to_vec(manager.addresses()).unwrap();
        std::fs::write(folder.join("addresses.new"), addresses).unwrap();
        std::fs::rename(folder.join("addresses.new"), folder.join("addresses")).unwrap();
        manager.run_until_signal().await.unwrap();
    });
}

pub struct Process {
    child: Child,
    pub api: Api,
}

impl Process {
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    /// With these variables besides.
    pub async fn start_with(folder: &Path, variables: &[(&str, &Path)]) -> Self {
        let told = folder.join("addresses");
        let _ = std::fs::remove_file(&told);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(FOLDER, folder)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !told.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it did not start");
            assert!(begun.elapsed() < TEST_TIMEOUT, "it does not start");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let told: Value = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        let dns = told["dns"].as_array().unwrap().iter();
        let api = Api::of(Addresses {
            dns: dns
                .map(|it| it.as_str().unwrap().parse().unwrap())
                .collect(),
            arm: text("arm"),
            observe: text("observe"),
            zone: text("zone"),
            token_file: text("token_file").into(),
        });
        Self { child, api }
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(id, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Killed at any moment, it comes back with what it has acknowledged, or with that and the one
/// change that was under way; never with less, never with half. `BACKSTAY_KILLS` says how often.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_every_kill() {
    let kills: u32 = std::env::var("BACKSTAY_KILLS").map_or(200, |it| it.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let body = |ttl: u32| {
        let mut body = profile("logs", 9, 3, &[("e", "127.0.0.2")]);
        body["properties"]["dnsConfig"]["ttl"] = json!(ttl);
        body["tags"] = json!({ "filler": "x".repeat(20_000), "ttl": ttl.to_string() });
        body
    };
    let path = format!("{GROUP}/p");
    let (mut acknowledged, mut sent) = (0, 0);
    let mut cut_short = 0;
    for round in 0..kills {
        let process = Process::start(folder.path()).await;
        let (status, found) = process.api.ask(Method::GET, &path, None).await;
        if acknowledged > 0 || status.is_success() {
            assert_eq!(status, 200, "round {round}: the profile is gone");
            let ttl = found["properties"]["dnsConfig"]["ttl"].as_u64().unwrap();
            let ttl = u32::try_from(ttl).unwrap();
            assert!(
                (acknowledged..=sent).contains(&ttl),
                "round {round}: {ttl} was found, {acknowledged} acknowledged, {sent} sent"
            );
            // Both parts of it are of one change.
            assert_eq!(found["tags"]["ttl"], ttl.to_string());
            acknowledged = ttl;
            sent = ttl;
        }
        let pid = process.child.id();
        let after = Duration::from_micros(rand::random_range(0..30_000));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(after);
            let id = Pid::from_raw(i32::try_from(pid).unwrap());
            kill(id, Signal::SIGKILL).unwrap();
        });
        loop {
            sent += 1;
            match process
                .api
                .try_ask(Method::PUT, &path, Some(body(sent)))
                .await
            {
                Ok((status, answer)) => {
                    assert!(status.is_success(), "{status} {answer}");
                    acknowledged = sent;
                }
                Err(_) => {
                    cut_short += 1;
                    break;
                }
            }
        }
        killer.join().unwrap();
    }
    println!("{kills} kills, {acknowledged} changes acknowledged, {cut_short} cut short");
    assert!(acknowledged > 0);
}

/// The process is stopped for longer than any timeout while probes are under way, and goes on: an
/// endpoint that was healthy all the time is never said to be dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_jump_of_the_clock_is_no_failure_of_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path()).await;
    let fake = Fake::at("127.0.0.2", 0, Way::Slow(400)).await;
    process
        .api
        .put("p", profile("logs", fake.port(), 0, &[("e", "127.0.0.2")]))
        .await;
    process.api.until_status("p", &["Online"]).await;
    for _ in 0..3 {
        process.signal(Signal::SIGSTOP);
        tokio::time::sleep(Duration::from_secs(3)).await;
        process.signal(Signal::SIGCONT);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    let metrics = process.api.see("/metrics").await;
    assert!(
        metrics.contains("backstay_traffic_endpoints{status=\"Online\"} 1"),
        "{metrics}"
    );
    // Checking, then online, and nothing since.
    let last: Value = serde_json::from_str(&process.api.see("/status").await).unwrap();
    let changes = metrics
        .lines()
        .find(|it| it.starts_with("backstay_traffic_status_changes_total"));
    assert_eq!(
        changes.unwrap(),
        "backstay_traffic_status_changes_total 2",
        "{last}"
    );
}
