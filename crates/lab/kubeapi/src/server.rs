//! The server: opened, listening, and stopped.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstay_listen::{Limits as Connections, Server as Listener, Tls, share_of_files};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Role};
use crate::http::{self, Api};
use crate::kubeconfig;
use crate::runtime::PodRuntime;
use crate::store::{Limits, Store, StoreError};
use crate::tls::{self, TlsError};

/// More connections than this wait until others end.
const MAX_CONNECTIONS: usize = 1024;
/// How long a handshake and the head of a request may take: what kube-apiserver gives them
/// (`ReadHeaderTimeout` in its `secure_serving.go`), as a whole region may connect at once.
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
/// Files that are not connections of clients: objects, and what is passed on to pods.
const OTHER_FILES: u64 = 256 + Listener::MORE_FILES;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store of objects could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates or tokens.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A definition of a kind is refused.
    #[error("the definition {name:?} cannot be installed: {problem}")]
    Definition {
        /// Its name, `humioclusters.core.humio.com`.
        name: String,
        /// What is wrong with it, in Kubernetes' words.
        problem: String,
    },
    /// The address could not be bound.
    #[error("cannot listen on {address}: {source}; stop what listens there, or choose another")]
    Listen {
        /// The address that could not be bound.
        address: SocketAddr,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
}

/// Where the API server listens, keeps its data, and whom it knows.
pub struct ServerOptions {
    /// Where to listen. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The folder for objects, certificates and tokens; made where it is missing.
    pub folder: PathBuf,
    /// Who may come in.
    pub roles: Vec<Role>,
    /// What runs the pods.
    pub runtime: Arc<dyn PodRuntime>,
    /// How many changes of each kind watches can look back on.
    pub history: usize,
    /// The most bytes of JSON that all objects together may take.
    pub max_bytes: u64,
    /// CustomResourceDefinitions that are there from the start, as [`crds`](crate::crds) has them.
    /// One that is there already is changed to what it is here.
    pub definitions: Vec<Value>,
}

impl ServerOptions {
    /// On any free loopback port, with the roles admin, operator, dr-function, failover, ingress, and
    /// those of the runbook.
    pub fn new(folder: PathBuf, runtime: Arc<dyn PodRuntime>) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            folder,
            roles: vec![
                Role::ADMIN,
                Role::OPERATOR,
                Role::DR_FUNCTION,
                Role::FAILOVER,
                Role::INGRESS,
                Role::RUNBOOK_PRIMARY,
                Role::RUNBOOK_INGRESS,
                Role::RUNBOOK_SECONDARY,
            ],
            runtime,
            history: 8192,
            max_bytes: 256 << 20,
            definitions: Vec::new(),
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("listen", &self.listen)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A running Kubernetes API server.
pub struct Server {
    address: SocketAddr,
    access: Access,
    authority_pem: String,
    stopping: CancellationToken,
    serving: JoinHandle<()>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the objects in the folder and listens. Namespaces `default` and `kube-system` are
    /// made where they are missing.
    ///
    /// # Errors
    /// When the folder cannot be used, or the address.
    pub async fn start(options: ServerOptions) -> Result<Self, StartError> {
        let limits = Limits {
            bytes: options.max_bytes,
            changes: options.history.max(1),
        };
        let store = Store::open(&options.folder, limits)?;
        let access = Access::in_folder(&options.folder, &options.roles)?;
        let certificates = tls::certificates(&options.folder, options.listen.ip())?;
        let failed = |source| StartError::Listen {
            address: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let stopping = CancellationToken::new();
        let api = Api::new(store, access.clone(), options.runtime, stopping.clone());
        api.make_namespaces(&["default", "kube-system"]).await;
        for definition in options.definitions {
            api.define(definition).await?;
        }
        tokio::spawn(http::expire(api.clone()));
        // All of a region may come from one address.
        let connections = share_of_files(MAX_CONNECTIONS, OTHER_FILES);
        let limits = Connections {
            connections,
            per_address: connections,
            handshake: HEADER_TIMEOUT,
            head: HEADER_TIMEOUT,
            ..Connections::default()
        };
        let server =
            Listener::new("kubernetes", limits).with_tls(Some(Tls::new(certificates.config)));
        let serving = tokio::spawn(server.serve(listener, http::router(api), stopping.clone()));
        Ok(Self {
            address,
            access,
            authority_pem: certificates.authority_pem,
            stopping,
            serving,
        })
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A context of a kubeconfig for a role, by its name. `None` where there is no such role.
    pub fn context(&self, name: &str, role: &str, namespace: &str) -> Option<kubeconfig::Context> {
        Some(kubeconfig::Context {
            name: name.to_owned(),
            server: format!("https://{}", self.address),
            authority_pem: self.authority_pem.clone(),
            user: role.to_owned(),
            token: self.access.token(role)?.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// Ends watches and connections, and listens no more.
    pub async fn stop(self) {
        self.stopping.cancel();
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the Kubernetes API has ended");
        }
    }
}
