//! What runs the pods, seen from the API server: it can be asked for a container's log, to run a
//! command next to it, and for a connection to one of its ports.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

/// A container in a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodName {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Tells it from one of the same name before it.
    pub uid: String,
    /// The container that is meant.
    pub container: String,
}

/// Which part of a log is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Stay and send what comes.
    pub follow: bool,
    /// The log of the process before this one.
    pub previous: bool,
    /// Begin each line with its moment, RFC 3339 with nanoseconds, and a space.
    pub timestamps: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only what is not older than this many seconds.
    pub since_seconds: Option<u64>,
    /// Stop after so many bytes.
    pub limit_bytes: Option<u64>,
}

/// A command to run beside a container's process.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether its input is connected.
    pub stdin: bool,
    /// Whether it wants a terminal.
    pub tty: bool,
}

impl fmt::Debug for ExecRequest {
    /// Without the arguments: tokens are passed in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecRequest")
            .field("program", &self.command.first())
            .field("stdin", &self.stdin)
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}

/// Bytes that somebody else writes.
pub type Output = Pin<Box<dyn AsyncRead + Send>>;
/// Bytes that somebody else reads.
pub type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A running command. Dropping it ends the command.
pub struct Attachment {
    /// Its input, where it was asked for; closed when dropped.
    pub stdin: Option<Input>,
    /// The standard output of the command.
    pub stdout: Output,
    /// Its error output.
    pub stderr: Output,
    /// Resolves to the exit code once the command has ended.
    pub exit: BoxFuture<'static, Result<i32, RuntimeError>>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").finish_non_exhaustive()
    }
}

/// A connection to a port of a pod.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Why the runtime does not do it.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No process, or no earlier process, of this container is known.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense for this pod.
    #[error("{0}")]
    BadRequest(String),
    /// It does not work now.
    #[error("{0}")]
    Failed(String),
}

/// What runs the pods, as the API server asks it.
#[async_trait]
pub trait PodRuntime: Send + Sync + 'static {
    /// The log of a container, as text. The stream ends where the log ends; when following, with
    /// the container or when it is dropped.
    ///
    /// # Errors
    /// When there is no such container or log.
    async fn logs(
        &self,
        pod: &PodName,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RuntimeError>;

    /// Runs a command in the surroundings of a container: its folder, environment and address.
    ///
    /// # Errors
    /// When the container does not run or the program cannot be started.
    async fn exec(&self, pod: &PodName, request: ExecRequest) -> Result<Attachment, RuntimeError>;

    /// Connects to a port of the pod.
    ///
    /// # Errors
    /// When nothing listens there.
    async fn connect(&self, pod: &PodName, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError>;
}

/// Nowhere to run a pod: for an API server that only keeps documents.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPods;

#[async_trait]
impl PodRuntime for NoPods {
    async fn logs(
        &self,
        _: &PodName,
        _: &LogOptions,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RuntimeError> {
        Err(RuntimeError::Failed("no pods run here".to_owned()))
    }

    async fn exec(&self, _: &PodName, _: ExecRequest) -> Result<Attachment, RuntimeError> {
        Err(RuntimeError::Failed("no pods run here".to_owned()))
    }

    async fn connect(&self, _: &PodName, _: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        Err(RuntimeError::Failed("no pods run here".to_owned()))
    }
}
