//! Administration over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "graphql/operator.rs"]
mod operator;
#[path = "query/server.rs"]
mod server;

use backstay_node::memory::MemoryUse;
use serde_json::{Value, json};
use server::Server;

const ADD_TOKEN: &str = "mutation($input: AddIngestTokenV3Input!) {
    addIngestTokenV3(input: $input) { name token parser { name } } }";
const CREATE: &str = "mutation($name: String!) {
    createRepository(name: $name) { repository { id name } } }";

fn refusal(server: &Server, query: &str, variables: &Value) -> (String, String) {
    let answer = server.graphql(query, variables);
    let error = &answer["errors"][0];
    let code = error["extensions"]["code"].as_str().unwrap_or("");
    (
        code.to_owned(),
        error["message"].as_str().unwrap_or("").to_owned(),
    )
}

#[test]
fn repositories_are_made_once_and_listed() {
    let server = Server::start();
    let made = server.data(CREATE, &json!({ "name": "web-logs" }));
    assert_eq!(made["createRepository"]["repository"]["name"], "web-logs");
    let (code, message) = refusal(&server, CREATE, &json!({ "name": "web-logs" }));
    assert_eq!(code, "REJECTED");
    assert!(message.contains("already"), "{message}");
    for name in ["", "a/b", "../x", "ü", "-x", &"x".repeat(101)] {
        let (code, message) = refusal(&server, CREATE, &json!({ "name": name }));
        assert_eq!(code, "BAD_USER_INPUT", "{name}");
        assert!(message.contains("letters"), "{message}");
    }
    let data = server.data(
        "{ repositories { name } searchDomains { __typename id name description }
           repository(name: \"web-logs\") { id name ingestTokens { name } } }",
        &Value::Null,
    );
    let names: Vec<&str> = data["repositories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"humio") && names.contains(&"web-logs"),
        "{names:?}"
    );
    assert_eq!(data["searchDomains"].as_array().unwrap().len(), names.len());
    assert_eq!(data["repository"]["ingestTokens"], json!([]));
    for asked in ["repository", "searchDomain"] {
        let asked = format!("{{ {asked}(name: \"nowhere\") {{ name }} }}");
        let (code, message) = refusal(&server, &asked, &Value::Null);
        assert_eq!(code, "NOT_FOUND");
        assert!(message.contains("nowhere"), "{message}");
    }
    // It takes events from then on.
    server.ingest("web-logs", &[(1000, "hello")]);
}

#[test]
fn an_ingest_token_is_shown_once_works_and_is_revoked() {
    let server = Server::start();
    let input =
        json!({ "input": { "repositoryName": "humio", "name": "shipper", "parser": "json" } });
    let made = server.data(ADD_TOKEN, &input)["addIngestTokenV3"].clone();
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.len() >= 40, "too short to be secret");
    assert_eq!(made["name"], "shipper");
    assert_eq!(made["parser"]["name"], "json");
    let allowed = server.engine().resolve_ingest_token(&token).unwrap();
    assert_eq!(allowed.repository.as_str(), "humio");
    assert_eq!(allowed.parser.as_deref(), Some("json"));

    let list = "{ repository(name: \"humio\") { ingestTokens { name token parser { name } } }
                  ingestTokens(repositoryName: \"humio\") { name } }";
    let listed = server.data(list, &Value::Null);
    assert_eq!(
        listed["repository"]["ingestTokens"],
        json!([{ "name": "shipper", "token": null, "parser": { "name": "json" } }])
    );
    assert_eq!(listed["ingestTokens"], json!([{ "name": "shipper" }]));
    assert!(!server.snapshot_text().contains(&token));

    // It does not administer, and the refusal does not repeat it.
    let answer = server.call("POST", "/graphql", Some(&token), "*/*", "{}");
    assert_eq!(answer.status, 403);
    assert!(!answer.body.contains(&token));

    let (code, message) = refusal(&server, ADD_TOKEN, &input);
    assert_eq!(code, "REJECTED");
    assert!(message.contains("shipper"), "{message}");
    let nowhere = json!({ "repositoryName": "nowhere", "name": "x" });
    let odd = json!({ "repositoryName": "humio", "name": "x", "parser": "odd" });
    for (input, wanted, named) in [
        (nowhere, "REJECTED", "nowhere"),
        (odd, "BAD_USER_INPUT", "odd"),
    ] {
        let (code, message) = refusal(&server, ADD_TOKEN, &json!({ "input": input }));
        assert_eq!(code, wanted);
        assert!(message.contains(named), "{message}");
    }

    let revoke =
        "mutation { removeIngestToken(repositoryName: \"humio\", name: \"shipper\") { result } }";
    let done = server.data(revoke, &Value::Null);
    assert_eq!(done["removeIngestToken"]["result"], true);
    assert_eq!(server.engine().resolve_ingest_token(&token), None);
    assert_eq!(refusal(&server, revoke, &Value::Null).0, "REJECTED");
}

#[test]
fn a_drain_can_be_told_to_flush() {
    let server = Server::start();
    let asked = "{ dynamicConfigs { dynamicConfigKey dynamicConfigValue }
                   dynamicConfig(dynamicConfig: FlushSegmentsAndGlobalOnShutdown) }";
    assert_eq!(server.data(asked, &Value::Null)["dynamicConfig"], "false");
    // As LogScale's operators type it, and as they check it.
    let set = "mutation { setDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown, value: \"true\"}) }";
    let body = json!({ "query": set });
    let answer = server.admin("POST", "/graphql", &body);
    assert!(
        answer.body.contains("\"setDynamicConfig\":true"),
        "{answer:?}"
    );
    let now = server.data(asked, &Value::Null);
    assert_eq!(
        now["dynamicConfigs"],
        json!([{ "dynamicConfigKey": "FlushSegmentsAndGlobalOnShutdown", "dynamicConfigValue": "true" }])
    );
    let (code, message) = refusal(
        &server,
        "mutation { setDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown, value: \"yes\"}) }",
        &Value::Null,
    );
    assert_eq!(code, "BAD_USER_INPUT");
    assert!(message.contains("\"true\" or \"false\""), "{message}");
    let unset =
        "mutation { unsetDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown}) }";
    assert_eq!(server.data(unset, &Value::Null)["unsetDynamicConfig"], true);
    assert_eq!(server.data(asked, &Value::Null)["dynamicConfig"], "false");
    let (_, message) = refusal(
        &server,
        "mutation { setDynamicConfig(input: {config: Unheard, value: \"true\"}) }",
        &Value::Null,
    );
    assert!(message.contains("Unheard"), "{message}");
}

#[test]
fn users_come_and_go() {
    let server = Server::start();
    let add = "mutation($input: AddUserInputV2!) { addUserV2(input: $input) { ... on User { id username isRoot } } }";
    let input = json!({ "input": { "username": "ada", "isRoot": true } });
    let made = server.data(add, &input);
    assert_eq!(made["addUserV2"]["username"], "ada");
    assert_eq!(refusal(&server, add, &input).0, "REJECTED");
    let listed = server.data(
        "{ users(search: \"AD\") { username fullName isRoot } }",
        &Value::Null,
    );
    assert_eq!(
        listed["users"],
        json!([{ "username": "ada", "fullName": null, "isRoot": true }])
    );
    let remove = "mutation { removeUser(input: {username: \"ada\"}) { user { username } } }";
    let gone = server.data(remove, &Value::Null);
    assert_eq!(gone["removeUser"]["user"]["username"], "ada");
    assert_eq!(refusal(&server, remove, &Value::Null).0, "REJECTED");
}

#[test]
fn the_node_tells_what_it_is() {
    let server = Server::start();
    let data = server.data(
        "{ meta { version } cluster { id nodes { id uri roles } ingestPartitions { id nodeIds } } }",
        &Value::Null,
    );
    assert_eq!(data["meta"]["version"], backstay_node::VERSION);
    let cluster = &data["cluster"];
    assert_eq!(cluster["nodes"][0]["roles"], json!(["all"]));
    assert_eq!(cluster["ingestPartitions"].as_array().unwrap().len(), 4);
}

#[test]
fn only_the_administrator_administers() {
    let server = Server::start();
    let wrong = "wrong-token-0123456789";
    let body = "{\"query\":\"{ meta { version } }\"}";
    for (method, path) in [
        ("POST", "/graphql"),
        ("GET", "/api/v1/users"),
        ("POST", "/api/v1/users"),
        ("DELETE", "/api/v1/users/1"),
    ] {
        for (token, status) in [(None, 401), (Some(wrong), 403)] {
            let answer = server.call(method, path, token, "*/*", body);
            assert_eq!(answer.status, status, "{answer:?}");
            assert!(answer.json()["error"].is_string(), "{answer:?}");
            assert!(!answer.body.contains(wrong), "{answer:?}");
        }
    }
    let answer = server.admin("POST", "/graphql", &json!("no request"));
    assert_eq!(answer.status, 400, "{answer:?}");
    let (_, message) = refusal(&server, "{ nothing }", &Value::Null);
    assert!(message.contains("nothing"), "{message}");
}

#[test]
fn bodies_are_read_of_the_administrator_only_and_within_bounds() {
    let server = Server::start();
    let ingest = server.ingest_token("shipper", None);
    for path in ["/graphql", "/api/v1/users"] {
        assert_eq!(server.status_without_body(path, None), 401, "{path}");
        assert_eq!(
            server.status_without_body(path, Some(&ingest)),
            403,
            "{path}"
        );
    }
    // As long as the bound, and a byte more.
    for (length, status) in [(512 << 10, 200), ((512 << 10) + 1, 413)] {
        let query = json!({ "query": "{ meta { version } }" }).to_string();
        let padded = query.clone() + &" ".repeat(length - query.len());
        let path = "/graphql";
        let answer = server.call("POST", path, Some(&server.admin), "*/*", &padded);
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let memory = server.engine().memory();
    assert_eq!(memory.refused(MemoryUse::Administration), 0);
    assert_eq!(memory.used(MemoryUse::Administration), 0);
    // What others do with the node's memory keeps no administrator out.
    let searches = memory.share(MemoryUse::Searches);
    let _all = memory.try_take(MemoryUse::Searches, searches).unwrap();
    server.data("{ meta { version } }", &Value::Null);
}

#[test]
fn a_bucket_that_is_gone_is_said_and_nothing_is_changed() {
    let server = Server::with(&[("BACKSTAY_DRAIN_SECONDS", "5")]);
    let back = server.lose_bucket();
    let (code, message) = refusal(&server, CREATE, &json!({ "name": "web" }));
    assert_eq!(code, "UNAVAILABLE", "{message}");
    let path = "/api/v1/repositories/humio/query";
    let answer = server.admin("POST", path, &json!({ "queryString": "x" }));
    assert_eq!(answer.status, 503, "{answer:?}");
    drop(back);
    let made = server.data(CREATE, &json!({ "name": "web" }));
    assert_eq!(made["createRepository"]["repository"]["name"], "web");
}

#[test]
fn a_node_that_is_not_ready_says_so() {
    // Its bucket has nothing to recover from, so it never becomes ready.
    let missing = tempfile::tempdir().unwrap();
    let server = Server::begin(&[
        ("LOCAL_RECOVER_FROM_PATH", missing.path().to_str().unwrap()),
        (
            "LOCAL_RECOVER_FROM_ENCRYPTION_KEY",
            "key of this region, long",
        ),
    ]);
    let body = json!({ "query": "{ meta { version } }" });
    assert_eq!(server.admin("POST", "/graphql", &body).status, 503);
    let path = "/api/v1/repositories/humio/query";
    for path in [path.to_owned(), format!("{path}jobs")] {
        let answer = server.admin("POST", &path, &json!({ "queryString": "x" }));
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
    }
}
