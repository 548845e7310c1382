//! A region for tests: a server, a node agent that runs pods as processes of this machine, a
//! kubeconfig, and `kubectl`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use backstay_kubeapi::{Kubeconfig, Server, ServerOptions};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::agent::Agent;
use crate::processes::Processes;

/// No command of a test takes longer unless something hangs.
pub const HANG: Duration = Duration::from_secs(60);

pub struct Region {
    pub server: Server,
    pub agent: Agent,
    folder: TempDir,
}

impl Region {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        let folder = TempDir::new().unwrap();
        let processes = Arc::new(Processes::new(folder.path().join("pods")));
        let mut options = ServerOptions::new(folder.path().join("api"), processes.clone());
        change(&mut options);
        let server = Server::start(options).await.unwrap();
        let region = Self {
            agent: Agent::start(client(&server, "admin").await, processes),
            server,
            folder,
        };
        let contexts = vec![
            region.context("aks-secondary", "admin"),
            region.context("operator", "operator"),
            region.context("function", "dr-function"),
        ];
        Kubeconfig { contexts }.write(&region.kubeconfig()).unwrap();
        region
    }

    fn context(&self, name: &str, role: &str) -> backstay_kubeapi::Context {
        self.server.context(name, role, "logging").unwrap()
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn client(&self) -> kube::Client {
        client(&self.server, "admin").await
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.folder.path())
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a line of shell, as the runbook has it.
    pub async fn shell(&self, line: &str) -> Ran {
        self.run(line, None).await
    }

    async fn run(&self, line: &str, input: Option<&str>) -> Ran {
        let mut command = self.command("bash");
        command.args(["-c", line]);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        if let Some(input) = input {
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input.as_bytes()).await.unwrap();
        }
        let output = tokio::time::timeout(HANG, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("hangs: {line}"))
            .unwrap();
        Ran {
            line: line.to_owned(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// `kubectl` with these arguments; must succeed. Answers with what it prints.
    pub async fn kubectl(&self, arguments: &str) -> String {
        self.shell(&format!("kubectl {arguments}")).await.ok()
    }

    /// `kubectl apply`, or another command that reads a document from its input.
    pub async fn kubectl_with(&self, arguments: &str, document: &str) -> String {
        self.run(&format!("kubectl {arguments}"), Some(document))
            .await
            .ok()
    }

    /// `kubectl` that must fail; answers with what it complains.
    pub async fn refused(&self, arguments: &str) -> String {
        let ran = self.shell(&format!("kubectl {arguments}")).await;
        assert_ne!(ran.code, Some(0), "{}: {}", ran.line, ran.out);
        ran.err
    }

    pub async fn stop(self) {
        self.agent.stop().await;
        self.server.stop().await;
    }
}

/// What a command printed.
#[derive(Debug)]
pub struct Ran {
    pub line: String,
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

impl Ran {
    pub fn ok(self) -> String {
        assert_eq!(
            self.code,
            Some(0),
            "{}\n{}\n{}",
            self.line,
            self.out,
            self.err
        );
        self.out
    }
}

pub async fn client(server: &Server, role: &str) -> kube::Client {
    let context = server.context("test", role, "logging").unwrap();
    client_of(&Kubeconfig {
        contexts: vec![context],
    })
    .await
}

/// A client by way of the file that `kubectl` reads too.
pub async fn client_of(kubeconfig: &Kubeconfig) -> kube::Client {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("kubeconfig");
    kubeconfig.write(&path).unwrap();
    client_at(&path).await
}

pub async fn client_at(path: &Path) -> kube::Client {
    let config = kube::config::Kubeconfig::read_from(path).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options)
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Whether the test is to be left out, because `kubectl` is not here. On CI that is a failure.
pub fn no_kubectl() -> bool {
    let here = std::process::Command::new("kubectl")
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !here {
        assert!(
            std::env::var("CI").is_err(),
            "kubectl is missing, and this is CI, where no test may be left out"
        );
        eprintln!("left out: kubectl is not installed");
    }
    !here
}
