//! Clients of the global name that ask all the time, each in its own way, and count every request
//! that was not answered as it should be. None tries anything a second time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backstay_pair::Side;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::world::World;

const NAME: &str = "logs.trafficmanager.net";
/// A request that takes longer has failed: what a shipper's patience is.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two requests of a client.
const PACE: Duration = Duration::from_millis(10);

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// What was acknowledged.
    acknowledged: Mutex<BTreeSet<String>>,
    /// The longest that any request took, and which one.
    slowest: Mutex<(Duration, String)>,
}

/// What one kind of client needs.
#[derive(Clone)]
struct Member {
    /// Tells its lines from those of others.
    name: &'static str,
    client: Client,
    base: String,
    admin: String,
    token: String,
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
}

/// Clients that run.
pub struct Crowd {
    runtime: Runtime,
    member: Member,
    tasks: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Starts clients of the name, which leads to this region.
    pub fn start(world: &World, side: Side) -> Self {
        let [_, at] = world.place().ingress_proxies(side);
        // An error means that one is installed already.
        backstay_tls::install_provider();
        let client = Client::builder()
            .no_proxy()
            .resolve(NAME, at)
            .tls_danger_accept_invalid_certs(true)
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let mut member = Member {
            name: "",
            client,
            base: format!("https://{NAME}:{}", at.port()),
            admin: world.admin_token(side),
            token: String::new(),
            seen: Arc::default(),
            stop: Arc::default(),
        };
        let runtime = Runtime::new().unwrap();
        let asked = member.graphql(
            r#"mutation { addIngestTokenV3(input: {repositoryName: "humio", name: "crowd"}) { token } }"#,
        );
        let made = runtime.block_on(asked).unwrap();
        let token = made["data"]["addIngestTokenV3"]["token"].as_str();
        member.token = token.unwrap_or_else(|| panic!("{made}")).to_owned();
        let mut tasks = Vec::new();
        for name in ["keyed-a", "keyed-b", "plain-a", "plain-b", "named"] {
            let member = member.clone().called(name);
            tasks.push(runtime.spawn(member.sends()));
        }
        for name in ["search-a", "search-b"] {
            let member = member.clone().called(name);
            tasks.push(runtime.spawn(member.searches()));
        }
        tasks.push(runtime.spawn(member.clone().called("jobs").runs_jobs()));
        tasks.push(runtime.spawn(member.clone().called("admin").administers()));
        Self {
            runtime,
            member,
            tasks,
        }
    }

    /// Waits until so many more requests were made.
    pub fn flow(&self, requests: u64) {
        let wanted = self.requests() + requests;
        let start = Instant::now();
        while self.requests() < wanted {
            assert!(start.elapsed() < Duration::from_secs(120), "they hang");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn requests(&self) -> u64 {
        self.member.seen.requests.load(Ordering::Acquire)
    }

    /// How many requests there were, how many of them have failed, and how long the slowest took.
    pub fn say(&self, when: &str) {
        let seen = &self.member.seen;
        let failures = seen.failures.lock().unwrap();
        let slowest = seen.slowest.lock().unwrap();
        eprintln!(
            "{when}: {} requests, {} failed, the slowest took {} ms ({})",
            self.requests(),
            failures.len(),
            slowest.0.as_millis(),
            slowest.1,
        );
    }

    /// Ends them, and checks that no request has failed and that what was acknowledged is found,
    /// each line once.
    pub fn check(self) {
        self.member.stop.store(true, Ordering::Release);
        let Self {
            runtime,
            member,
            tasks,
        } = self;
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        let failures = member.seen.failures.lock().unwrap();
        assert!(
            failures.is_empty(),
            "{} of {} requests failed:\n{}",
            failures.len(),
            member.seen.requests.load(Ordering::Acquire),
            failures.join("\n")
        );
        let text = runtime.block_on(member.find("\"crowd \"")).unwrap();
        let mut found = BTreeSet::new();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let line = row["@rawstring"].as_str().unwrap().to_owned();
            assert!(found.insert(line.clone()), "{line} is there twice");
        }
        let acknowledged = member.seen.acknowledged.lock().unwrap();
        assert_eq!(*acknowledged, found);
    }
}

impl Member {
    fn called(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    /// One request, which counts. `None` when it has failed.
    async fn ask(&self, what: &str, request: RequestBuilder) -> Option<String> {
        let begun = Instant::now();
        let answer = async {
            let answer = request.send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        let answer = answer.await;
        let took = begun.elapsed();
        self.seen.requests.fetch_add(1, Ordering::AcqRel);
        let mut slowest = self.seen.slowest.lock().unwrap();
        if slowest.0 < took {
            *slowest = (took, format!("{}: {what}", self.name));
        }
        drop(slowest);
        let why = match answer {
            Ok((status, text)) if status.is_success() => return Some(text),
            Ok((status, text)) => format!("{status}: {text}"),
            Err(error) => format!("{error:?}"),
        };
        let ago = took.as_millis();
        self.seen
            .failures
            .lock()
            .unwrap()
            .push(format!("{}: {what}, after {ago} ms: {why}", self.name));
        None
    }

    fn post(&self, path: &str, token: &str) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.base));
        request
            .bearer_auth(token)
            .header(CONTENT_TYPE, "application/json")
    }

    async fn sends(self) {
        let mut number = 0;
        while self.goes_on() {
            let line = format!("crowd {} {number}", self.name);
            let (path, token) = match self.name {
                // Its path goes where searches go.
                "named" => ("/api/v1/repositories/humio/ingest-messages", &self.admin),
                _ => ("/api/v1/ingest/humio-unstructured", &self.token),
            };
            let mut request = self
                .post(path, token)
                .body(json!([{ "messages": [line] }]).to_string());
            if self.name.starts_with("keyed") {
                request = request.header("Idempotency-Key", &line);
            }
            if self.ask("ingest", request).await.is_some() {
                self.seen.acknowledged.lock().unwrap().insert(line);
            }
            number += 1;
            tokio::time::sleep(PACE).await;
        }
    }

    fn query(&self, query: &str) -> String {
        json!({ "queryString": query, "start": "1d" }).to_string()
    }

    async fn find(&self, query: &str) -> Option<String> {
        let request = self
            .post("/api/v1/repositories/humio/query", &self.admin)
            .header("Accept", "application/x-ndjson")
            .body(self.query(query));
        self.ask("search", request).await
    }

    /// Each search must find at least what was acknowledged before it was asked.
    async fn searches(self) {
        while self.goes_on() {
            let before = self.seen.acknowledged.lock().unwrap().len();
            if let Some(text) = self.find("\"crowd \" | count()").await {
                self.is_complete(&text, before);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    fn is_complete(&self, row: &str, least: usize) {
        let row: Value = serde_json::from_str(row).unwrap_or_default();
        let count = &row["_count"];
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok());
        if count.is_none_or(|count| count < least as u64) {
            let told = format!("{}: {row} of {least} acknowledged", self.name);
            self.seen.failures.lock().unwrap().push(told);
        }
    }

    /// Searches as LogScale's own page does: a job, which is polled until it is done.
    async fn runs_jobs(self) {
        let jobs = "/api/v1/repositories/humio/queryjobs";
        while self.goes_on() {
            let before = self.seen.acknowledged.lock().unwrap().len();
            let request = self
                .post(jobs, &self.admin)
                .body(self.query("\"crowd \" | count()"));
            let Some(made) = self.ask("make a job", request).await else {
                continue;
            };
            let made: Value = serde_json::from_str(&made).unwrap();
            let job = format!("{}{jobs}/{}", self.base, made["id"].as_str().unwrap());
            loop {
                tokio::time::sleep(PACE).await;
                let request = self.client.get(&job).bearer_auth(&self.admin);
                let Some(polled) = self.ask("poll a job", request).await else {
                    break;
                };
                let polled: Value = serde_json::from_str(&polled).unwrap();
                if polled["done"] == true {
                    self.is_complete(&polled["events"][0].to_string(), before);
                    break;
                }
            }
            let request = self.client.delete(&job).bearer_auth(&self.admin);
            self.ask("end a job", request).await;
        }
    }

    async fn graphql(&self, query: &str) -> Option<Value> {
        let body = json!({ "query": query }).to_string();
        let request = self.post("/graphql", &self.admin).body(body);
        let text = self.ask("GraphQL", request).await?;
        serde_json::from_str(&text).ok()
    }

    async fn administers(self) {
        while self.goes_on() {
            self.graphql("{ meta { version } }").await;
            let status = self.client.get(format!("{}/api/v1/status", self.base));
            self.ask("status", status).await;
            tokio::time::sleep(PACE).await;
        }
    }
}
