//! Searches over a real socket: streamed in each format, and as jobs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "query/limits.rs"]
mod limits;
#[path = "query/others.rs"]
mod others;
#[path = "query/repositories.rs"]
mod repositories;
#[path = "query/secure.rs"]
mod secure;
#[path = "query/server.rs"]
mod server;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::{Answer, HANG_TIMEOUT, Server};

const QUERY: &str = "/api/v1/repositories/humio/query";
const JOBS: &str = "/api/v1/repositories/humio/queryjobs";

fn all_time(query: &str) -> Value {
    json!({ "queryString": query, "start": 0, "end": 4_000_000_000_000_i64, "isLive": false })
}

fn ndjson(server: &Server, path: &str, body: &Value) -> Answer {
    let accept = "application/x-ndjson";
    server.call("POST", path, Some(&server.admin), accept, &body.to_string())
}

fn rows(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.complete, "{answer:?}");
    let lines = answer.body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Polls a job until it is done.
fn done(server: &Server, path: &str) -> Value {
    let begun = Instant::now();
    loop {
        let answer = server.admin("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        if answer["done"] == json!(true) {
            return answer;
        }
        assert!(begun.elapsed() < HANG_TIMEOUT, "never done: {answer}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn create(server: &Server, body: &Value) -> String {
    let answer = server.admin("POST", JOBS, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_acknowledged_is_found_at_once_and_again_in_segments() {
    let server = Server::with(&[("BACKSTAY_SEGMENT_BYTES", "200")]);
    server.ingest("humio", &[(1000, "first error"), (2000, "second line")]);
    let found = rows(&ndjson(&server, QUERY, &all_time("error")));
    assert_eq!(
        found,
        [json!({
            "@timestamp": 1000, "@rawstring": "first error", "@id": "humio-first error",
            "#repo": "humio", "#kind": "test", "length": "11"
        })]
    );
    let many: Vec<String> = (0..50).map(|n| format!("line {n} with an error")).collect();
    let lines: Vec<(i64, &str)> = many.iter().map(|line| (3000, line.as_str())).collect();
    server.ingest("humio", &lines);
    server.wait_for_segments();
    let found = rows(&ndjson(&server, QUERY, &all_time("error")));
    assert_eq!(found.len(), 51);
    let count = rows(&ndjson(&server, QUERY, &all_time("error | count()")));
    assert_eq!(count, [json!({ "_count": "51" })]);
}

#[test]
fn rows_come_in_the_format_that_the_client_accepts() {
    let server = Server::start();
    server.ingest("humio", &[(1000, "one"), (2000, "two \"quoted\"")]);
    let call = |accept: &str, query: &str| {
        let body = all_time(query).to_string();
        let answer = server.call("POST", QUERY, Some(&server.admin), accept, &body);
        assert!(answer.complete);
        answer
    };
    for nothing in ["application/x-ndjson", "text/plain"] {
        assert_eq!(call(nothing, "nowhere").body, "", "{nothing}");
    }
    let none = call("application/json", "nowhere");
    assert_eq!(none.json(), json!([]));

    let array = call("text/csv, application/json;q=0.9", "*");
    assert!(array.head.contains("content-type: application/json"));
    let array = array.json();
    let times: Vec<&Value> = array
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["@timestamp"])
        .collect();
    assert_eq!(times, [&json!(1000), &json!(2000)]);

    let lines = call("application/x-ndjson", "*");
    assert!(lines.head.contains("content-type: application/x-ndjson"));
    assert_eq!(rows(&lines).len(), 2);

    assert_eq!(call("*/*", "*").body, "one\ntwo \"quoted\"\n");
    assert_eq!(call("text/plain", "count()").body, "_count->2\n");
    assert_eq!(call("text/csv", "*").status, 406);
}

#[test]
fn both_spellings_and_relative_times_are_understood() {
    let server = Server::start();
    let now = now_ms();
    server.ingest("humio", &[(now - 7_200_000, "old"), (now - 1000, "new")]);
    for path in [QUERY, "/api/v1/dataspaces/humio/query"] {
        let body = json!({ "queryString": "*", "start": "1h", "end": "now" });
        let found = rows(&ndjson(&server, path, &body));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["@rawstring"], "new");
        let body = json!({ "queryString": "*" });
        assert_eq!(rows(&ndjson(&server, path, &body)).len(), 2);
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[test]
fn a_job_is_made_polled_and_cancelled() {
    let server = Server::start();
    server.ingest("humio", &[(1000, "a"), (2000, "b"), (3000, "b")]);
    let id = create(&server, &all_time("b"));
    let path = format!("{JOBS}/{id}");
    let answer = done(&server, &path);
    assert_eq!(answer["cancelled"], json!(false));
    // Newest first.
    assert_eq!(answer["events"][0]["@timestamp"], 3000);
    let meta = &answer["metaData"];
    assert_eq!(meta["eventCount"], 2);
    assert_eq!(meta["isAggregate"], false);
    assert_eq!(meta["extraData"]["hasMoreEvents"], "false");
    assert_eq!(meta["queryStart"], 0);
    assert_eq!(meta["queryEnd"], 4_000_000_000_000_i64);
    assert_eq!(meta["workDone"], meta["totalWork"]);
    assert_eq!(meta["warnings"], json!([]));
    let fields = meta["fieldOrder"].as_array().unwrap();
    assert!(fields.contains(&json!("@rawstring")), "{fields:?}");

    // The older spelling is the same job; another repository's is not.
    let older = path.replace("repositories", "dataspaces");
    assert_eq!(server.admin("GET", &older, &Value::Null).status, 200);
    let other = path.replace("/humio/", "/other/");
    assert_eq!(server.admin("GET", &other, &Value::Null).status, 404);

    assert_eq!(server.admin("DELETE", &path, &Value::Null).status, 204);
    let gone = server.admin("GET", &path, &Value::Null);
    assert_eq!(gone.status, 404);
    assert!(gone.body.contains("create it again"), "{gone:?}");
    assert_eq!(server.admin("DELETE", &path, &Value::Null).status, 404);
}

#[test]
fn an_aggregate_is_polled_as_one() {
    let server = Server::start();
    server.ingest("humio", &[(1000, "a"), (2000, "b"), (3000, "b")]);
    let id = create(&server, &all_time("groupBy(length)"));
    let answer = done(&server, &format!("{JOBS}/{id}"));
    assert_eq!(answer["events"], json!([{ "length": "1", "_count": "3" }]));
    assert_eq!(answer["metaData"]["isAggregate"], true);
    assert_eq!(
        answer["metaData"]["fieldOrder"],
        json!(["_count", "length"])
    );
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let server = Server::start();
    for path in [QUERY, JOBS] {
        let answer = server.admin("POST", path, &all_time("error and ("));
        assert_eq!(answer.status, 400, "{answer:?}");
        for part in ["at character 11", "expected", ";"] {
            assert!(answer.body.contains(part), "{part}: {answer:?}");
        }
        let answer = server.admin("POST", path, &json!({ "isLive": true }));
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("isLive"), "{answer:?}");

        let unknown = path.replace("/humio/", "/nowhere/");
        let answer = server.admin("POST", &unknown, &all_time("x"));
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(answer.body.contains("`nowhere`"), "{answer:?}");
    }
}

#[test]
fn a_search_that_fails_says_why_however_it_is_asked_for() {
    let server = Server::start();
    server.ingest("humio", &[(1000, "a"), (3_000_000_000_000, "b")]);
    let query = all_time("timeChart(span=1ms)");
    let streamed = ndjson(&server, QUERY, &query);
    assert_eq!(streamed.status, 400, "{streamed:?}");
    assert!(streamed.body.contains("longer span"), "{streamed:?}");

    let path = format!("{JOBS}/{}", create(&server, &query));
    let begun = Instant::now();
    let polled = loop {
        let polled = server.admin("GET", &path, &Value::Null);
        if polled.status != 200 {
            break polled;
        }
        assert!(begun.elapsed() < HANG_TIMEOUT, "never done: {polled:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((polled.status, polled.body), (400, streamed.body));
}

#[test]
fn only_the_administrator_searches_and_no_answer_shows_a_token() {
    let server = Server::start();
    let id = create(&server, &all_time("x"));
    let job = format!("{JOBS}/{id}");
    let wrong = "wrong-token-0123456789";
    for (method, path) in [
        ("POST", QUERY),
        ("POST", JOBS),
        ("GET", job.as_str()),
        ("DELETE", job.as_str()),
    ] {
        for (token, status) in [(None, 401), (Some(wrong), 403)] {
            let answer = server.call(method, path, token, "*/*", "{}");
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            assert!(answer.json()["error"].is_string(), "{answer:?}");
            let all = format!("{}{}", answer.head, answer.body);
            assert!(
                !all.contains(wrong) && !all.contains(&server.admin),
                "{all}"
            );
        }
    }
    assert_eq!(server.admin("GET", &job, &Value::Null).status, 200);
}

/// `#type` is the parser, `#repo` the repository: of events in segments and of those that are in none
/// yet, streamed and as a job.
#[test]
fn parser_and_repository_are_searched_and_grouped() {
    let server = Server::with(&[("BACKSTAY_SEGMENT_BYTES", "200")]);
    let send = |parser: &str, lines: &[String]| {
        let token = server.ingest_token(parser, Some(parser));
        let body = json!([{ "messages": lines }]).to_string();
        let path = "/api/v1/ingest/humio-unstructured";
        let answer = server.call("POST", path, Some(&token), "*/*", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let json: Vec<String> = (0..30).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let kv: Vec<String> = (0..20).map(|n| format!("n={n}")).collect();
    send("json", &json);
    send("kv", &kv);
    server.wait_for_segments();
    // Too little for a segment.
    send("accesslog", &["what is no such line".to_owned()]);
    let types = "(#type=json or #type=kv or #type=accesslog)";
    let all = json!({ "_count": "51" });
    for (query, expected) in [
        ("#type=json | count()", vec![json!({ "_count": "30" })]),
        (
            "#type=k* #repo=humio | count()",
            vec![json!({ "_count": "20" })],
        ),
        (
            "n < 25 | groupBy(#type)",
            vec![
                json!({ "#type": "json", "_count": "25" }),
                json!({ "#type": "kv", "_count": "20" }),
            ],
        ),
        (
            &format!("{types} | groupBy(#repo)"),
            vec![json!({ "#repo": "humio", "_count": "51" })],
        ),
        (
            &format!("{types} | groupBy([#repo, #type]) | head(2)"),
            vec![
                json!({ "#repo": "humio", "#type": "json", "_count": "30" }),
                json!({ "#repo": "humio", "#type": "kv", "_count": "20" }),
            ],
        ),
        (
            &format!("{types} | #repo=humio | count(#repo)"),
            vec![all.clone()],
        ),
        (
            &format!("{types} | tail(100) | #repo=humio | count()"),
            vec![all],
        ),
        ("#repo=other | count()", vec![json!({ "_count": "0" })]),
        ("#repo!=humio | count()", vec![json!({ "_count": "0" })]),
    ] {
        let found = rows(&ndjson(&server, QUERY, &all_time(query)));
        assert_eq!(found, expected, "{query}");
        let id = create(&server, &all_time(query));
        let job = done(&server, &format!("{JOBS}/{id}"));
        assert_eq!(job["events"], json!(expected), "{query}");
    }
    let seventh = "#repo=humio #type=kv n=7";
    for query in [seventh, "#type=kv n=7", "#type=kv n=7 | tail(1)"] {
        let found = rows(&ndjson(&server, QUERY, &all_time(query)));
        let [event] = found.as_slice() else {
            panic!("{query}: {found:?}")
        };
        for (name, value) in [("#repo", "humio"), ("#type", "kv"), ("n", "7")] {
            assert_eq!(event[name], value, "{query}: {event}");
        }
    }
    let selected = all_time(&format!("{seventh} | select([#type, #repo])"));
    let formats = [
        ("text/plain", "#repo->humio, #type->kv\n"),
        (
            "application/x-ndjson",
            "{\"#repo\":\"humio\",\"#type\":\"kv\"}\n",
        ),
        (
            "application/json",
            "[{\"#repo\":\"humio\",\"#type\":\"kv\"}\n]\n",
        ),
    ];
    for (format, expected) in formats {
        let (token, body) = (Some(server.admin.as_str()), selected.to_string());
        let answer = server.call("POST", QUERY, token, format, &body);
        assert_eq!(answer.body, expected, "{format}");
    }
}
