//! What the API server asks of whoever runs the pods.

use std::collections::{BTreeMap, HashMap};
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use backstay_kubeapi::{
    Attachment, ByteStream, ExecRequest, LogOptions, PodName, PodRuntime, RuntimeError,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::exec;
use crate::groups::Groups;
use crate::launch::Surroundings;
use crate::log::Log;
use crate::options::AgentOptions;

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The agent's folder could not be used.
    #[error("the agent cannot use {path}: {source}; name a folder that can be written")]
    Folder {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// Its path would be misread in a line of shell.
    #[error(
        "the agent's folder {0} may be of letters, digits and /._- only: its path stands for mount paths, also within lines of shell"
    )]
    Path(PathBuf),
    /// Another agent runs there.
    #[error("another agent uses {0}; stop it, or name another folder")]
    InUse(PathBuf),
    /// Probes cannot be made.
    #[error("no client for probes: {0}")]
    Probes(#[from] reqwest::Error),
}

/// The processes of pods, as the API server sees them. It is made before the server, and the
/// [`Agent`](crate::Agent) that fills it after.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) folder: PathBuf,
    pub(crate) groups: Arc<Groups>,
    pods: Mutex<HashMap<String, Arc<Places>>>,
    /// Held as long as this is.
    _lock: File,
}

impl Runtime {
    /// Takes the folder, and ends whatever an agent that was killed has left running.
    ///
    /// # Errors
    /// When the folder cannot be used, or another agent uses it.
    pub fn new(options: &AgentOptions) -> Result<Arc<Self>, AgentError> {
        let path = options.folder.clone();
        let failed = |source| AgentError::Folder {
            path: path.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(failed)?;
        let folder = path.canonicalize().map_err(failed)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !folder.to_str().is_some_and(|path| path.chars().all(plain)) {
            return Err(AgentError::Path(folder));
        }
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AgentError::InUse(folder)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let groups = Groups::open(&folder).map_err(failed)?;
        Ok(Arc::new(Self {
            folder,
            groups,
            pods: Mutex::default(),
            _lock: lock,
        }))
    }

    /// Stops all processes of all pods, also those that come to be (SIGSTOP). Nothing that is
    /// frozen is restarted for being unhealthy.
    pub fn freeze_all(&self) {
        self.groups.freeze(true);
    }

    /// Lets them go on (SIGCONT).
    pub fn thaw_all(&self) {
        self.groups.freeze(false);
    }

    /// The process groups of all pods: the ids of their leaders.
    pub fn groups(&self) -> Vec<i32> {
        self.groups.ids()
    }

    /// The folder of the pods'.
    pub(crate) fn pods_folder(&self) -> PathBuf {
        self.folder.join("pods")
    }

    pub(crate) fn places(&self, uid: &str) -> Arc<Places> {
        self.pods.lock().entry(uid.to_owned()).or_default().clone()
    }

    pub(crate) fn forget(&self, uid: &str) {
        self.pods.lock().remove(uid);
    }

    fn place<T>(&self, pod: &PodName, look: impl FnOnce(&Place) -> T) -> Option<T> {
        let places = self.pods.lock().get(&pod.uid).cloned()?;
        let containers = places.0.lock();
        containers.get(&pod.container).map(look)
    }
}

/// The containers of one pod.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeMap<String, Place>>);

/// One container, as far as others may reach into it.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// While it runs.
    surroundings: Option<Arc<Surroundings>>,
    current: Option<Arc<Log>>,
    previous: Option<Arc<Log>>,
    /// Why it does not run, where it waits.
    waiting: Option<String>,
}

impl Places {
    fn change(&self, container: &str, change: impl FnOnce(&mut Place)) {
        change(self.0.lock().entry(container.to_owned()).or_default());
    }

    /// The logs of the runs before, which an agent before this one has kept.
    pub fn recover(&self, container: &str, logs: &Path, starts: u32) {
        self.change(container, |place| {
            place.current = starts.checked_sub(1).and_then(|run| Log::kept(logs, run));
            place.previous = starts.checked_sub(2).and_then(|run| Log::kept(logs, run));
        });
    }

    pub fn started(&self, container: &str, surroundings: Arc<Surroundings>, log: Arc<Log>) {
        self.change(container, |place| {
            place.surroundings = Some(surroundings);
            place.previous = place.current.replace(log);
            place.waiting = None;
        });
    }

    pub fn ended(&self, container: &str) {
        self.change(container, |place| place.surroundings = None);
    }

    pub fn waits(&self, container: &str, reason: &str) {
        self.change(container, |place| place.waiting = Some(reason.to_owned()));
    }
}

impl Place {
    fn log(&self, pod: &PodName, previous: bool) -> Result<Arc<Log>, RuntimeError> {
        let log = match (previous, &self.waiting) {
            (false, _) => &self.current,
            // It waits to be started again: the run that it is about is the last one.
            (true, Some(_)) => &self.current,
            (true, None) => &self.previous,
        };
        log.clone().ok_or_else(|| match (previous, &self.waiting) {
            (true, _) => no_previous(pod),
            (false, waiting) => RuntimeError::BadRequest(format!(
                "container {:?} in pod {:?} is waiting to start: {}",
                pod.container,
                pod.name,
                waiting.as_deref().unwrap_or("ContainerCreating")
            )),
        })
    }
}

fn no_previous(pod: &PodName) -> RuntimeError {
    RuntimeError::NotFound(format!(
        "previous terminated container {:?} in pod {:?} not found",
        pod.container, pod.name
    ))
}

#[async_trait]
impl PodRuntime for Runtime {
    async fn logs(
        &self,
        pod: &PodName,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, RuntimeError> {
        let none = Place::default();
        let log = self
            .place(pod, |place| place.log(pod, options.previous))
            .unwrap_or_else(|| none.log(pod, options.previous))?;
        log.read(options)
            .map_err(|error| RuntimeError::Failed(error.to_string()))
    }

    async fn exec(&self, pod: &PodName, request: ExecRequest) -> Result<Attachment, RuntimeError> {
        exec::attach(&*self.surroundings(pod)?, &self.groups, &request)
    }

    async fn connect(&self, pod: &PodName, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        let address: Ipv4Addr = self.surroundings(pod)?.address;
        let stream = TcpStream::connect((address, port)).await;
        let stream = stream.map_err(|error| {
            RuntimeError::Failed(format!(
                "failed to connect to {address}:{port} of pod {}: {error}",
                pod.name
            ))
        })?;
        Ok(Box::new(stream))
    }
}

impl Runtime {
    fn surroundings(&self, pod: &PodName) -> Result<Arc<Surroundings>, RuntimeError> {
        self.place(pod, |place| place.surroundings.clone())
            .flatten()
            .ok_or_else(|| {
                RuntimeError::Failed(format!("container not found ({:?})", pod.container))
            })
    }
}
