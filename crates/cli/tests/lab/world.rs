//! A lab of its own for each test, which is gone afterwards.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use backstay_lab::place::{Claim, Place};
use backstay_lab::region::Azurite;
use backstay_lab::up::sweep::processes;
use serde_json::Value;
use tempfile::TempDir;

/// No step of a test takes longer unless something hangs.
const HANG: Duration = Duration::from_secs(180);

pub struct World {
    folder: TempDir,
    place: Place,
    _claim: Claim,
}

/// Where a lab's logs are.
#[derive(Clone, Copy)]
pub enum Logs<'a> {
    Folders,
    /// In the Azurite of the tests.
    In(&'a Azurite),
    /// In an Azurite that the lab runs itself.
    OfItsOwn,
}

impl World {
    /// A lab that is up.
    pub fn up(logs: Logs<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (place, claim) = Place::with_any_block(folder.path().join("lab")).unwrap();
        let world = Self {
            folder,
            place,
            _claim: claim,
        };
        world.start(logs);
        world
    }

    pub fn start(&self, logs: Logs<'_>) {
        let store = match logs {
            Logs::Folders => Some("--folders".to_owned()),
            Logs::In(azurite) => Some(format!("--azurite={}", azurite.url())),
            Logs::OfItsOwn => None,
        };
        let net = format!("--net={}", self.place.block);
        let mut up = vec!["lab", "up", "--detach", &net];
        up.extend(store.as_deref());
        let up = self.backstay(&up);
        assert!(up.status.success(), "{}", both(&up));
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn lab(&self) -> PathBuf {
        self.folder.path().join("lab")
    }

    pub fn backstay(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_backstay"))
            .args(arguments)
            .env("BACKSTAY_LAB_DIR", self.lab())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A command that must succeed; answers with what it prints.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.backstay(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", both(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.done(&["lab", "status", "--output", "json"])).unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-o", "pipefail", "-c", line])
            .env("KUBECONFIG", self.place.kubeconfig())
            .env("HOME", self.folder.path())
            // What the manual writes into the folder where it is typed.
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// A line of shell, as the runbook has it, that must succeed.
    pub fn shell(&self, line: &str) -> String {
        let limited = format!(
            "timeout {} bash -o pipefail -c {}",
            HANG.as_secs(),
            quoted(line)
        );
        let output = self.command(&limited).output().unwrap();
        assert!(output.status.success(), "{line}: {}", both(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same again and again until it succeeds and prints something that is wanted.
    pub fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let output = self
                .command(&format!("timeout 30 bash -c {}", quoted(line)))
                .output();
            let output = output.unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && wanted(&text) {
                return text;
            }
            assert!(start.elapsed() < HANG, "{line}: {}", both(&output));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until `lab status` shows what is wanted.
    pub fn until_status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(start.elapsed() < HANG, "{status:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The token of a region's administrator.
    pub fn admin_token(&self, side: backstay_pair::Side) -> String {
        let context = backstay_lab::place::context(side);
        let token = self.shell(&format!(
            "kubectl --context {context} -n logging get secret logscale-admin-token -o jsonpath='{{.data.token}}' | base64 -d"
        ));
        token.trim().to_owned()
    }

    /// Where an HTTP request to the global name ends up in a region, past DNS.
    pub fn ask(&self, side: backstay_pair::Side, path: &str, more: &str) -> String {
        let [_, https] = self.place.ingress_proxies(side);
        let name = "logs.trafficmanager.net";
        format!(
            "curl -sk --max-time 5 --resolve {name}:{port}:{ip} {more} https://{name}:{port}{path}",
            port = https.port(),
            ip = https.ip(),
        )
    }

    /// The process that holds it.
    pub fn supervisor(&self) -> u32 {
        let lock = std::fs::read_to_string(self.lab().join("lock")).unwrap();
        lock.trim().parse().unwrap()
    }

    /// Ends it and makes sure that nothing of it is left.
    pub fn down(self) {
        self.done(&["lab", "down"]);
        let left = processes(&self.lab());
        assert!(left.is_empty(), "left behind: {left:?}");
        self.done(&["lab", "down", "--purge"]);
        assert!(!self.lab().exists());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.lab().exists() {
            let logs = self.lab().join("logs");
            for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
                let tail = backstay_lab::child::log_tail(&entry.path(), 15);
                eprintln!("{}:\n{tail}", entry.path().display());
            }
            self.backstay(&["lab", "down", "--purge"]);
        }
    }
}

fn quoted(line: &str) -> String {
    format!("'{}'", line.replace('\'', r"'\''"))
}

pub fn both(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A region in `lab status`.
pub fn region(status: &Value, side: backstay_pair::Side) -> &Value {
    let regions = status["regions"].as_array().unwrap();
    let found = regions.iter().find(|it| it["side"] == side.as_str());
    found.unwrap()
}

/// Whether the test is to be skipped, because a program is not installed.
pub fn no(program: &str, version: &[&str]) -> bool {
    let installed = backstay_testkit::is_installed(program, version);
    if !installed {
        backstay_testkit::skip(&format!("{program} is not installed"));
    }
    !installed
}

pub fn no_kubectl() -> bool {
    no("kubectl", &["version", "--client"])
}
