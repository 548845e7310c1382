//! `backstay node` as a process, over a bucket in a folder, and `curl` as its client.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Only to end a test that hangs; no test measures time.
pub const HANGS: Duration = Duration::from_secs(120);

/// The bucket's encryption key.
pub const KEY: &str = "the key of this test alone";

/// A running node. Killed when dropped.
pub struct Process {
    child: Mutex<Child>,
    id: u32,
    port: u16,
    data: std::path::PathBuf,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// What the nodes of a folder have printed.
pub fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// The files below a folder, with their paths.
pub fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path.display().to_string()]
            }
        })
        .collect()
}

/// The last slot of a stream.
pub fn last_slot(stream: &Path) -> Option<u64> {
    let names = files(stream);
    let slots = names.iter().map(|path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.parse::<u64>()
            .unwrap_or_else(|_| panic!("{path} is no slot"))
    });
    slots.max()
}

impl Process {
    /// Starts a node whose bucket, data and log are in `folder`, and waits until it serves.
    pub fn start(folder: &Path, more: &[(&str, &str)]) -> Self {
        Self::run(folder, more, Command::new(env!("CARGO_BIN_EXE_backstay")))
    }

    /// The same, where the system allows it no more open files than this.
    pub fn start_with_files(folder: &Path, files: u32) -> Self {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_backstay")]);
        Self::run(folder, &[], shell)
    }

    fn run(folder: &Path, more: &[(&str, &str)], mut program: Command) -> Self {
        let bucket = folder.join("bucket");
        std::fs::create_dir_all(&bucket).unwrap();
        let data = folder.join("data");
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = program
            .args(["node", "--exit-with-parent"])
            .env("LOCAL_STORAGE_PATH", &bucket)
            .env("LOCAL_STORAGE_ENCRYPTION_KEY", KEY)
            .env("DIRECTORY", &data)
            .env("PORT", port.to_string())
            .env("BACKSTAY_BIND", "127.0.0.1")
            .env("BACKSTAY_COMMIT_LINGER_MS", "5")
            // What is counted is what the tests send.
            .env("BACKSTAY_OWN_LOG", "false")
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let node = Self {
            id: child.id(),
            child: Mutex::new(child),
            port,
            data,
        };
        node.until("ready", || {
            let ended = node.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", log(folder));
            node.get("/api/v1/status").status == 200
        });
        node
    }

    pub fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn admin_token(&self) -> String {
        let text = std::fs::read_to_string(self.data.join("admin-token.txt")).unwrap();
        text.trim().to_owned()
    }

    /// Waits for something to become true on its own.
    pub fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < HANGS, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn run_curl(&self, path: &str, more: &[&str], body: Option<&[u8]>) -> Answer {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*"])
            .args(["--max-time", "120", "--write-out", "\n%{http_code}"])
            .args(["-H", "Expect:"])
            .args(more);
        if body.is_some() {
            curl.args(["--data-binary", "@-"]);
        }
        let mut curl = curl
            .arg(format!("{}{path}", self.url()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("curl runs");
        // curl ends without reading all of it when the answer comes early.
        let _ = curl
            .stdin
            .take()
            .unwrap()
            .write_all(body.unwrap_or_default());
        let output = curl.wait_with_output().unwrap();
        // Some answers are no text.
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, status) = text.rsplit_once('\n').unwrap();
        Answer {
            // 000 when there was no answer.
            status: status.parse().unwrap(),
            body: body.to_owned(),
        }
    }

    /// Asks without a token.
    pub fn get(&self, path: &str) -> Answer {
        self.run_curl(path, &[], None)
    }

    /// Posts a body with a token.
    pub fn curl(&self, path: &str, token: &str, more: &[&str], body: &[u8]) -> Answer {
        let bearer = format!("Authorization: Bearer {token}");
        let mut all = vec!["-H", bearer.as_str()];
        all.extend_from_slice(more);
        self.run_curl(path, &all, Some(body))
    }

    fn admin(&self, path: &str, body: &Value) -> Answer {
        let answer = self.ask(path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    fn ask(&self, path: &str, body: &Value) -> Answer {
        let kinds = [
            "-H",
            "Content-Type: application/json",
            "-H",
            "Accept: application/x-ndjson",
        ];
        let body = body.to_string();
        self.curl(path, &self.admin_token(), &kinds, body.as_bytes())
    }

    pub fn graphql(&self, query: &str) -> Value {
        let answer = self.admin("/graphql", &json!({ "query": query }));
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    pub fn ingest_token(&self) -> String {
        self.ingest_token_of("humio")
    }

    pub fn ingest_token_of(&self, repository: &str) -> String {
        let made = self.graphql(&format!(
            r#"mutation {{ addIngestTokenV3(input: {{repositoryName: "{repository}", name: "t"}}) {{ token }} }}"#
        ));
        made["addIngestTokenV3"]["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// All events of the repository `humio` that a query finds.
    pub fn find(&self, query: &str) -> Vec<Value> {
        self.find_in("humio", query)
    }

    /// All events of a repository that a query finds. A node that has no room for what is in no segment
    /// yet is asked again.
    pub fn find_in(&self, repository: &str, query: &str) -> Vec<Value> {
        let body = json!({ "queryString": query, "start": 0, "end": 9_000_000_000_000_i64 });
        let path = format!("/api/v1/repositories/{repository}/query");
        let begun = Instant::now();
        let answer = loop {
            let answer = self.ask(&path, &body);
            if answer.status != 503 || begun.elapsed() > HANGS {
                break answer;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        let lines = answer.body.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub fn metrics(&self) -> String {
        self.get("/metrics").body
    }

    /// Peak memory in bytes, as the kernel counts it.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let line = status
            .lines()
            .find_map(|it| it.strip_prefix("VmHWM:"))
            .unwrap();
        let kib = line.trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id);
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn wait(&self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(ended) = self.child.lock().unwrap().try_wait().unwrap() {
                return ended;
            }
            assert!(begun.elapsed() < HANGS, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(|it| it.into_inner());
        let _ = child.kill();
        let _ = child.wait();
    }
}
