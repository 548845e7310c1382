//! Commands to a lab that runs: one request and one answer, each a line of JSON, over a Unix socket
//! in its folder, which only its owner can open.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// The longest line that is read from a socket.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// The longest wait for an answer: a region may have to end first.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest path of a socket, on the systems that have the shortest
/// (<https://man7.org/linux/man-pages/man7/unix.7.html>).
const MAX_SOCKET_PATH_BYTES: usize = 103;

/// Why a command does not reach a lab, or a lab cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens on the socket: no lab runs there.
    #[error("no lab runs in {}; start one with `backstay lab up`", .0.display())]
    NotRunning(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {path}: {source}")]
    Listen {
        /// The path of the Unix socket.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// The path is longer than a socket's may be.
    #[error(
        "{} is too long for a socket's path ({MAX_SOCKET_PATH_BYTES} bytes); give a folder nearer to the root", .0.display()
    )]
    Long(PathBuf),
    /// The connection broke before the answer was whole.
    #[error("the lab did not answer on {path}: {problem}; see its log in the folder beside it")]
    Broken {
        /// The path of the Unix socket.
        path: PathBuf,
        /// What is wrong, in words for the message.
        problem: String,
    },
    /// The lab says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a lab does not do what it was asked, in its words: they have come over the socket.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    /// The text of an error, for whoever asked.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(error.to_string())
    }
}

/// Whether a socket can be at this path.
///
/// # Errors
/// [`ControlError::Long`] when it cannot.
pub fn check_path(path: &Path) -> Result<(), ControlError> {
    if path.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
        Err(ControlError::Long(path.to_owned()))
    } else {
        Ok(())
    }
}

/// Answers requests until it is dropped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Listens on a socket at this path. One that a dead process left there is replaced.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn serve<Q, A, F>(
        path: &Path,
        answer: impl Fn(Q) -> F + Clone + Send + 'static,
    ) -> Result<Self, ControlError>
    where
        Q: DeserializeOwned + Send,
        A: Serialize + Send,
        F: Future<Output = Result<A, Refusal>> + Send,
    {
        let failed = |source| ControlError::Listen {
            path: path.to_owned(),
            source,
        };
        check_path(path)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        let task = tokio::spawn(async move {
            let mut conversations = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                conversations.spawn(async move {
                    // Who asked and went away has no use for an answer.
                    let _ = converse(stream, answer).await;
                });
                while conversations.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            path: path.to_owned(),
            task,
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // Gone already with its folder, perhaps.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse<Q, A, F>(stream: UnixStream, answer: impl Fn(Q) -> F) -> io::Result<()>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Future<Output = Result<A, Refusal>>,
{
    let (input, mut output) = stream.into_split();
    let mut line = String::new();
    BufReader::new(input.take(MAX_LINE_BYTES))
        .read_line(&mut line)
        .await?;
    let answer: Result<A, Refusal> = match serde_json::from_str(&line) {
        Ok(request) => answer(request).await,
        Err(error) => Err(Refusal(format!(
            "that is not a valid request to a lab: {error}"
        ))),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    output.write_all(&text).await
}

/// Asks whoever listens on the socket.
///
/// # Errors
/// When nobody listens, or it says no.
pub async fn ask<Q: Serialize, A: DeserializeOwned>(
    path: &Path,
    request: &Q,
) -> Result<A, ControlError> {
    let broken = |problem: String| ControlError::Broken {
        path: path.to_owned(),
        problem,
    };
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            let folder = path.parent().unwrap_or(path);
            return Err(ControlError::NotRunning(folder.to_owned()));
        }
        Err(error) => return Err(broken(error.to_string())),
    };
    let (input, mut output) = stream.into_split();
    let mut text = serde_json::to_vec(request).map_err(|error| broken(error.to_string()))?;
    text.push(b'\n');
    let told = async {
        output.write_all(&text).await?;
        let mut line = String::new();
        BufReader::new(input.take(MAX_LINE_BYTES))
            .read_line(&mut line)
            .await?;
        Ok::<_, io::Error>(line)
    };
    let line = timeout(RESPONSE_TIMEOUT, told)
        .await
        .map_err(|_| broken(format!("nothing came for {} s", RESPONSE_TIMEOUT.as_secs())))?
        .map_err(|error| broken(error.to_string()))?;
    serde_json::from_str::<Result<A, Refusal>>(&line)
        .map_err(|error| broken(error.to_string()))?
        .map_err(ControlError::Refused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::{Control, ControlError, Refusal, ask};

    fn doubling(path: &Path) -> Control {
        Control::serve(path, async |number: u32| {
            number
                .checked_mul(2)
                .ok_or_else(|| Refusal("too much".to_owned()))
        })
        .unwrap()
    }

    #[tokio::test]
    async fn requests_are_answered_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.sock");
        let none = ask::<_, u32>(&path, &1_u32).await.unwrap_err();
        assert!(none.to_string().contains("backstay lab up"), "{none}");
        let control = doubling(&path);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(ask::<_, u32>(&path, &21_u32).await.unwrap(), 42);
        let refused = ask::<_, u32>(&path, &u32::MAX).await.unwrap_err();
        assert_eq!(refused.to_string(), "too much");
        drop(control);
        assert!(!path.exists());
        // What a killed process leaves behind is in nobody's way.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(matches!(
            ask::<_, u32>(&path, &1_u32).await,
            Err(ControlError::NotRunning(_))
        ));
        let _control = doubling(&path);
        assert_eq!(ask::<_, u32>(&path, &1_u32).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn noise_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.sock");
        let _control = doubling(&path);
        for noise in [&b"{\n"[..], b"\xff\xfe\n", b"\n", b""] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(noise).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.is_empty() || answer.contains("Err"), "{answer}");
        }
        assert_eq!(ask::<_, u32>(&path, &1_u32).await.unwrap(), 2);
    }

    #[test]
    fn a_path_that_is_too_long_is_told() {
        let path = Path::new("/").join("x".repeat(200));
        let error = Control::serve(&path, async |it: u32| Ok::<u32, Refusal>(it)).unwrap_err();
        assert!(error.to_string().contains("nearer to the root"), "{error}");
    }
}
