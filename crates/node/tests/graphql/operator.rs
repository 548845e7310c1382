//! What humio-operator sends while it reconciles a HumioCluster, in its order and its words: licence without a
//! token, first user and API token with the bootstrap token, nodes, eviction.

use std::time::{Duration, Instant};

use backstay_node::RootToken;
use serde_json::{Value, json};

use crate::server::{Answer, HANG_TIMEOUT, Server};

const GET_LICENSE: &str =
    "query GetLicense { installedLicense { ... on OnPremLicense { uid expiresAt } } }";
const GET_LICENSE_FOR_TELEMETRY: &str = "query GetLicenseForTelemetry { installedLicense { __typename expiresAt issuedAt
    ... on OnPremLicense { uid owner maxUsers isSaaS isOem } ... on TrialLicense { __typename } } }";
const UPDATE_LICENSE_KEY: &str = "mutation UpdateLicenseKey ($LicenseKey: String!) { updateLicenseKey(license: $LicenseKey) { __typename } }";
const GET_USERS: &str =
    "query GetUsersByUsername ($Username: String!) { users(search: $Username) { ... UserDetails } }
    fragment UserDetails on User { id username isRoot }";
const ADD_USER: &str = "mutation AddUser ($Username: String!, $IsRoot: Boolean) {
    addUserV2(input: {username:$Username,isRoot:$IsRoot}) { __typename ... on User { ... UserDetails } } }
    fragment UserDetails on User { id username isRoot }";
const UPDATE_USER: &str = "mutation UpdateUser ($Username: String!, $IsRoot: Boolean) {
    updateUser(input: {username:$Username,isRoot:$IsRoot}) { user { ... UserDetails } } }
    fragment UserDetails on User { id username isRoot }";
const REMOVE_USER: &str = "mutation RemoveUser ($Username: String!) { removeUser(input: {username:$Username}) { user { ... UserDetails } } }
    fragment UserDetails on User { id username isRoot }";
const ROTATE: &str =
    "mutation RotateTokenByID ($TokenID: String!) { rotateToken(input: {id:$TokenID}) }";
const GET_USERNAME: &str = "query GetUsername { viewer { username } }";
const GET_CLUSTER: &str = "query GetCluster { cluster { nodes { id zone uri isAvailable } } }";
const GET_EVICTION: &str = "query GetEvictionStatus { cluster { nodes { id isBeingEvicted
    reasonsNodeCannotBeSafelyUnregistered { isAlive hasUnderReplicatedData hasDataThatExistsOnlyOnThisNode leadsDigest } } } }";
const REFRESH: &str = "mutation RefreshClusterManagementStats ($Vhost: Int!) { refreshClusterManagementStats(nodeId: $Vhost) {
    reasonsNodeCannotBeSafelyUnregistered { isAlive hasUnderReplicatedData hasDataThatExistsOnlyOnThisNode leadsDigest } } }";
const SET_EVICTED: &str = "mutation SetIsBeingEvicted ($Vhost: Int!, $IsBeingEvicted: Boolean!) { setIsBeingEvicted(vhost: $Vhost, isBeingEvicted: $IsBeingEvicted) }";
const UNREGISTER: &str = "mutation UnregisterClusterNode ($NodeId: Int!, $Force: Boolean!) {
    clusterUnregisterNode(nodeID: $NodeId, force: $Force) { cluster { nodes { id } } } }";

/// As its client sends it.
fn send(server: &Server, token: Option<&str>, query: &str, variables: &Value) -> Answer {
    let name = query.split([' ', '(']).nth(1).unwrap();
    let body = json!({ "query": query, "variables": variables, "operationName": name });
    let path = format!("/graphql?id={name}");
    server.call("POST", &path, token, "*/*", &body.to_string())
}

fn data(server: &Server, token: Option<&str>, query: &str, variables: &Value) -> Value {
    let answer = send(server, token, query, variables);
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let answer = answer.json();
    assert!(answer.get("errors").is_none(), "{query}: {answer}");
    answer["data"].clone()
}

fn code(server: &Server, token: Option<&str>, query: &str, variables: &Value) -> String {
    let answer = send(server, token, query, variables);
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let code = answer.json()["errors"][0]["extensions"]["code"].clone();
    code.as_str().unwrap_or_default().to_owned()
}

/// A key as LogScale's: header, claims, signature.
fn license(uid: &str) -> String {
    use base64::Engine as _;
    let encoded = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = json!({ "uid": uid, "sub": "A customer", "maxUsers": 10, "isOem": false,
        "allowSAAS": true, "validUntil": 1_900_000_000_i64, "iat": 1_700_000_000_i64 });
    let header = encoded("{\"typ\":\"JWT\",\"alg\":\"ES512\"}");
    format!(
        "{header}.{}.{}",
        encoded(&claims.to_string()),
        encoded("signature")
    )
}

#[test]
fn the_first_licence_needs_no_token_and_nothing_else_goes_without() {
    let server = Server::start();
    assert_eq!(
        data(&server, None, GET_LICENSE, &json!({}))["installedLicense"],
        Value::Null
    );
    let key = |uid: &str| json!({ "LicenseKey": license(uid) });
    let wrong = json!({ "LicenseKey": "no licence of anybody" });
    assert_eq!(
        code(&server, None, UPDATE_LICENSE_KEY, &wrong),
        "BAD_USER_INPUT"
    );
    let made = data(&server, None, UPDATE_LICENSE_KEY, &key("first"));
    assert_eq!(made["updateLicenseKey"]["__typename"], "OnPremLicense");
    let found = data(&server, None, GET_LICENSE, &json!({}));
    assert_eq!(
        found["installedLicense"],
        json!({ "uid": "first", "expiresAt": "2030-03-17T17:46:40Z" })
    );
    // Sent again, as after an answer that got lost; but another one is the administrator's to install.
    data(&server, None, UPDATE_LICENSE_KEY, &key("first"));
    assert_eq!(
        code(&server, None, UPDATE_LICENSE_KEY, &key("second")),
        "REJECTED"
    );
    let admin = Some(server.admin.as_str());
    data(&server, admin, UPDATE_LICENSE_KEY, &key("second"));
    let found = data(&server, admin, GET_LICENSE_FOR_TELEMETRY, &json!({}));
    assert_eq!(
        found["installedLicense"],
        json!({ "__typename": "OnPremLicense", "uid": "second", "owner": "A customer", "maxUsers": 10,
            "isSaaS": true, "isOem": false, "issuedAt": "2023-11-14T22:13:20Z",
            "expiresAt": "2030-03-17T17:46:40Z" })
    );
    // Of the key itself, nothing is kept.
    assert!(!server.snapshot_text().contains(&license("second")));
    for closed in [GET_LICENSE_FOR_TELEMETRY, GET_CLUSTER, GET_USERNAME] {
        let answer = send(&server, None, closed, &json!({}));
        assert_eq!(answer.status, 401, "{closed}: {answer:?}");
    }
    // Nor is it a dynamic configuration that anybody sees or sets.
    let configs = server.data("{ dynamicConfigs { dynamicConfigKey } }", &Value::Null);
    assert!(!configs.to_string().contains("License"), "{configs}");
}

#[test]
fn the_bootstrap_token_makes_the_first_user_and_that_one_s_token_administers() {
    let root = RootToken::of(None).unwrap();
    let server = Server::with(&[("BOOTSTRAP_ROOT_TOKEN_HASHED", &root.hash)]);
    let bearer = format!("localroot~{}", root.secret);
    let bootstrap = Some(bearer.as_str());
    let admin = json!({ "Username": "admin" });
    assert_eq!(
        data(&server, bootstrap, GET_USERS, &admin)["users"],
        json!([])
    );
    let new = json!({ "Username": "admin", "IsRoot": true });
    let made = data(&server, bootstrap, ADD_USER, &new)["addUserV2"].clone();
    assert_eq!(
        (&made["__typename"], &made["isRoot"]),
        (&json!("User"), &json!(true))
    );
    let found = data(&server, bootstrap, GET_USERS, &admin);
    assert_eq!(
        found["users"],
        json!([{ "id": made["id"], "username": "admin", "isRoot": true }])
    );
    let rotate = || {
        let rotated = data(
            &server,
            bootstrap,
            ROTATE,
            &json!({ "TokenID": made["id"] }),
        );
        rotated["rotateToken"].as_str().unwrap().to_owned()
    };
    let first = rotate();
    let viewer = data(&server, Some(&first), GET_USERNAME, &json!({}));
    assert_eq!(viewer["viewer"]["username"], "admin");
    assert!(
        !server.snapshot_text().contains(&first),
        "only its hash is kept"
    );
    // It searches and administers, and so do not its forerunner, a wrong secret, nor the secret alone.
    let second = rotate();
    data(&server, Some(&second), GET_CLUSTER, &json!({}));
    let search = json!({ "queryString": "*", "start": "1d" }).to_string();
    let path = "/api/v1/repositories/humio/query";
    assert_eq!(
        server
            .call("POST", path, Some(&second), "*/*", &search)
            .status,
        200
    );
    for refused in [&first, &root.secret, &format!("{bearer}x")] {
        let answer = send(&server, Some(refused), GET_CLUSTER, &json!({}));
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(!answer.body.contains(refused.as_str()), "{answer:?}");
    }
    // Who is not root any more does not administer, and a user who is gone has no token.
    let not_root = json!({ "Username": "admin", "IsRoot": false });
    let updated = data(&server, bootstrap, UPDATE_USER, &not_root);
    assert_eq!(updated["updateUser"]["user"]["isRoot"], false);
    assert_eq!(
        send(&server, Some(&second), GET_CLUSTER, &json!({})).status,
        403
    );
    data(&server, bootstrap, UPDATE_USER, &new);
    data(&server, Some(&second), GET_CLUSTER, &json!({}));
    data(&server, bootstrap, REMOVE_USER, &admin);
    assert_eq!(
        send(&server, Some(&second), GET_CLUSTER, &json!({})).status,
        403
    );
    assert_eq!(
        code(&server, bootstrap, ROTATE, &json!({ "TokenID": "nobody" })),
        "REJECTED"
    );
}

/// Nodes of one cluster.
struct Cluster(tempfile::TempDir);

impl Cluster {
    fn start(&self, name: &str, zone: &str) -> Server {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        Server::with(&[
            ("LOCAL_STORAGE_PATH", &path("bucket")),
            ("DIRECTORY", &path(name)),
            ("BACKSTAY_ADMIN_TOKEN_FILE", &path("token")),
            (
                "EXTERNAL_URL",
                &format!("http://{name}.logs-headless.logging:8080"),
            ),
            ("ZONE", zone),
            ("BACKSTAY_HEARTBEAT_MS", "100"),
            ("BACKSTAY_LEASE_MS", "5000"),
            ("BACKSTAY_LAME_DUCK_MS", "100"),
        ])
    }
}

fn nodes(server: &Server, query: &str) -> Vec<Value> {
    let admin = Some(server.admin.as_str());
    let found = data(server, admin, query, &json!({}));
    found["cluster"]["nodes"].as_array().unwrap().clone()
}

/// A node by its pod's name, in the answer to `GetCluster`.
fn number(server: &Server, pod: &str) -> Value {
    let all = nodes(server, GET_CLUSTER);
    let uri = format!("http://{pod}.");
    let found = all
        .iter()
        .find(|it| it["uri"].as_str().unwrap().starts_with(&uri));
    found.unwrap_or_else(|| panic!("{pod}: {all:?}"))["id"].clone()
}

fn reasons(server: &Server, number: &Value) -> Value {
    let all = nodes(server, GET_EVICTION);
    let found = all.iter().find(|it| it["id"] == *number);
    found.map_or(Value::Null, |it| {
        it["reasonsNodeCannotBeSafelyUnregistered"].clone()
    })
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < HANG_TIMEOUT, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_node_is_evicted_when_others_have_its_partitions_and_then_unregistered() {
    let cluster = Cluster(tempfile::tempdir().unwrap());
    std::fs::create_dir(cluster.0.path().join("bucket")).unwrap();
    let stays = cluster.start("stays", "zone-1");
    let goes = cluster.start("goes", "zone-2");
    until("both are known", || nodes(&stays, GET_CLUSTER).len() == 2);
    until("a share each", || {
        reasons(&stays, &number(&stays, "goes"))["leadsDigest"] == true
    });
    let going = number(&stays, "goes");
    let zones = nodes(&stays, GET_CLUSTER);
    let zone = zones.iter().find(|it| it["id"] == going).unwrap();
    assert_eq!(
        (&zone["zone"], &zone["isAvailable"]),
        (&json!("zone-2"), &json!(true))
    );
    assert_ne!(going, number(&stays, "stays"));

    let admin = Some(stays.admin.as_str());
    let alive = json!({ "NodeId": going, "Force": true });
    assert_eq!(code(&stays, admin, UNREGISTER, &alive), "REJECTED");
    let evict = |it: bool| json!({ "Vhost": going, "IsBeingEvicted": it });
    let marked = data(&stays, admin, SET_EVICTED, &evict(true));
    assert_eq!(marked["setIsBeingEvicted"], true);
    let marks = nodes(&stays, GET_EVICTION);
    let mark = marks.iter().find(|it| it["id"] == going).unwrap();
    assert_eq!(mark["isBeingEvicted"], true);
    until("the other one has all partitions", || {
        reasons(&stays, &going)["leadsDigest"] == false
    });
    until("it has none", || {
        goes.engine().metrics().partitions_owned.get() == 0
    });
    stays.ingest("humio", &[(1000, "while one goes")]);
    let fresh = data(&stays, admin, REFRESH, &json!({ "Vhost": going }));
    assert_eq!(
        fresh["refreshClusterManagementStats"]["reasonsNodeCannotBeSafelyUnregistered"],
        json!({ "isAlive": true, "hasUnderReplicatedData": false,
            "hasDataThatExistsOnlyOnThisNode": false, "leadsDigest": false })
    );
    // Its pod ends, and with it, it is out.
    drop(goes);
    until("it is gone", || reasons(&stays, &going).is_null());
    let gone = json!({ "NodeId": going, "Force": false });
    assert_eq!(code(&stays, admin, UNREGISTER, &gone), "REJECTED");
    let left = nodes(&stays, GET_CLUSTER);
    assert_eq!(left.len(), 1, "{left:?}");
    // The last one keeps its partitions, whatever is asked.
    let last = number(&stays, "stays");
    let evict = json!({ "Vhost": last, "IsBeingEvicted": true });
    data(&stays, admin, SET_EVICTED, &evict);
    stays.ingest("humio", &[(1000, "to the last one")]);
    assert_eq!(reasons(&stays, &last)["leadsDigest"], true);
    let none = json!({ "Vhost": 77, "IsBeingEvicted": true });
    assert_eq!(code(&stays, admin, SET_EVICTED, &none), "REJECTED");
}

#[test]
fn elasticsearch_s_clients_find_the_root_of_their_own_port() {
    let server = Server::with(&[("ELASTIC_PORT", "0")]);
    let token = server.ingest_token("elastic", None);
    let address = server.elastic_address();
    let header = format!("Authorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n");
    let about = crate::server::exchange(address, "GET /", &header, b"");
    assert_eq!(about.status, 200, "{about:?}");
    assert!(
        about
            .head
            .to_ascii_lowercase()
            .contains("x-elastic-product: elasticsearch")
    );
    let body = b"{\"create\":{}}\n{\"message\":\"by its own port\"}\n";
    for path in ["POST /_bulk", "PUT /logs/_bulk"] {
        let answer = crate::server::exchange(address, path, &header, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["errors"], false, "{answer:?}");
    }
    assert_eq!(
        crate::server::exchange(address, "GET /_license", &header, b"").status,
        200
    );
    assert_eq!(
        crate::server::exchange(address, "GET /graphql", &header, b"").status,
        404
    );
}
