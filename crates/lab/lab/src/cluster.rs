//! The process of one region: its Kubernetes API, the controllers, and the agent that runs its
//! pods. `backstay lab region` is this and nothing else.
//!
//! Whoever started it reaches it by a socket in its folder, for what cannot be done from outside:
//! stopping all pods where they stand, and the contexts of the kubeconfig.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backstay_agent::{Agent, AgentError, AgentOptions, BackOff, Network, NetworkError, Runtime};
use backstay_kubeapi::{
    Context, Kubeconfig, KubeconfigError, PodRuntime, Role, Server, ServerOptions, StartError,
};
use backstay_operators::controllers::{self, ControllerOptions};
use backstay_pair::Side;
use tokio_util::sync::CancellationToken;

use crate::control::{Control, ControlError};
use crate::place::Place;

/// What a region of the lab is asked.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The contexts of the kubeconfig.
    Contexts,
    /// Stop all pods where they stand.
    Freeze,
    /// Let them go on.
    Thaw,
    /// The process groups of all pods.
    Groups,
}

/// What a region's process answers to a [`Request`].
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done; there is nothing to answer.
    Done,
    /// A way into its API, as its admin.
    Context(Way),
    /// The process groups of the region's pods.
    Groups(Vec<i32>),
}

/// A way into a region's API.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Way {
    authority_pem: String,
    token: String,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

impl Way {
    /// As a context of a kubeconfig, by the fault proxy that the world has to go through.
    pub fn context(&self, place: &Place, side: Side) -> Context {
        Context {
            name: crate::place::context(side).to_owned(),
            server: format!("https://{}", place.api_proxy(side)),
            authority_pem: self.authority_pem.clone(),
            user: Role::ADMIN.name.to_owned(),
            token: self.token.clone(),
            namespace: NAMESPACE.to_owned(),
        }
    }
}

/// Where commands go that name no namespace.
const NAMESPACE: &str = "logging";

/// Roles and the service accounts of the pods that have them.
const ACCOUNTS: [(&str, Role); 3] = [
    (backstay_pair::HUMIO_OPERATOR, Role::OPERATOR),
    (backstay_pair::STRIMZI_OPERATOR, Role::OPERATOR),
    (backstay_pair::INGRESS_CONTROLLER, Role::INGRESS),
];

/// The image of a node.
const NODE: &str = "backstay/node";

/// What humio-operator divides by it: a `minReadySeconds` of 120 is two seconds in a lab.
const HURRY: &str = "--hurry=60";

/// What each image stands for: a command of this program.
const IMAGES: [(&str, &[&str]); 5] = [
    (NODE, &["node", "--exit-with-parent"]),
    (
        "backstay/humio-operator",
        &["lab", "operator", "humio", HURRY],
    ),
    ("backstay/strimzi-operator", &["lab", "operator", "strimzi"]),
    ("backstay/ingress", &["lab", "ingress"]),
    ("backstay/kafka", &["lab", "pause"]),
];

/// Why a region does not run.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Its API server did not start.
    #[error(transparent)]
    Server(#[from] StartError),
    /// Its node agent did not start.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The network of its pods: a fault of this crate.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A kubeconfig of a pod.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// A folder could not be made.
    #[error("cannot make {path}: {source}")]
    Folder {
        /// The folder that could not be made.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// A client of its own API.
    #[error("no client of the region's own API: {0}")]
    Client(#[source] ConnectError),
    /// The region's control socket failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A role is missing: a fault of this crate.
    #[error("the region's API has no role {0}")]
    Role(&'static str),
}

/// Where a region is asked.
pub fn socket(place: &Place, side: Side) -> PathBuf {
    place.region(side).join("region.sock")
}

/// Runs a region until `stop` resolves. `region` is Azure's name of it, for the labels of nodes;
/// `node` is what its pods run as nodes, where that is another program.
///
/// # Errors
/// When a part of it cannot be started.
pub async fn run(
    place: &Place,
    side: Side,
    region: String,
    program: &Path,
    node: Option<&Path>,
    stop: impl Future<Output = ()>,
) -> Result<(), ClusterError> {
    let folder = place.region(side);
    let accounts = folder.join("accounts");
    std::fs::create_dir_all(&accounts).map_err(|source| ClusterError::Folder {
        path: accounts.clone(),
        source,
    })?;
    let kubeconfig = |account: &str| accounts.join(account);
    let options = agent_options(place, side, program, node, &kubeconfig)?;
    let runtime = Runtime::new(&options)?;

    let pods: Arc<dyn PodRuntime> = runtime.clone();
    let mut server_options = ServerOptions::new(folder.join("api"), pods);
    server_options.listen = place.api(side);
    let server = Server::start(server_options).await?;
    for (account, role) in ACCOUNTS {
        let context = context(&server, side, role)?;
        let contexts = vec![context];
        Kubeconfig { contexts }.write(&kubeconfig(account))?;
    }
    let admin = context(&server, side, Role::ADMIN)?;
    let own = kubeconfig(Role::ADMIN.name);
    let contexts = vec![admin.clone()];
    Kubeconfig { contexts }.write(&own)?;
    let client = client(&own, None).await.map_err(ClusterError::Client)?;

    let ending = CancellationToken::new();
    let agent = Agent::start(client.clone(), Arc::clone(&runtime), options)?;
    let controller_options = ControllerOptions {
        region,
        default_pool: "lssystem".to_owned(),
        ..ControllerOptions::default()
    };
    let controlling = tokio::spawn(controllers::run(client, controller_options, ending.clone()));
    let way = Way {
        authority_pem: admin.authority_pem,
        token: admin.token,
    };
    let control = Control::serve(&socket(place, side), move |request: Request| {
        let (runtime, way) = (Arc::clone(&runtime), way.clone());
        async move { Ok(answer(&runtime, way, request)) }
    })?;
    tracing::info!(%side, api = %place.api(side), "region runs");
    stop.await;
    drop(control);
    ending.cancel();
    // It was cancelled, and has nothing to say.
    let _ = controlling.await;
    agent.stop().await;
    server.stop().await;
    Ok(())
}

fn answer(runtime: &Runtime, way: Way, request: Request) -> Answer {
    match request {
        Request::Contexts => Answer::Context(way),
        Request::Groups => Answer::Groups(runtime.groups()),
        Request::Freeze => {
            runtime.freeze_all();
            Answer::Done
        }
        Request::Thaw => {
            runtime.thaw_all();
            Answer::Done
        }
    }
}

fn agent_options(
    place: &Place,
    side: Side,
    program: &Path,
    node: Option<&Path>,
    kubeconfig: &dyn Fn(&str) -> PathBuf,
) -> Result<AgentOptions, ClusterError> {
    let [a, b, c] = place.pods(side);
    let network: Network = format!("{a}.{b}.{c}.0/24").parse()?;
    let images = IMAGES.map(|(image, arguments)| {
        let other = node.filter(|_| image == NODE);
        let mut command = vec![other.unwrap_or(program).display().to_string()];
        command.extend(arguments.iter().map(ToString::to_string));
        (image.to_owned(), command)
    });
    let kubeconfigs: BTreeMap<String, PathBuf> = ACCOUNTS
        .map(|(account, _)| (account.to_owned(), kubeconfig(account)))
        .into();
    Ok(AgentOptions {
        images: images.into(),
        kubeconfigs,
        // A lab is in a hurry.
        back_off: BackOff {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            ..BackOff::KUBELET
        },
        ..AgentOptions::new(place.region(side).join("agent"), network)
    })
}

fn context(server: &Server, side: Side, role: Role) -> Result<Context, ClusterError> {
    server
        .context(crate::place::context(side), role.name, NAMESPACE)
        .ok_or(ClusterError::Role(role.name))
}

/// Why a kubeconfig makes no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file, or the context in it.
    #[error(transparent)]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// What the kubeconfig says makes no client, for example its certificates.
    #[error(transparent)]
    Client(#[from] kube::Error),
}

/// A client by way of a kubeconfig, as `kubectl` has it.
///
/// # Errors
/// When the file cannot be read or makes no client.
pub async fn client(
    kubeconfig: &Path,
    context: Option<&str>,
) -> Result<kube::Client, ConnectError> {
    let read = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let options = kube::config::KubeConfigOptions {
        context: context.map(str::to_owned),
        ..Default::default()
    };
    let config = kube::Config::from_custom_kubeconfig(read, &options).await?;
    Ok(kube::Client::try_from(config)?)
}
