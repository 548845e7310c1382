//! The drill, played with nodes that cheat: each fault that a node could have must fail it, and
//! fail the check that is meant for it. A check that nobody has seen fail proves nothing.
//!
//! This program is also the node that the pods of the drill's lab run: started as `… node`, it is a
//! log store of a few lines that keeps its journal in a file in its bucket's folder, seals the
//! bucket that it recovers from, and has the fault that its file name names. Hence no test harness.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout
)]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use backstay_lab::drill::{self, Options, Progress};
use serde_json::{Value, json};

/// The faults, and the checks that each must fail.
const FAULTS: [(&str, &[&str]); 9] = [
    ("none", &[]),
    ("loses", &["every acknowledged event is found"]),
    ("doubles", &["each is found once"]),
    ("invents", &["nothing is found that was never sent"]),
    (
        "alters",
        &[
            "every acknowledged event is found",
            "nothing is found that was never sent",
        ],
    ),
    ("forgets", &["every acknowledged event is found"]),
    ("accepts", &["the old primary takes no event"]),
    ("copies", &["history is read from the primary's bucket"]),
    (
        "writes-back",
        &["new segments land in the standby's bucket"],
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|it| it == flag);
    if given("node") {
        return node();
    }
    // What cargo-nextest asks of a program that has no test harness.
    if given("--list") {
        if !given("--ignored") {
            println!("nodes_that_cheat_are_found_out: test");
        }
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (fault, expected) in FAULTS {
        let program = folder.path().join(fault);
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &program).unwrap();
        let options = Options {
            program: env!("CARGO_BIN_EXE_backstay").into(),
            node: Some(program),
            logs: Vec::new(),
            events: Some(3_000),
            azurite: None,
            keep: false,
            seed: 5,
            senders: 6,
        };
        let progress = Progress::silent();
        let ended = drill::run(&options, &progress, std::future::pending());
        let report = runtime
            .block_on(ended)
            .unwrap_or_else(|failure| panic!("{fault}: {failure}"));
        let failed: Vec<&str> = report
            .checks
            .iter()
            .filter(|check| !check.ok)
            .map(|check| check.name)
            .collect();
        assert_eq!(failed, expected, "{fault}: {:#?}", report.checks);
        assert_eq!(report.ok, expected.is_empty(), "{fault}");
        assert_eq!(
            report.work_dir.is_some(),
            !report.ok,
            "a failed drill keeps its folder"
        );
        assert_eq!(report.rpo_ms > 0, report.lost > 0, "{fault}");
        if let Some(kept) = report.work_dir {
            for region in ["primary", "secondary"] {
                assert!(kept.join(format!("lab/logs/{region}.log")).exists());
            }
            std::fs::remove_dir_all(kept).unwrap();
        }
        eprintln!("drill with a node that has the fault `{fault}` ... ok");
    }
    runtime.block_on(interrupted(folder.path()));
    eprintln!("drill that is interrupted ... ok");
}

/// Ctrl-C ends a drill, its nodes and its folders.
async fn interrupted(folder: &Path) {
    let options = Options {
        program: env!("CARGO_BIN_EXE_backstay").into(),
        node: Some(folder.join("none")),
        logs: Vec::new(),
        events: Some(3_000),
        azurite: None,
        keep: false,
        seed: 5,
        senders: 2,
    };
    let stop = tokio::time::sleep(Duration::from_millis(700));
    let failure = drill::run(&options, &Progress::silent(), stop)
        .await
        .unwrap_err();
    assert!(
        matches!(failure.error, drill::DrillError::Interrupted),
        "{failure}"
    );
    assert!(failure.work_dir.is_none());
}

/// The store.
struct Store {
    fault: String,
    bucket: PathBuf,
    fenced: bool,
    journal: File,
    keys: BTreeSet<String>,
    events: Vec<Value>,
    unwritten: bool,
}

type Shared = Arc<Mutex<Store>>;

impl Store {
    fn load(&mut self, bucket: &Path) {
        let text = std::fs::read_to_string(bucket.join("journal.txt")).unwrap_or_default();
        // A line that the kill cut in two was never acknowledged.
        for entry in text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        {
            if self.keys.insert(entry["key"].as_str().unwrap().to_owned()) {
                self.events
                    .extend(entry["events"].as_array().unwrap().iter().cloned());
            }
        }
    }

    /// The standby's faults.
    fn cheat(&mut self, source: &Path) {
        match self.fault.as_str() {
            "loses" => drop(self.events.remove(7)),
            "doubles" => self.events.push(self.events[7].clone()),
            "invents" => self
                .events
                .push(json!({ "drill_id": "nobody", "@rawstring": "nothing" })),
            "alters" => self.events[7]["@rawstring"] = json!("altered"),
            "copies" => {
                for entry in std::fs::read_dir(source.join("segments/1")).unwrap() {
                    let entry = entry.unwrap();
                    let to = self.bucket.join("segments/1").join(entry.file_name());
                    std::fs::copy(entry.path(), to).unwrap();
                }
            }
            "writes-back" => segment(source, "late"),
            _ => {}
        }
    }
}

fn segment(bucket: &Path, name: &str) {
    let folder = bucket.join("segments/1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), [0; 256]).unwrap();
}

fn node() {
    let variable = |name: &str| std::env::var(name).ok();
    let bucket = PathBuf::from(variable("LOCAL_STORAGE_PATH").unwrap());
    let source = variable("LOCAL_RECOVER_FROM_PATH").map(PathBuf::from);
    let region = bucket.file_name().unwrap().to_string_lossy().into_owned();
    let program = PathBuf::from(std::env::args().next().unwrap());
    std::fs::create_dir_all(&bucket).unwrap();
    let journal = bucket.join("journal.txt");
    let mut store = Store {
        fault: program.file_name().unwrap().to_string_lossy().into_owned(),
        fenced: bucket.join("sealed.txt").exists(),
        journal: OpenOptions::new()
            .create(true)
            .append(true)
            .open(journal)
            .unwrap(),
        bucket: bucket.clone(),
        keys: BTreeSet::new(),
        events: Vec::new(),
        unwritten: false,
    };
    if store.fault == "accepts" {
        store.fenced = false;
    }
    std::fs::create_dir_all(bucket.join("segments/1")).unwrap();
    store.load(&bucket);
    if let Some(source) = source {
        store.load(&source);
        std::fs::write(source.join("sealed.txt"), "sealed").unwrap();
        store.cheat(&source);
    }
    let store = Arc::new(Mutex::new(store));
    std::thread::spawn(|| {
        // The leash: the parent holds the other end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let writer = store.clone();
    std::thread::spawn(move || {
        for round in 0.. {
            std::thread::sleep(Duration::from_millis(150));
            let mut store = writer.lock().unwrap();
            if std::mem::take(&mut store.unwritten) {
                for partition in 0..4 {
                    segment(
                        &bucket,
                        &format!("{region}-{}-{round}-{partition}", std::process::id()),
                    );
                }
            }
        }
    });
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(serve(store));
}

async fn serve(store: Shared) {
    let variable = |name: &str| std::env::var(name).unwrap();
    let address = format!("{}:{}", variable("BACKSTAY_BIND"), variable("PORT"));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let router = axum::Router::new()
        .route("/api/v1/status", get(status))
        .route("/graphql", post(graphql))
        .route("/api/v1/ingest/humio-structured", post(ingest))
        .route("/api/v1/repositories/{repository}/query", post(query))
        .with_state(store);
    axum::serve(listener, router).await.unwrap();
}

async fn status(State(store): State<Shared>) -> (StatusCode, &'static str) {
    match store.lock().unwrap().fenced {
        true => (StatusCode::SERVICE_UNAVAILABLE, "fenced"),
        false => (StatusCode::OK, "OK"),
    }
}

async fn graphql() -> String {
    json!({ "data": { "addIngestTokenV3": { "token": "token" } } }).to_string()
}

async fn ingest(State(store): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    tokio::time::sleep(Duration::from_millis(15)).await;
    let mut store = store.lock().unwrap();
    if store.fenced {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let key = headers["Idempotency-Key"].to_str().unwrap().to_owned();
    let groups: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let events: Vec<Value> = groups
        .iter()
        .flat_map(|group| group["events"].as_array().unwrap())
        .map(|event| {
            json!({ "drill_id": event["attributes"]["drill_id"], "@rawstring": event["rawstring"] })
        })
        .collect();
    // A node that acknowledges without keeping: what is written is lost with the process.
    let forgets = store.fault == "forgets" && store.keys.len().is_multiple_of(40);
    if store.keys.insert(key.clone()) {
        if !forgets {
            let line = json!({ "key": key, "events": events });
            writeln!(store.journal, "{line}").unwrap();
        }
        store.events.extend(events);
        // An old primary that cheats does it in one way at a time.
        store.unwritten = !store.bucket.join("sealed.txt").exists();
    }
    StatusCode::OK
}

async fn query(State(store): State<Shared>, body: Bytes) -> String {
    let question: Value = serde_json::from_slice(&body).unwrap();
    let store = store.lock().unwrap();
    if question["queryString"] == "count()" {
        // Complete is judged by the number alone at this point; a cheat would claim it.
        return json!({ "_count": "1000000000" }).to_string();
    }
    store
        .events
        .iter()
        .map(|event| format!("{event}\n"))
        .collect()
}
