//! Commands as people type them, above all `kubectl`, with a kubeconfig; and kube-rs by the same
//! file.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// No command of a test takes longer unless something hangs.
pub const HANG_TIMEOUT: Duration = Duration::from_secs(60);

/// A shell whose home is a folder with a kubeconfig.
pub struct Shell {
    pub folder: PathBuf,
}

impl Shell {
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", &self.folder)
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
        let output = tokio::time::timeout(HANG_TIMEOUT, child.wait_with_output())
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

    /// `kubectl` that goes on until it is killed.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command("kubectl");
        command.args(arguments).stderr(Stdio::inherit());
        command.spawn().unwrap()
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

/// Lines of a command that does not end on its own, until one contains `wanted`.
pub async fn until(child: &mut Child, wanted: &str) -> Vec<String> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    let read = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let found = line.contains(wanted);
            seen.push(line);
            if found {
                return true;
            }
        }
        false
    };
    let found = tokio::time::timeout(HANG_TIMEOUT, read).await;
    assert_eq!(found, Ok(true), "{wanted:?} is not in {seen:#?}");
    // A closed pipe would end it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    seen
}

/// A client by way of the file that `kubectl` reads too.
pub async fn client_at(path: &Path) -> kube::Client {
    let config = kube::config::Kubeconfig::read_from(path).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options)
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Whether the test is to be [skipped](crate::skip), because `kubectl` is not installed.
pub fn no_kubectl() -> bool {
    let installed = crate::is_installed("kubectl", &["version", "--client"]);
    if !installed {
        crate::skip("kubectl is not installed");
    }
    !installed
}
