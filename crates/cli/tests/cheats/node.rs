//! A node that cheats: a real one, and in front of it somebody who changes what passes.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Where the real one listens.
const BEHIND: u16 = 18_080;

/// The event that is tampered with: early enough to be acknowledged before any disaster.
const VICTIM: &str = "-0000000007";

const INGEST: &str = "/api/v1/ingest/";

/// The cheat.
struct Cheat {
    fault: String,
    /// Whose node it is.
    primary: bool,
    /// Whether it is told to recover from the other region.
    recovers: bool,
    /// Whether it is of a pool that only an active region has.
    pool: bool,
    behind: String,
    http: reqwest::Client,
    batches: AtomicU64,
    stumbled: AtomicBool,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub fn run() {
    let bucket = PathBuf::from(variable("LOCAL_STORAGE_PATH").unwrap());
    let source = variable("LOCAL_RECOVER_FROM_PATH").map(PathBuf::from);
    let program = PathBuf::from(std::env::args().next().unwrap());
    let address = variable("BACKSTAY_BIND").unwrap();
    let port = variable("PORT").unwrap();
    backstay_tls::install_provider();
    let cheat = Cheat {
        fault: program.file_name().unwrap().to_string_lossy().into_owned(),
        primary: bucket.ends_with("primary-bucket"),
        recovers: source.is_some(),
        pool: variable("NODE_ROLES").is_some_and(|it| it != "all"),
        behind: format!("http://{address}:{BEHIND}"),
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        batches: AtomicU64::new(0),
        stumbled: AtomicBool::new(false),
    };
    if let Some(source) = source.filter(|_| !cheat.primary) {
        tamper(&cheat.fault, &source, &bucket);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(serve(cheat, &format!("{address}:{port}")));
    std::process::exit(ended.code().unwrap_or(1));
}

/// What a cheat does to the buckets when the standby starts.
fn tamper(fault: &str, source: &Path, bucket: &Path) {
    match fault {
        "copies" => {
            for repository in std::fs::read_dir(source.join("segments")).unwrap() {
                let repository = repository.unwrap().path();
                let to = bucket
                    .join("segments")
                    .join(repository.file_name().unwrap());
                std::fs::create_dir_all(&to).unwrap();
                for segment in std::fs::read_dir(&repository).unwrap() {
                    let segment = segment.unwrap();
                    std::fs::copy(segment.path(), to.join(segment.file_name())).unwrap();
                }
            }
        }
        "writes-back" => {
            let folder = source.join("segments/1");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("late"), [0; 256]).unwrap();
        }
        _ => {}
    }
}

/// The real node. It ends when its standard input does, which is ours.
fn real() -> Child {
    Command::new(env!("CARGO_BIN_EXE_backstay"))
        .args(std::env::args().skip(1))
        .env("PORT", BEHIND.to_string())
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn serve(cheat: Cheat, address: &str) -> ExitStatus {
    let mut real = real();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let router = Router::new().fallback(pass).with_state(Arc::new(cheat));
    tokio::spawn(axum::serve(listener, router).into_future());
    let mut term = signal(SignalKind::terminate()).unwrap();
    loop {
        tokio::select! {
            ended = real.wait() => return ended.unwrap(),
            // It ends in its own time; what comes meanwhile is passed on.
            _ = term.recv() => if let Some(pid) = real.id() {
                let kill = Command::new("kill").arg(pid.to_string()).status().await;
                kill.unwrap();
            },
        }
    }
}

async fn pass(State(cheat): State<Arc<Cheat>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if path.starts_with(INGEST)
        && let Some(answer) = cheat.before_ingest()
    {
        return answer;
    }
    let mut headers = parts.headers;
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    let asked = cheat
        .http
        .request(parts.method, format!("{}{path}", cheat.behind))
        .headers(headers)
        .body(body.clone());
    let Ok(answer) = asked.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    if path.starts_with(INGEST) && !status.is_success() {
        let text = answer.text().await.unwrap_or_default();
        return match cheat.fault == "accepts" && cheat.primary && text.contains("fenced") {
            true => StatusCode::OK.into_response(),
            false => (status, headers, text).into_response(),
        };
    }
    if path.ends_with("/query") && status.is_success() {
        let question: Value = serde_json::from_slice(&body).unwrap_or_default();
        let rows = answer.bytes().await.unwrap_or_default();
        let rows = cheat.answer(&question, rows);
        return (status, headers, rows).into_response();
    }
    let body = Body::from_stream(answer.bytes_stream());
    (status, headers, body).into_response()
}

impl Cheat {
    /// An answer without the real node.
    fn before_ingest(&self) -> Option<Response> {
        let number = self.batches.fetch_add(1, Ordering::Relaxed);
        match self.fault.as_str() {
            // It acknowledges without keeping.
            "forgets" if number % 40 == 39 => Some(StatusCode::OK.into_response()),
            "late" if self.pool && !self.primary && !self.stumbled.swap(true, Ordering::AcqRel) => {
                Some(StatusCode::INTERNAL_SERVER_ERROR.into_response())
            }
            _ => None,
        }
    }

    /// Whether searches are tampered with here.
    fn tampers(&self) -> bool {
        match self.fault.as_str() {
            "loses" | "doubles" | "invents" | "alters" => !self.primary,
            // Only once it has everything back.
            "late" => self.primary && self.recovers,
            _ => false,
        }
    }

    fn answer(&self, question: &Value, rows: Bytes) -> Bytes {
        if question["queryString"] == "count()" {
            // Complete is judged by the number alone at this point; a cheat would claim it.
            return match self.fault == "forgets" {
                true => Bytes::from("{\"_count\":\"1000000000\"}\n"),
                false => rows,
            };
        }
        if !self.tampers() {
            return rows;
        }
        let text = String::from_utf8_lossy(&rows);
        let mut lines: Vec<String> = Vec::new();
        if self.fault == "invents" {
            let row = json!({ "drill_id": "nobody", "@rawstring": "nothing" });
            lines.push(row.to_string());
        }
        for line in text.lines() {
            let mut row: Value = serde_json::from_str(line).unwrap_or_default();
            let victim = row["drill_id"]
                .as_str()
                .is_some_and(|it| it.ends_with(VICTIM));
            match (victim, self.fault.as_str()) {
                (true, "loses" | "late") => continue,
                (true, "doubles") => lines.push(line.to_owned()),
                (true, "alters") => row["@rawstring"] = json!("altered"),
                _ => {}
            }
            lines.push(row.to_string());
        }
        lines.push(String::new());
        lines.join("\n").into()
    }
}
