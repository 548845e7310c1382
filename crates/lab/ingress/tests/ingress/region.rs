//! A Kubernetes API with a service, and who does for it what Kubernetes' controllers do: endpoints
//! of the pods that are ready and that the selector selects.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstay_kubeapi::{Kubeconfig, NoPods, Server, ServerOptions, StartError};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Pod as PodObject, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pod::Pod;

/// Nothing takes longer unless it hangs.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(90);
/// Between two attempts.
pub const RETRY_DELAY: Duration = Duration::from_millis(20);
const NAMESPACE: &str = "logging";

pub struct Region {
    server: Option<Server>,
    address: SocketAddr,
    admin: Client,
    pub ingress: Client,
    folder: TempDir,
    names: AtomicUsize,
}

impl Region {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let options = ServerOptions::new(folder.path().to_owned(), Arc::new(NoPods));
        let server = Server::start(options).await.unwrap();
        let region = Self {
            address: server.address(),
            admin: client(&server, "admin").await,
            ingress: client(&server, "ingress").await,
            server: Some(server),
            folder,
            names: AtomicUsize::new(0),
        };
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE },
        });
        let namespace: Namespace = serde_json::from_value(namespace).unwrap();
        Api::<Namespace>::all(region.admin.clone())
            .create(&Default::default(), &namespace)
            .await
            .unwrap();
        region
    }

    /// With one service `ui`, whose pods are labelled `app=ui`, for every host.
    pub async fn with_ui() -> Self {
        let region = Self::start().await;
        region.service("ui", "ui").await;
        region.ingress("ui", &[("", "/", "ui")]).await;
        region
    }

    /// The Kubernetes API goes away.
    pub async fn api_stops(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// And comes back where it was, with what it knew.
    pub async fn api_starts(&mut self) {
        let opening = async {
            loop {
                let mut options =
                    ServerOptions::new(self.folder.path().to_owned(), Arc::new(NoPods));
                options.listen = self.address;
                match Server::start(options).await {
                    Ok(server) => return server,
                    // The one before it has not closed its files yet.
                    Err(StartError::Store(_)) => tokio::time::sleep(RETRY_DELAY).await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let opened = tokio::time::timeout(TEST_TIMEOUT, opening).await;
        self.server = Some(opened.expect("it does not start"));
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.admin.clone(), NAMESPACE)
    }

    /// Makes the object be so.
    async fn apply<K>(&self, name: &str, object: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned,
    {
        let mut object = object;
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        object["metadata"]["name"] = json!(name);
        let parameters = PatchParams::apply("test").force();
        self.api::<K>()
            .patch(name, &parameters, &Patch::Apply(&object))
            .await
            .unwrap();
    }

    /// A service whose selector is `app=<selected>`.
    pub async fn service(&self, name: &str, selected: &str) {
        let spec = json!({
            "selector": { "app": selected },
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080 }],
        });
        self.apply::<Service>(name, json!({ "spec": spec })).await;
        self.settle().await;
    }

    /// An ingress with these hosts, prefixes and services.
    pub async fn ingress(&self, name: &str, rules: &[(&str, &str, &str)]) {
        self.ingress_with(name, rules, json!([])).await;
    }

    /// Its pods speak TLS, it says.
    pub async fn ingress_to_tls(&self, name: &str, rules: &[(&str, &str, &str)]) {
        self.ingress(name, rules).await;
        let protocol = json!({ "nginx.ingress.kubernetes.io/backend-protocol": "HTTPS" });
        let change = json!({ "metadata": { "annotations": protocol } });
        let api = self.api::<Ingress>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap();
    }

    pub async fn ingress_with(&self, name: &str, rules: &[(&str, &str, &str)], tls: Value) {
        let rules: Vec<Value> = rules
            .iter()
            .map(|(host, path, service)| {
                let backend = json!({ "service": { "name": service, "port": { "number": 80 } } });
                let path = json!({ "path": path, "pathType": "Prefix", "backend": backend });
                let mut rule = json!({ "http": { "paths": [path] } });
                if !host.is_empty() {
                    rule["host"] = json!(host);
                }
                rule
            })
            .collect();
        let spec = json!({ "ingressClassName": "nginx", "rules": rules, "tls": tls });
        self.apply::<Ingress>(name, json!({ "spec": spec })).await;
    }

    pub async fn secret(&self, name: &str, certificate: &str, key: &str) {
        let secret = json!({
            "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": certificate, "tls.key": key },
        });
        self.apply::<Secret>(name, secret).await;
    }

    /// A pod with the label `app`, ready. Its name is returned.
    pub async fn add(&self, app: &str, pod: &Pod) -> String {
        self.add_at(app, pod.address).await
    }

    /// A pod of which the address is all there is.
    pub async fn add_at(&self, app: &str, address: SocketAddr) -> String {
        assert_eq!(address.port(), 8080);
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let name = format!("{app}-{number}");
        let object = json!({
            "metadata": { "labels": { "app": app } },
            "spec": { "containers": [{ "name": "c", "image": "i" }], "nodeName": "n" },
        });
        self.apply::<PodObject>(&name, object).await;
        let status = json!({ "status": { "podIP": address.ip().to_string() } });
        self.patch_status(&name, &status).await;
        self.set_ready(&name, true).await;
        name
    }

    pub async fn set_ready(&self, pod: &str, ready: bool) {
        let ready = if ready { "True" } else { "False" };
        let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": ready }] } });
        self.patch_status(pod, &status).await;
        self.settle().await;
    }

    async fn patch_status(&self, pod: &str, status: &Value) {
        self.api::<PodObject>()
            .patch_status(pod, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// The pod is asked to end.
    pub async fn remove(&self, pod: &str) {
        let api = self.api::<PodObject>();
        api.delete(pod, &Default::default()).await.unwrap();
        self.settle().await;
    }

    /// The endpoints of every service, as the endpoints controller makes them.
    async fn settle(&self) {
        let services = self.api::<Service>().list(&ListParams::default()).await;
        for service in services.unwrap() {
            let selector = service.spec.as_ref().unwrap().selector.as_ref().unwrap();
            let labels = ListParams::default().labels(&format!("app={}", selector["app"]));
            let (mut ready, mut others) = (Vec::new(), Vec::new());
            for pod in self.api::<PodObject>().list(&labels).await.unwrap() {
                let Some(ip) = pod.status.as_ref().and_then(|it| it.pod_ip.clone()) else {
                    continue;
                };
                let is_ready = pod.metadata.deletion_timestamp.is_none()
                    && pod
                        .status
                        .iter()
                        .flat_map(|it| it.conditions.iter().flatten())
                        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
                let list = if is_ready { &mut ready } else { &mut others };
                list.push(json!({ "ip": ip }));
            }
            let subset = json!({
                "addresses": ready,
                "notReadyAddresses": others,
                "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
            });
            let name = service.name_any();
            let object = json!({ "subsets": [subset] });
            self.apply::<Endpoints>(&name, object).await;
        }
    }
}

async fn client(server: &Server, role: &str) -> Client {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("kubeconfig");
    let context = server.context("test", role, NAMESPACE).unwrap();
    let contexts = vec![context];
    Kubeconfig { contexts }.write(&path).unwrap();
    let file = kube::config::Kubeconfig::read_from(&path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}
