//! `#repo` in a view of several repositories.

use std::time::Instant;

use backstay_global::{Event, Extra, State, View, ViewConnection};
use serde_json::json;

use super::server::{HANG_TIMEOUT, Server};
use super::{all_time, ndjson, rows};

const VIEW: &str = "/api/v1/repositories/all/query";

fn create(server: &Server, name: &str) {
    server.data(
        "mutation($name: String!) { createRepository(name: $name) { repository { name } } }",
        &json!({ "name": name }),
    );
}

/// A view of these repositories.
fn connect(server: &Server, name: &str, repositories: &[&str]) {
    let global = server.engine().global().unwrap();
    let connections = global.read(|state| {
        let id = |name: &&str| state.repository_named(name).unwrap().id.clone();
        let connection = |repository| ViewConnection {
            repository,
            filter: String::new(),
            extra: Extra::default(),
        };
        repositories.iter().map(id).map(connection).collect()
    });
    let view = View {
        id: format!("id-{name}"),
        name: name.to_owned(),
        connections,
        extra: Extra::default(),
    };
    let set = |_: &State| Ok(vec![Event::ViewSet { view: view.clone() }]);
    server.block_on(global.commit(set)).unwrap();
}

/// Waits until something of a repository is in segments; the folder that they are in.
fn segments_of(server: &Server, name: &str) -> std::path::PathBuf {
    let global = server.engine().global().unwrap();
    let begun = Instant::now();
    loop {
        let found = global.read(|state| {
            let id = state.repository_named(name).unwrap().id.clone();
            let any = state.segments.overlapping(&id, i64::MIN, i64::MAX).next();
            any.is_some().then_some(id)
        });
        if let Some(id) = found {
            return server.bucket().join("segments").join(id.as_str());
        }
        assert!(
            begun.elapsed() < HANG_TIMEOUT,
            "no segment of {name} was published"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_view_is_told_apart_by_repository_and_what_cannot_match_need_not_be_there() {
    let server = Server::with(&[
        ("BACKSTAY_SEGMENT_BYTES", "200"),
        ("BACKSTAY_CACHE_BYTES", "0"),
    ]);
    for name in ["web", "db"] {
        create(&server, name);
    }
    // One of them twice: its events count once.
    connect(&server, "all", &["web", "db", "web"]);
    let many: Vec<String> = (0..40).map(|n| format!("line {n} of many")).collect();
    let lines: Vec<(i64, &str)> = many.iter().map(|line| (3000, line.as_str())).collect();
    server.ingest("web", &lines);
    server.ingest("db", &lines[..30]);
    let folder = segments_of(&server, "web");
    segments_of(&server, "db");
    // Too little for a segment.
    server.ingest("db", &[(4000, "the newest line")]);
    let count = |n: u64| vec![json!({ "_count": n.to_string() })];
    let ask = |query: &str| rows(&ndjson(&server, VIEW, &all_time(query)));
    let of = |repository: &str, n: u64| json!({ "#repo": repository, "_count": n.to_string() });
    for (query, expected) in [
        ("count()", count(71)),
        ("groupBy(#repo)", vec![of("web", 40), of("db", 31)]),
        ("line | groupBy(#repo)", vec![of("web", 40), of("db", 31)]),
        ("tail(1) | groupBy(#repo)", vec![of("db", 1)]),
        (
            "(#repo=web or newest) | groupBy(#repo)",
            vec![of("web", 40), of("db", 1)],
        ),
        ("not #repo=web | groupBy(#repo)", vec![of("db", 31)]),
        ("#repo=all | count()", count(0)),
        ("#repo!=all | count()", count(71)),
        (
            "#repo=/^D/i | sort(@id, limit=1) | select(#repo)",
            vec![json!({ "#repo": "db" })],
        ),
    ] {
        assert_eq!(ask(query), expected, "{query}");
    }

    std::fs::remove_dir_all(folder).unwrap();
    let ask = |query: &str| ndjson(&server, VIEW, &all_time(query));
    for query in ["many", "#repo=web many", "#repo=d* or many"] {
        let answer = ask(query);
        assert!(
            answer.status != 200 || !answer.complete,
            "{query}: {answer:?}"
        );
    }
    for (query, expected) in [
        ("#repo=db | count()", count(31)),
        ("#repo!=web many | count()", count(30)),
        (
            "not (#repo=web or many) | groupBy(#repo)",
            vec![of("db", 1)],
        ),
    ] {
        assert_eq!(rows(&ask(query)), expected, "{query}");
    }
    assert_eq!(rows(&ask("#repo=db")).len(), 31);

    // The name is the one that it has now.
    let global = server.engine().global().unwrap();
    let renamed = |state: &State| {
        let mut repository = state.repository_named("db").unwrap().clone();
        repository.name = "data".to_owned();
        Ok(vec![Event::RepositoryUpdated { repository }])
    };
    server.block_on(global.commit(renamed)).unwrap();
    assert_eq!(rows(&ask("#repo=data | groupBy(#repo)")), [of("data", 31)]);
}
