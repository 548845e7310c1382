//! A region for tests: a server, a node agent of the test's own, a kubeconfig, and `kubectl`.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstay_kubeapi::{Context, Kubeconfig, PodRuntime, Server, ServerOptions};
use tempfile::TempDir;

use super::shell::{Shell, client_at};

/// Whoever lets pods come and go in a test.
pub trait NodeAgent: Sized {
    /// What looks into its pods.
    type Runtime: PodRuntime;

    /// A runtime whose files are in this folder.
    fn runtime(folder: PathBuf) -> Self::Runtime;
    fn start(client: kube::Client, runtime: Arc<Self::Runtime>) -> Self;
    fn stop(self) -> impl Future<Output = ()> + Send;
}

pub struct Region<A> {
    pub server: Server,
    pub agent: A,
    shell: Shell,
    folder: TempDir,
}

impl<A> Deref for Region<A> {
    type Target = Shell;

    fn deref(&self) -> &Shell {
        &self.shell
    }
}

impl<A: NodeAgent> Region<A> {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        let folder = TempDir::new().unwrap();
        let processes = Arc::new(A::runtime(folder.path().join("pods")));
        let mut options = ServerOptions::new(folder.path().join("api"), processes.clone());
        change(&mut options);
        let server = Server::start(options).await.unwrap();
        let region = Self {
            agent: A::start(client(&server, "admin").await, processes),
            server,
            shell: Shell {
                folder: folder.path().to_owned(),
            },
            folder,
        };
        let contexts = vec![
            region.context("aks-secondary", "admin"),
            region.context("operator", "operator"),
            region.context("function", "dr-function"),
            region.context("ingress", "ingress"),
        ];
        Kubeconfig { contexts }.write(&region.kubeconfig()).unwrap();
        region
    }

    fn context(&self, name: &str, role: &str) -> Context {
        self.server.context(name, role, "logging").unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn client(&self) -> kube::Client {
        client(&self.server, "admin").await
    }

    pub async fn stop(self) {
        self.agent.stop().await;
        self.server.stop().await;
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
