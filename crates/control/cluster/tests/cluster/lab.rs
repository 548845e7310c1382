//! A region: its API server, and what its controllers and nodes would do, by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backstay_cluster::{Access, ClusterError, Region};
use backstay_kubeapi::{
    Attachment, ByteStream, ExecRequest, Kubeconfig, LogOptions, PodName, PodRuntime, Role,
    RuntimeError, Server, ServerOptions, StartError,
};
use backstay_retry::{Deadline, Policy};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Nothing here takes so long, unless it hangs.
pub const HANG: Duration = Duration::from_secs(120);

pub const QUICK: Policy = Policy {
    first: Duration::from_millis(20),
    longest: Duration::from_millis(200),
    jitter: 0.25,
    attempt: Duration::from_secs(20),
};

pub fn deadline() -> Deadline {
    Deadline::after(HANG)
}

/// Something that passes long before a test would wait for it.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(500))
}

/// Makes a call again and again until its error says this.
pub async fn until_said<T: std::fmt::Debug, F>(what: &str, mut call: impl FnMut() -> F)
where
    F: Future<Output = Result<T, ClusterError>>,
{
    let end = deadline();
    loop {
        let error = call().await.unwrap_err().to_string();
        if error.contains(what) {
            return;
        }
        assert!(!end.passed(), "{error}");
    }
}

/// Logs in memory, and ports on the loopback address of this machine.
pub struct Logs {
    lines: watch::Sender<Vec<(Timestamp, String)>>,
}

impl Logs {
    pub fn write(&self, line: &str) {
        let line = (Timestamp::now(), line.to_owned());
        self.lines.send_modify(|lines| lines.push(line));
    }
}

#[async_trait]
impl PodRuntime for Logs {
    async fn logs(
        &self,
        _: &PodName,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RuntimeError> {
        assert!(options.follow && options.timestamps);
        let since = options.since_seconds.map_or(0, |it| {
            Timestamp::now().as_second() - i64::try_from(it).unwrap() - 1
        });
        let lines = self.lines.subscribe();
        let stream = futures::stream::unfold((0, lines), move |(mut at, mut lines)| async move {
            loop {
                let next = lines.borrow_and_update().get(at).cloned();
                match next {
                    Some((moment, line)) => {
                        at += 1;
                        if moment.as_second() >= since {
                            let line = Bytes::from(format!("{moment} {line}\n"));
                            return Some((Ok(line), (at, lines)));
                        }
                    }
                    None => lines.changed().await.ok()?,
                }
            }
        });
        Ok(stream.boxed())
    }

    async fn exec(&self, _: &PodName, _: ExecRequest) -> Result<Attachment, RuntimeError> {
        Err(RuntimeError::Failed("not here".to_owned()))
    }

    async fn connect(&self, _: &PodName, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(RuntimeError::Failed(error.to_string())),
        }
    }
}

pub struct Lab {
    pub logs: Arc<Logs>,
    server: Mutex<Option<Server>>,
    address: Mutex<SocketAddr>,
    roles: Vec<Role>,
    folder: TempDir,
}

impl Lab {
    pub async fn start() -> Self {
        Self::with_roles(Vec::new()).await
    }

    /// With these roles beside the usual ones.
    pub async fn with_roles(more: Vec<Role>) -> Self {
        // An address of its own, so that no other test takes the port while the server is away.
        let [.., a, b, c] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, a | 0x40, b, c.clamp(1, 254));
        let mut roles = vec![Role::ADMIN, Role::OPERATOR, Role::DR_FUNCTION];
        roles.extend(more);
        let lab = Self {
            logs: Arc::new(Logs {
                lines: watch::Sender::new(Vec::new()),
            }),
            server: Mutex::default(),
            address: Mutex::new((address, 0).into()),
            roles,
            folder: TempDir::new().unwrap(),
        };
        lab.up().await;
        let namespace = json!({ "metadata": { "name": "logging" } });
        let kind = GroupVersionKind::gvk("", "v1", "Namespace");
        let namespaces: Api<DynamicObject> =
            Api::all_with(lab.admin().await, &ApiResource::from_gvk(&kind));
        namespaces
            .create(
                &PostParams::default(),
                &serde_json::from_value(namespace).unwrap(),
            )
            .await
            .unwrap();
        lab
    }

    /// Starts the server, at the address that it had before.
    pub async fn up(&self) {
        let server = loop {
            let folder = self.folder.path().join("api");
            let mut options = ServerOptions::new(folder, self.logs.clone());
            options.listen = *self.address.lock().unwrap();
            options.roles = self.roles.clone();
            match Server::start(options).await {
                Ok(server) => break server,
                // The last connections of the one before still hold its objects, or its port.
                Err(StartError::Store(_) | StartError::Listen { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        *self.address.lock().unwrap() = server.address();
        *self.server.lock().unwrap() = Some(server);
    }

    pub async fn down(&self) {
        let server = self.server.lock().unwrap().take();
        server.unwrap().stop().await;
    }

    pub async fn restart(&self) {
        self.down().await;
        self.up().await;
    }

    fn kubeconfig(&self, role: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(format!("{role}.kubeconfig"));
        let server = self.server.lock().unwrap();
        let context = server
            .as_ref()
            .unwrap()
            .context("aks-secondary", role, "logging");
        let contexts = vec![context.unwrap()];
        Kubeconfig { contexts }.write(&path).unwrap();
        path
    }

    pub async fn region(&self, role: &str) -> Region {
        let access = Access::Kubeconfig {
            path: Some(self.kubeconfig(role)),
            context: "aks-secondary".to_owned(),
        };
        Region::connect(&access, "logging", QUICK).await.unwrap()
    }

    pub async fn admin(&self) -> kube::Client {
        let config = kube::config::Kubeconfig::read_from(self.kubeconfig("admin")).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options)
            .await
            .unwrap();
        kube::Client::try_from(config).unwrap()
    }

    pub async fn api(&self, version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        Api::namespaced_with(self.admin().await, "logging", &ApiResource::from_gvk(&kind))
    }

    pub async fn make(&self, version: &str, kind: &str, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let api = self.api(version, kind).await;
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    pub async fn patch(&self, version: &str, kind: &str, name: &str, patch: Value) {
        let api = self.api(version, kind).await;
        let parameters = PatchParams::default();
        api.patch(name, &parameters, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// The standby's operator, at 0.
    pub async fn operator(&self) {
        let deployment = json!({
            "metadata": { "name": "humio-operator" },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": { "app": "humio-operator" } },
                "template": {
                    "metadata": { "labels": { "app": "humio-operator" } },
                    "spec": { "containers": [{ "name": "operator", "image": "backstay/humio-operator" }] },
                },
            },
        });
        self.make("apps/v1", "Deployment", deployment).await;
    }

    pub async fn pod(&self, name: &str) {
        let pod = json!({
            "metadata": { "name": name, "labels": { "app.kubernetes.io/name": "humio" } },
            "spec": { "nodeName": "node-1", "containers": [{ "name": "humio", "image": "backstay/node" }] },
        });
        self.make("v1", "Pod", pod).await;
    }

    pub async fn ready(&self, name: &str, ready: bool) {
        let api = self.api("v1", "Pod").await;
        let status = json!({ "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            "containerStatuses": [{
                "name": "humio", "ready": ready, "restartCount": 2, "image": "", "imageID": "",
                "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } },
            }],
        }});
        let parameters = PatchParams::default();
        api.patch_status(name, &parameters, &Patch::Merge(&status))
            .await
            .unwrap();
    }
}
