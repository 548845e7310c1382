//! The log of a container, followed line by line over breaks of the connection and restarts of the
//! container.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use backstay_report::excerpt;
use backstay_retry::{Deadline, Ended, Failed};
use futures::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use k8s_openapi::api::core::v1;
use kube::api::LogParams;

use crate::error::{self, Attempt};
use crate::resume::Resume;
use crate::{ClusterError, Region};

const LOGS: &str = "pods/log";
/// Longer lines are cut off.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// A connection on which nothing has come for so long is made again: it may be dead without anybody
/// having said so.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Follows one container's log.
pub struct LogFollower {
    region: Region,
    pod: String,
    container: String,
    resume: Resume,
    stream: Option<Pin<Box<dyn AsyncBufRead + Send>>>,
    /// What has come of the next line.
    line: Vec<u8>,
    /// The line is longer than is kept; what is left of it is passed over.
    cut: bool,
    failures: u32,
    /// Why there is no connection.
    trouble: Option<String>,
}

impl fmt::Debug for LogFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFollower")
            .field("pod", &self.pod)
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

impl Region {
    /// Follows the log of a container, from its beginning.
    pub fn follow_log(&self, pod: &str, container: &str) -> LogFollower {
        LogFollower {
            region: self.clone(),
            pod: pod.to_owned(),
            container: container.to_owned(),
            resume: Resume::default(),
            stream: None,
            line: Vec::new(),
            cut: false,
            failures: 0,
            trouble: None,
        }
    }
}

impl LogFollower {
    /// The next line; `None` when the pod is gone.
    ///
    /// # Errors
    /// [`ClusterError::NotYet`] when none has come by the deadline; a refusal at once. After
    /// either, it can be asked again.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<String>, ClusterError> {
        let region = self.region.clone();
        let what = format!("a line in the log of pod {}", self.pod);
        match tokio::time::timeout_at(deadline.instant(), self.wait()).await {
            Ok(line) => line,
            Err(_) => {
                Err(region.not_yet(what, self.trouble.as_deref().unwrap_or("the log is silent")))
            }
        }
    }

    async fn wait(&mut self) -> Result<Option<String>, ClusterError> {
        loop {
            if self.stream.is_none() && !self.connect().await? {
                return Ok(None);
            }
            let read = match tokio::time::timeout(MAX_SILENCE, self.read()).await {
                Ok(read) => read,
                Err(_) => {
                    self.broken("nothing has come for long");
                    continue;
                }
            };
            match read {
                Ok(true) => {
                    self.failures = 0;
                    self.trouble = None;
                    let line = std::mem::take(&mut self.line);
                    self.cut = false;
                    let line = String::from_utf8_lossy(&line);
                    if let Some(text) = self.resume.take(line.trim_end_matches(['\n', '\r'])) {
                        return Ok(Some(text.to_owned()));
                    }
                }
                Ok(false) => {
                    // The end of the container, of the connection, or of the server.
                    self.broken("the log has ended");
                    self.pause().await;
                }
                Err(error) => {
                    self.broken(&error.to_string());
                    self.pause().await;
                }
            }
        }
    }

    /// Reads to the end of a line; `false` at the end of the stream. What has come of a line is kept
    /// when this is dropped.
    async fn read(&mut self) -> std::io::Result<bool> {
        let Some(stream) = self.stream.as_mut() else {
            return Ok(false);
        };
        loop {
            let left = if self.cut {
                MAX_LINE_BYTES
            } else {
                MAX_LINE_BYTES.saturating_sub(self.line.len() as u64)
            };
            let mut over = Vec::new();
            let into = if self.cut { &mut over } else { &mut self.line };
            let mut limited = stream.take(left);
            let read = limited.read_until(b'\n', into).await?;
            if into.last() == Some(&b'\n') {
                return Ok(true);
            }
            if read == 0 && left > 0 {
                return Ok(false);
            }
            self.cut = self.cut || self.line.len() as u64 >= MAX_LINE_BYTES;
        }
    }

    /// What has come of a line comes again with the next connection.
    fn broken(&mut self, why: &str) {
        tracing::debug!(pod = self.pod, why, "a log is followed again");
        self.trouble = Some(excerpt(why));
        self.stream = None;
        self.line.clear();
        self.cut = false;
    }

    async fn pause(&mut self) {
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(self.region.policy().jittered(self.failures)).await;
    }

    /// Connects, from where the log broke off; `false` when the pod is gone.
    async fn connect(&mut self) -> Result<bool, ClusterError> {
        let api = self.region.api::<v1::Pod>();
        loop {
            let parameters = LogParams {
                container: Some(self.container.clone()),
                follow: true,
                timestamps: true,
                since_time: self.resume.begin(),
                ..LogParams::default()
            };
            let attempt = self.region.policy().attempt;
            let opened =
                tokio::time::timeout(attempt, api.log_stream(&self.pod, &parameters)).await;
            let error = match opened {
                Ok(Ok(stream)) => {
                    self.stream = Some(Box::pin(stream));
                    return Ok(true);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    self.trouble = Some("no answer".to_owned());
                    self.pause().await;
                    continue;
                }
            };
            let refused =
                matches!(&error, kube::Error::Api(status) if [401, 403].contains(&status.code));
            let gone = matches!(&error, kube::Error::Api(status) if status.code == 404);
            if gone {
                return Ok(false);
            }
            let attempt = Attempt::from(error);
            if refused {
                let failed = Failed {
                    last: Some(attempt),
                    attempts: 1,
                    waited: Duration::ZERO,
                    ended: Ended::Final,
                };
                let permission = self.region.permission("get", LOGS);
                let object = format!("{LOGS} {}", self.pod);
                return Err(error::of_call(
                    self.region.name(),
                    &object,
                    permission,
                    failed,
                ));
            }
            // 400 is what Kubernetes answers while the container is still being started.
            self.trouble = Some(attempt.to_string());
            self.pause().await;
        }
    }
}
