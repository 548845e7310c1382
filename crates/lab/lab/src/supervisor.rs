//! Nodes as child processes, each on a free port: a cluster without a region around it, for tests
//! that kill nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::child::{Child, ChildSpec, log_tail};
use crate::client::{ClientError, NodeClient};

/// How often a node that starts is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(20);

/// The node to start: its program, folder, bucket and settings.
#[derive(Clone)]
pub struct NodeSpec {
    /// What to call it in messages, such as `primary`.
    pub name: String,
    /// The `backstay` binary.
    pub program: PathBuf,
    /// The environment beyond the few inherited variables. Secrets go here and never into
    /// arguments, which every user of the machine can read.
    pub env: BTreeMap<String, String>,
    /// The node's data folder.
    pub data_dir: PathBuf,
    /// Where its output is appended.
    pub log_file: PathBuf,
}

impl fmt::Debug for NodeSpec {
    /// Names of variables only: their values are partly keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeSpec")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("env", &self.env.keys())
            .field("data_dir", &self.data_dir)
            .field("log_file", &self.log_file)
            .finish()
    }
}

/// Why a node is not there.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// A file or folder of the node cannot be made.
    #[error("cannot prepare the {name} node: {path}: {source}")]
    Prepare {
        /// The node's name, as in its specification.
        name: String,
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// There is no free port.
    #[error("no free port on 127.0.0.1: {0}")]
    Port(#[source] io::Error),
    /// The binary cannot be run.
    #[error("cannot start the {name} node ({program}, log {log}): {source}")]
    Spawn {
        /// The node's name, as in its specification.
        name: String,
        /// The binary that was started.
        program: PathBuf,
        /// The file of its output.
        log: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// It ended by itself.
    #[error(
        "the {name} node ended by itself ({status}); its log is {log}, which ends with:\n{tail}"
    )]
    Exited {
        /// The node's name, as in its specification.
        name: String,
        /// The exit status, or the signal that ended the process.
        status: ExitStatus,
        /// The file of its output.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// It never became ready.
    #[error(
        "the {name} node was not ready within {waited:?} (last answer: {answer}); its log is {log}, which ends with:\n{tail}"
    )]
    NotReady {
        /// The node's name, as in its specification.
        name: String,
        /// How long it was waited for.
        waited: Duration,
        /// Its last answer on `/api/v1/status`.
        answer: String,
        /// The file of its output.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A signal cannot be sent or the end not be awaited.
    #[error("cannot stop the {name} node: {source}")]
    Stop {
        /// The node's name, as in its specification.
        name: String,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// It cannot be frozen or thawed.
    #[error("cannot send {signal} to the {name} node: {source}")]
    Signal {
        /// The node's name, as in its specification.
        name: String,
        /// The signal's name, such as `SIGKILL`.
        signal: &'static str,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// Its URL is not valid, or no client can be made.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A node that runs, or ran. Dropping it kills it.
#[derive(Debug)]
pub struct NodeProcess {
    name: String,
    child: Child,
    log_file: PathBuf,
    data_dir: PathBuf,
    client: NodeClient,
}

impl NodeProcess {
    /// Starts a node on a free port of 127.0.0.1. It is not ready yet.
    ///
    /// # Errors
    /// When the folders cannot be made, no port is free, or the binary cannot be run.
    pub fn start(spec: &NodeSpec) -> Result<Self, SupervisorError> {
        let prepare = |path: &Path| {
            let (name, path) = (spec.name.clone(), path.to_owned());
            move |source| SupervisorError::Prepare { name, path, source }
        };
        std::fs::create_dir_all(&spec.data_dir).map_err(prepare(&spec.data_dir))?;
        let port = free_port().map_err(SupervisorError::Port)?;
        let url = format!("http://127.0.0.1:{port}/");
        let client = NodeClient::new(&url)?;
        let mut environment = spec.env.clone();
        environment.extend([
            ("DIRECTORY".to_owned(), spec.data_dir.display().to_string()),
            ("PORT".to_owned(), port.to_string()),
            ("BACKSTAY_BIND".to_owned(), "127.0.0.1".to_owned()),
            ("PUBLIC_URL".to_owned(), url.clone()),
        ]);
        let child = Child::start(&ChildSpec {
            program: spec.program.clone(),
            arguments: vec!["node".into(), "--exit-with-parent".into()],
            environment,
            log: spec.log_file.clone(),
        })
        .map_err(|source| SupervisorError::Spawn {
            name: spec.name.clone(),
            program: spec.program.clone(),
            log: spec.log_file.clone(),
            source,
        })?;
        tracing::info!(node = %spec.name, pid = child.pid(), %url, "node started");
        Ok(Self {
            name: spec.name.clone(),
            child,
            log_file: spec.log_file.clone(),
            data_dir: spec.data_dir.clone(),
            client,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id; `None` once its end was seen.
    pub fn pid(&self) -> Option<u32> {
        self.child.pid()
    }

    /// A client of it.
    pub fn client(&self) -> &NodeClient {
        &self.client
    }

    /// Where its output goes.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// The admin token, which the node writes at its first start.
    ///
    /// # Errors
    /// When it has not been written.
    pub fn admin_token(&self) -> Result<String, SupervisorError> {
        let path = self.data_dir.join("admin-token.txt");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(source) => Err(SupervisorError::Prepare {
                name: self.name.clone(),
                path,
                source,
            }),
        }
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>, SupervisorError> {
        self.child
            .exited()
            .map_err(|source| self.stop_error(source))
    }

    /// An error if it has ended.
    ///
    /// # Errors
    /// See above.
    pub fn must_run(&mut self) -> Result<(), SupervisorError> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => Err(SupervisorError::Exited {
                name: self.name.clone(),
                status,
                log: self.log_file.clone(),
                tail: self.log_tail(12),
            }),
        }
    }

    /// Waits for 200 on `/api/v1/status`.
    ///
    /// # Errors
    /// When it ends or is not ready in time.
    pub async fn ready(&mut self, patience: Duration) -> Result<(), SupervisorError> {
        let start = Instant::now();
        loop {
            self.must_run()?;
            let answer = match self.client.status().await {
                Ok(answer) if answer.ok => return Ok(()),
                Ok(answer) => answer.to_string(),
                Err(error) => error.to_string(),
            };
            if start.elapsed() > patience {
                return Err(SupervisorError::NotReady {
                    name: self.name.clone(),
                    waited: patience,
                    answer,
                    log: self.log_file.clone(),
                    tail: self.log_tail(12),
                });
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// SIGKILL: the signal is sent at once, without any chance for the node to tidy up.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn send_kill(&mut self) -> Result<(), SupervisorError> {
        self.child
            .send_kill()
            .map_err(|source| self.stop_error(source))
    }

    /// SIGTERM: it is to drain and end.
    ///
    /// # Errors
    /// When it has ended or may not be signalled.
    pub fn terminate(&self) -> Result<(), SupervisorError> {
        self.signal(Signal::SIGTERM)
    }

    /// SIGSTOP: it does nothing more, and does not know it, until it is thawed or killed. Its
    /// connections stay open and nothing comes out of them.
    ///
    /// # Errors
    /// When it has ended or may not be signalled.
    pub fn freeze(&self) -> Result<(), SupervisorError> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT: it goes on where it was frozen, with everything that it believed then.
    ///
    /// # Errors
    /// When it has ended or may not be signalled.
    pub fn thaw(&self) -> Result<(), SupervisorError> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), SupervisorError> {
        let sent = self.child.signal(signal);
        sent.map_err(|source| SupervisorError::Signal {
            name: self.name.clone(),
            signal: signal.as_str(),
            source,
        })
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn wait(&mut self) -> Result<ExitStatus, SupervisorError> {
        self.child
            .wait()
            .await
            .map_err(|source| SupervisorError::Stop {
                name: self.name.clone(),
                source,
            })
    }

    /// SIGKILL, and waits until it is dead.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> Result<(), SupervisorError> {
        self.send_kill()?;
        self.wait().await.map(|_| ())
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        log_tail(&self.log_file, lines)
    }

    fn stop_error(&self, source: io::Error) -> SupervisorError {
        SupervisorError::Stop {
            name: self.name.clone(),
            source,
        }
    }
}

/// A port that was free a moment ago. Another process may take it before the node does; then the
/// node says so and ends, and the run is repeated.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

#[cfg(test)]
mod tests;
