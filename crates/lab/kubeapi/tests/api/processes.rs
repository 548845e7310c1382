//! Pods as processes of this machine. One container a pod; its ports are those of loopback.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use backstay_kubeapi::{
    Attachment, ByteStream, ExecRequest, LogOptions, PodName, PodRuntime, RuntimeError,
};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub struct Processes {
    folder: PathBuf,
    running: Mutex<HashMap<String, Child>>,
}

impl Processes {
    pub fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            running: Mutex::default(),
        }
    }

    fn log(&self, uid: &str) -> PathBuf {
        self.folder.join(format!("{uid}.log"))
    }

    pub fn is_running(&self, uid: &str) -> bool {
        self.running.lock().unwrap().contains_key(uid)
    }

    pub fn start(&self, uid: &str, command: &[String], environment: &[(String, String)]) {
        let log = std::fs::File::create(self.log(uid)).unwrap();
        let child = Command::new(&command[0])
            .args(&command[1..])
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.running.lock().unwrap().insert(uid.to_owned(), child);
    }

    pub async fn stop(&self, uid: &str) {
        let child = self.running.lock().unwrap().remove(uid);
        if let Some(mut child) = child {
            let _ = child.kill().await;
        }
    }

    pub async fn stop_all(&self) {
        let all: Vec<String> = self.running.lock().unwrap().keys().cloned().collect();
        for uid in all {
            self.stop(&uid).await;
        }
    }
}

#[async_trait]
impl PodRuntime for Processes {
    async fn logs(
        &self,
        pod: &PodName,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RuntimeError> {
        if options.previous {
            return Err(RuntimeError::NotFound(format!(
                "previous terminated container {:?} in pod {:?} not found",
                pod.container, pod.name
            )));
        }
        let path = self.log(&pod.uid);
        let text = std::fs::read_to_string(&path)
            .map_err(|_| RuntimeError::BadRequest("ContainerCreating".to_owned()))?;
        let skip = options
            .tail_lines
            .map_or(0, |tail| text.lines().count().saturating_sub(tail as usize));
        let shown: String = text.split_inclusive('\n').skip(skip).collect();
        let first = futures::stream::once(async move { Ok(Bytes::from(shown)) });
        if !options.follow {
            return Ok(first.boxed());
        }
        let rest = futures::stream::unfold(text.len(), move |seen| {
            let path = path.clone();
            async move {
                loop {
                    let all = std::fs::read(&path).ok()?;
                    if all.len() > seen {
                        return Some((Ok(Bytes::copy_from_slice(&all[seen..])), all.len()));
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        Ok(first.chain(rest).boxed())
    }

    async fn exec(&self, pod: &PodName, request: ExecRequest) -> Result<Attachment, RuntimeError> {
        if !self.is_running(&pod.uid) {
            return Err(RuntimeError::Failed("container not found".to_owned()));
        }
        let mut child = Command::new(&request.command[0])
            .args(&request.command[1..])
            .stdin(if request.stdin {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| RuntimeError::Failed(error.to_string()))?;
        Ok(Attachment {
            stdin: child.stdin.take().map(|stdin| Box::pin(stdin) as _),
            stdout: Box::pin(child.stdout.take().unwrap()),
            stderr: Box::pin(child.stderr.take().unwrap()),
            exit: Box::pin(async move {
                let status = child
                    .wait()
                    .await
                    .map_err(|error| RuntimeError::Failed(error.to_string()))?;
                Ok(status.code().unwrap_or(137))
            }),
        })
    }

    async fn connect(&self, _: &PodName, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(|error| RuntimeError::Failed(error.to_string()))?;
        Ok(Box::new(stream))
    }
}
