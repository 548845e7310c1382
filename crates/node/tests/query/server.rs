//! A node on a socket, and the plainest client.
#![allow(dead_code)] // Each test program uses a part of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use backstay_node::{Engine, Node, NodeConfig, NodeError, Phase, RepositoryName};
use backstay_search::Event;
use serde_json::Value;
use tokio::runtime::Runtime;

/// Only to end a test that hangs; no test measures time.
pub const HANG_TIMEOUT: Duration = Duration::from_secs(120);

/// A node in this process, over a bucket in a folder.
pub struct Server {
    pub address: SocketAddr,
    pub admin: String,
    runtime: Runtime,
    node: Option<Node>,
    folder: tempfile::TempDir,
}

/// A bucket that is gone until this is dropped.
pub struct LostBucket {
    bucket: PathBuf,
    elsewhere: PathBuf,
}

impl Drop for LostBucket {
    fn drop(&mut self) {
        std::fs::remove_file(&self.bucket).unwrap();
        std::fs::rename(&self.elsewhere, &self.bucket).unwrap();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// The server has said that this is all of it.
    pub complete: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// Starts a node and waits until it serves.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with other variables.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        let server = Self::begin(variables);
        let engine = server.engine().clone();
        server
            .runtime
            .block_on(async { engine.ready().await })
            .unwrap();
        assert_eq!(server.engine().phase(), Phase::Ready);
        server
    }

    /// Starts a node without waiting for it.
    pub fn begin(variables: &[(&str, &str)]) -> Self {
        Self::try_begin(variables).unwrap()
    }

    /// Why a node does not start.
    pub fn refused(variables: &[(&str, &str)]) -> String {
        match Self::try_begin(variables) {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    fn try_begin(variables: &[(&str, &str)]) -> Result<Self, NodeError> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let bucket = folder.path().join("bucket");
        std::fs::create_dir(&bucket).unwrap();
        let mut all = vec![
            ("LOCAL_STORAGE_PATH", bucket.to_str().unwrap()),
            ("LOCAL_STORAGE_ENCRYPTION_KEY", "key of this region, long"),
            ("DIRECTORY", data.to_str().unwrap()),
            ("BACKSTAY_BIND", "127.0.0.1"),
            ("PORT", "0"),
            ("BACKSTAY_COMMIT_LINGER_MS", "5"),
        ];
        all.extend_from_slice(variables);
        let find = |name: &str| {
            let found = all.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let config = NodeConfig::from_env(&find).unwrap();
        let token_file = config.admin_token_file.clone();
        let runtime = Runtime::new().unwrap();
        let node = runtime.block_on(Node::start(config))?;
        let admin = std::fs::read_to_string(token_file).unwrap();
        Ok(Self {
            address: node.address(),
            admin: admin.trim().to_owned(),
            runtime,
            node: Some(node),
            folder,
        })
    }

    pub fn engine(&self) -> &Engine {
        self.node.as_ref().unwrap().engine()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder that is the bucket.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }

    /// An ingest token for the repository `humio`, with the parser that it prescribes, if any.
    pub fn ingest_token(&self, name: &str, parser: Option<&str>) -> String {
        let made = self.data(
            "mutation($input: AddIngestTokenV3Input!) { addIngestTokenV3(input: $input) { token } }",
            &serde_json::json!({
                "input": { "repositoryName": "humio", "name": name, "parser": parser }
            }),
        );
        made["addIngestTokenV3"]["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Stores events: `(time in ms, text)`, with a tag and a field.
    pub fn ingest(&self, repository: &str, lines: &[(i64, &str)]) {
        let events = lines.iter().map(|(timestamp_ms, raw)| Event {
            timestamp_ms: *timestamp_ms,
            raw: (*raw).to_owned(),
            id: format!("{repository}-{raw}"),
            tags: vec![("kind".to_owned(), "test".to_owned())],
            fields: vec![("length".to_owned(), raw.len().to_string())],
        });
        let events = events.collect();
        let repository = RepositoryName::new(repository);
        self.runtime
            .block_on(self.engine().ingest(&repository, events, None))
            .unwrap();
    }

    /// Whether there are segments of this many bytes of events.
    pub fn wait_for_segments(&self) {
        let begun = Instant::now();
        while !has_file(&self.folder.path().join("bucket/segments")) {
            assert!(begun.elapsed() < HANG_TIMEOUT, "no segment was published");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Puts a file where the bucket's folder was, until the answer is dropped.
    pub fn lose_bucket(&self) -> LostBucket {
        let lost = LostBucket {
            bucket: self.folder.path().join("bucket"),
            elsewhere: self.folder.path().join("elsewhere"),
        };
        std::fs::rename(&lost.bucket, &lost.elsewhere).unwrap();
        std::fs::write(&lost.bucket, "").unwrap();
        lost
    }

    /// Waits for a future that needs the node's runtime.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A request with a token, if there is one.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        accept: &str,
        body: &str,
    ) -> Answer {
        let authorization = bearer(token);
        let headers =
            format!("Accept: {accept}\r\nContent-Type: application/json\r\n{authorization}");
        let line = format!("{method} {path}");
        exchange(self.address, &line, &headers, body.as_bytes())
    }

    /// What a request is answered of which only the head comes, and a body is announced.
    pub fn status_without_body(&self, path: &str, token: Option<&str>) -> u16 {
        let authorization = bearer(token);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\n{authorization}Content-Length: 400000\r\n\r\n"
        );
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HANG_TIMEOUT)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        let start = std::str::from_utf8(&start).unwrap();
        start.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// The port of Elasticsearch's API.
    pub fn elastic_address(&self) -> SocketAddr {
        self.node.as_ref().unwrap().elastic_address().unwrap()
    }

    /// A request of the administrator.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.call(method, path, Some(&self.admin), "application/json", &body)
    }

    /// The answer to a GraphQL request.
    pub fn graphql(&self, query: &str, variables: &Value) -> Value {
        let body = serde_json::json!({ "query": query, "variables": variables });
        let answer = self.admin("POST", "/graphql", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The same, when it must succeed: its data.
    pub fn data(&self, query: &str, variables: &Value) -> Value {
        let answer = self.graphql(query, variables);
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    /// The state in which it was left.
    pub fn snapshot_text(&self) -> String {
        self.engine()
            .global()
            .unwrap()
            .read(|state| format!("{state:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            let ended = self.runtime.block_on(node.shut_down());
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

fn has_file(path: &std::path::Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else {
        return false;
    };
    entries
        .map(|entry| entry.unwrap().path())
        .any(|path| path.is_file() || has_file(&path))
}

/// The answer to a request: `line` is its method and path.
pub fn exchange(address: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG_TIMEOUT)).unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    parse(&all)
}

/// The header of a token, if there is one.
fn bearer(token: Option<&str>) -> String {
    token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    })
}

/// An answer as it came over the socket.
pub fn parse(all: &[u8]) -> Answer {
    // An answer may be protobuf.
    let text = String::from_utf8_lossy(all).into_owned();
    let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let (body, complete) = if is_chunked {
        dechunk(rest)
    } else {
        (rest.to_owned(), true)
    };
    Answer {
        status,
        head: head.to_owned(),
        body,
        complete,
    }
}

fn dechunk(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return (body, true);
        }
        let Some((chunk, after)) = after.split_at_checked(length) else {
            break;
        };
        body.push_str(chunk);
        rest = after.strip_prefix("\r\n").unwrap_or("");
    }
    (body, false)
}
