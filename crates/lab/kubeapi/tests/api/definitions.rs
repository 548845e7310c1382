//! Custom kinds from their definitions, and fields that a kind does not have.

use backstay_testkit::kubernetes::no_kubectl;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Region;
use crate::rules::Raw;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const SHIPS: &str = "/apis/sea.example.com/v1/namespaces/default/ships";
const JSON: &str = "application/json";

/// Ships: two versions, of which one is stored.
fn ships() -> Value {
    let schema = json!({ "openAPIV3Schema": {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["flag"],
                "properties": {
                    "flag": { "type": "string", "enum": ["blue", "red"] },
                    "replicas": { "type": "integer", "default": 1 },
                    "sails": {
                        "type": "array",
                        "items": { "type": "object", "required": ["name"], "properties": {
                            "name": { "type": "string" }, "area": { "type": "integer" },
                        }},
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    },
                    "ports": { "type": "array", "items": { "type": "string" } },
                },
            },
            "status": { "type": "object", "properties": {
                "replicas": { "type": "integer" },
                "conditions": { "type": "array", "items": { "type": "object", "properties": {
                    "type": { "type": "string" }, "status": { "type": "string" },
                }}},
            }},
        },
    }});
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "schema": schema,
            "subresources": {
                "status": {},
                "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" },
            },
            "additionalPrinterColumns": [
                { "name": "Flag", "type": "string", "jsonPath": ".spec.flag" },
                { "name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status" },
            ],
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "ships.sea.example.com" },
        "spec": {
            "group": "sea.example.com", "scope": "Namespaced",
            "names": { "plural": "ships", "kind": "Ship", "shortNames": ["sh"], "categories": ["sea"] },
            "versions": [version("v1beta1", false), version("v1", true)],
        },
    })
}

fn ship(name: &str, spec: Value) -> String {
    json!({
        "apiVersion": "sea.example.com/v1", "kind": "Ship",
        "metadata": { "name": name }, "spec": spec,
    })
    .to_string()
}

async fn post(raw: &Raw, path: &str, body: &str) -> (StatusCode, Value) {
    raw.send(Method::POST, path, JSON, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_makes_a_kind_and_takes_it_away_with_its_objects() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    let early = post(&raw, SHIPS, &ship("a", json!({ "flag": "red" }))).await;
    assert_eq!(early.0, StatusCode::NOT_FOUND);

    let (status, made) = post(&raw, DEFINITIONS, &ships().to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["spec"]["names"]["singular"], "ship");
    assert_eq!(made["spec"]["names"]["listKind"], "ShipList");
    assert_eq!(made["spec"]["conversion"]["strategy"], "None");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    let established = &made["status"]["conditions"][1];
    assert_eq!(
        (&established["type"], &established["status"]),
        (&json!("Established"), &json!("True"))
    );

    // One object, in either version.
    let (status, a) = post(&raw, SHIPS, &ship("a", json!({ "flag": "red" }))).await;
    assert_eq!(status, StatusCode::CREATED, "{a}");
    assert_eq!(a["spec"], json!({ "flag": "red", "replicas": 1 }));
    let older = SHIPS.replace("/v1/", "/v1beta1/");
    let (_, same) = raw.get(&format!("{older}/a")).await;
    assert_eq!(same["apiVersion"], "sea.example.com/v1beta1");
    assert_eq!(same["metadata"]["uid"], a["metadata"]["uid"]);
    let (_, list) = raw.get(&older).await;
    assert_eq!(list["items"][0]["apiVersion"], "sea.example.com/v1beta1");
    let (_, group) = raw.get("/apis/sea.example.com").await;
    assert_eq!(group["preferredVersion"]["version"], "v1");
    assert_eq!(group["versions"][1]["version"], "v1beta1");

    // It outlives the server's memory of it.
    let (_, scale) = raw.get(&format!("{SHIPS}/a/scale")).await;
    assert_eq!(scale["spec"]["replicas"], 1);

    let (_, gone) = raw
        .send(
            Method::DELETE,
            &format!("{DEFINITIONS}/ships.sea.example.com"),
            JSON,
            "",
        )
        .await;
    assert_ne!(gone["status"], "Failure", "{gone}");
    assert_eq!(raw.get(SHIPS).await.0, StatusCode::NOT_FOUND);
    let (_, definitions) = raw
        .get(&format!("{DEFINITIONS}/ships.sea.example.com"))
        .await;
    assert_eq!(definitions["reason"], "NotFound");

    // And comes back empty.
    post(&raw, DEFINITIONS, &ships().to_string()).await;
    assert_eq!(raw.get(SHIPS).await.1["items"], json!([]));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_waits_for_the_last_of_its_objects() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    post(&raw, DEFINITIONS, &ships().to_string()).await;
    let mut held: Value = serde_json::from_str(&ship("a", json!({ "flag": "red" }))).unwrap();
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&raw, SHIPS, &held.to_string()).await;
    let definition = format!("{DEFINITIONS}/ships.sea.example.com");
    raw.send(Method::DELETE, &definition, JSON, "").await;
    let (_, ending) = raw.get(&definition).await;
    let conditions = ending["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions
            .iter()
            .any(|c| c["type"] == "Terminating" && c["status"] == "True")
    );
    let (status, refused) = post(&raw, SHIPS, &ship("b", json!({ "flag": "red" }))).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        refused["message"],
        "create not allowed while custom resource definition is terminating"
    );
    let free = r#"{"metadata":{"finalizers":null}}"#;
    raw.send(
        Method::PATCH,
        &format!("{SHIPS}/a"),
        "application/merge-patch+json",
        free,
    )
    .await;
    assert_eq!(raw.get(&definition).await.0, StatusCode::NOT_FOUND);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_definition_is_refused_with_all_that_is_wrong() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    let refused = async |change: &dyn Fn(&mut Value)| -> (Value, String) {
        let mut definition = ships();
        change(&mut definition);
        let (status, answer) = post(&raw, DEFINITIONS, &definition.to_string()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        let cause = &answer["details"]["causes"][0];
        (
            cause["field"].clone(),
            answer["message"].as_str().unwrap().to_owned(),
        )
    };
    let (field, said) = refused(&|d| d["metadata"]["name"] = json!("boats.sea.example.com")).await;
    assert_eq!(field, "metadata.name");
    assert_eq!(
        said,
        "CustomResourceDefinition.apiextensions.k8s.io \"boats.sea.example.com\" is invalid: metadata.name: Invalid value: \"boats.sea.example.com\": must be spec.names.plural+\".\"+spec.group"
    );
    let (field, _) = refused(&|d| d["spec"]["versions"][0]["storage"] = json!(true)).await;
    assert_eq!(field, "spec.versions");
    let (field, said) = refused(&|d| {
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/flag";
        d.pointer_mut(spec)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove("type");
    })
    .await;
    assert_eq!(
        field,
        "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[flag].type"
    );
    assert!(
        said.contains("Required value: must not be empty for specified object fields"),
        "{said}"
    );
    let (field, _) = refused(&|d| d["spec"]["scope"] = json!("Global")).await;
    assert_eq!(field, "spec.scope");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_a_kind_does_not_have_are_refused_told_or_dropped() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    post(&raw, DEFINITIONS, &ships().to_string()).await;
    let send = async |path: &str, body: &str| {
        let request = raw
            .http
            .post(format!("{}{path}", raw.url))
            .bearer_auth(&raw.token);
        let answer = request
            .header("content-type", JSON)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        let warnings: Vec<String> = answer
            .headers()
            .get_all("warning")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        let status = answer.status();
        (status, warnings, answer.json::<Value>().await.unwrap())
    };
    let odd = |name: &str| {
        ship(
            name,
            json!({ "flag": "red", "mast": 1, "sails": [{ "name": "jib", "cut": 1 }] }),
        )
    };
    let (status, _, strict) = send(&format!("{SHIPS}?fieldValidation=Strict"), &odd("a")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        strict["message"],
        "Ship in version \"v1\" cannot be handled as a Ship: strict decoding error: unknown field \"spec.mast\", unknown field \"spec.sails[0].cut\""
    );
    let (status, told, kept) = send(SHIPS, &odd("a")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(
        told,
        [
            r#"299 - "unknown field \"spec.mast\"""#,
            r#"299 - "unknown field \"spec.sails[0].cut\"""#
        ]
    );
    assert_eq!(kept["spec"]["sails"], json!([{ "name": "jib" }]));
    assert_eq!(kept["spec"].get("mast"), None);
    let (status, told, _) = send(&format!("{SHIPS}?fieldValidation=Ignore"), &odd("b")).await;
    assert_eq!((status, told), (StatusCode::CREATED, vec![]));

    // Built-in kinds as well.
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({ "metadata": { "name": "m" }, "datas": {} }).to_string();
    let (status, _, strict) = send(&format!("{maps}?fieldValidation=Strict"), &map).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        strict["message"],
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"datas\""
    );
    let (_, told, kept) = send(maps, &map).await;
    assert_eq!(told.len(), 1);
    assert_eq!(kept.get("datas"), None);
    let map = json!({ "metadata": { "name": "n" }, "data": { "a": true } }).to_string();
    let (status, _, refused) = send(maps, &map).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused["message"],
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal bool into Go struct field ConfigMap.data of type string"
    );
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_checked_by_the_schema_on_every_way_in() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    post(&raw, DEFINITIONS, &ships().to_string()).await;
    let (status, refused) = post(
        &raw,
        SHIPS,
        &ship("a", json!({ "flag": "grey", "replicas": "2" })),
    )
    .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused["message"],
        "Ship.sea.example.com \"a\" is invalid: [spec.flag: Unsupported value: \"grey\": supported values: \"blue\", \"red\", spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"]"
    );
    assert_eq!(refused["details"]["causes"][1]["field"], "spec.replicas");
    post(&raw, SHIPS, &ship("a", json!({ "flag": "red" }))).await;
    let one = format!("{SHIPS}/a");
    for (kind, body) in [
        ("application/merge-patch+json", r#"{"spec":{"flag":null}}"#),
        (
            "application/json-patch+json",
            r#"[{"op":"replace","path":"/spec/flag","value":3}]"#,
        ),
    ] {
        let (status, answer) = raw.send(Method::PATCH, &one, kind, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    }
    // A status is checked as well, and only there.
    let status = r#"{"status":{"replicas":"many"}}"#;
    let (code, _) = raw
        .send(
            Method::PATCH,
            &format!("{one}/status"),
            "application/merge-patch+json",
            status,
        )
        .await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_merges_lists_as_the_definition_says() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    post(&raw, DEFINITIONS, &ships().to_string()).await;
    let apply = async |manager: &str, spec: Value| {
        let path = format!("{SHIPS}/a?fieldManager={manager}");
        raw.send(
            Method::PATCH,
            &path,
            "application/apply-patch+yaml",
            &ship("a", spec),
        )
        .await
    };
    let mine = json!({ "flag": "red", "sails": [{ "name": "jib", "area": 3 }], "ports": ["a"] });
    assert_eq!(apply("me", mine).await.0, StatusCode::CREATED);
    // Of a keyed list each item has its owner, of any other the whole.
    let (status, both) = apply(
        "you",
        json!({ "flag": "red", "sails": [{ "name": "main" }] }),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{both}");
    assert_eq!(both["spec"]["sails"][1]["name"], "main");
    let (status, refused) = apply("you", json!({ "flag": "red", "ports": ["b"] })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["details"]["causes"][0]["field"], ".spec.ports");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_may_be_yaml() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = "metadata:\n  name: m\ndata:\n  a: |\n    one\n    two\n";
    let (status, made) = raw.send(Method::POST, maps, "application/yaml", map).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["data"]["a"], "one\ntwo\n");
    let changed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: 'x'}\n";
    let path = format!("{maps}/m?fieldManager=me&force=true");
    let (status, made) = raw
        .send(
            Method::PATCH,
            &path,
            "application/apply-patch+yaml",
            changed,
        )
        .await;
    assert_eq!(
        (status, &made["data"]["a"]),
        (StatusCode::OK, &json!("x")),
        "{made}"
    );
    let (status, _) = raw
        .send(Method::POST, maps, "application/yaml", "a: [b")
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_uses_a_kind_as_soon_as_it_is_defined() {
    if no_kubectl() {
        return;
    }
    let region = Region::start().await;
    region
        .kubectl_with("apply -f -", &ships().to_string())
        .await;
    region
        .kubectl("wait --for=condition=established crd/ships.sea.example.com --timeout=60s")
        .await;
    let a: Value = serde_json::from_str(&ship("a", json!({ "flag": "red" }))).unwrap();
    region
        .kubectl_with("-n default apply -f -", &a.to_string())
        .await;
    let shown = region.kubectl("-n default get sh").await;
    assert!(
        shown.contains("FLAG") && shown.contains("READY") && shown.contains("red"),
        "{shown}"
    );
    region
        .kubectl("-n default scale ships.sea.example.com/a --replicas=3")
        .await;
    let replicas = region
        .kubectl("-n default get sea -o jsonpath={.items[0].spec.replicas}")
        .await;
    assert_eq!(replicas, "3");
    let explained = region.kubectl("explain ship.spec.sails").await;
    assert!(explained.contains("area"), "{explained}");
    // Of kubectl's own accord, what a kind does not have is refused.
    let mut odd = a;
    odd["spec"]["mast"] = json!(1);
    let file = region.folder().join("odd.json");
    std::fs::write(&file, odd.to_string()).unwrap();
    let refused = region
        .refused(&format!("-n default apply -f {}", file.display()))
        .await;
    assert!(refused.contains("unknown field \"spec.mast\""), "{refused}");
    region.kubectl("delete crd ships.sea.example.com").await;
    let refused = region.refused("-n default get ships").await;
    // Whether kubectl asks or remembers the kind: it is not there.
    assert!(
        refused.contains("NotFound") || refused.contains("doesn't have a resource type"),
        "{refused}"
    );
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_definitions_can_be_there_from_the_start() {
    let region = Region::with(|options| options.definitions = backstay_kubeapi::crds()).await;
    let raw = Raw::new(&region, "admin");
    let clusters = "/apis/core.humio.com/v1alpha1/namespaces/default/humioclusters";
    let cluster = |spec: Value| {
        json!({
            "apiVersion": "core.humio.com/v1alpha1", "kind": "HumioCluster",
            "metadata": { "name": "c" }, "spec": spec,
        })
        .to_string()
    };
    let (status, refused) = post(&raw, clusters, &cluster(json!({ "nodeCount": 1 }))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused["message"],
        "HumioCluster.core.humio.com \"c\" is invalid: spec.license: Required value"
    );
    let (status, refused) = post(
        &raw,
        clusters,
        &cluster(
            json!({ "license": {}, "environmentVariables": [{ "name": "A", "value": true }] }),
        ),
    )
    .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let field = &refused["details"]["causes"][0]["field"];
    assert_eq!(field, "spec.environmentVariables[0].value");
    let (status, made) = post(
        &raw,
        clusters,
        &cluster(json!({
            "license": { "secretKeyRef": { "key": "k" } },
            "nodeSelector": { "agentpool": "a" },
            "nodePools": [{ "name": "ui", "spec": { "updateStrategy": { "type": "RollingUpdate" } } }],
        })),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(
        made["spec"],
        json!({
            "disableInitContainer": false,
            "license": { "secretKeyRef": { "key": "k", "name": "" } },
            "nodeCount": 0,
            "nodePools": [{ "name": "ui", "spec": {
                "disableInitContainer": false,
                "nodeCount": 0,
                "priorityClassName": "",
                "updateStrategy": { "type": "RollingUpdate", "maxUnavailable": 1 },
            }}],
            "priorityClassName": "",
        })
    );
    // Strimzi's kinds, in both versions of its API.
    let sets = |version: &str| {
        format!("/apis/core.strimzi.io/{version}/namespaces/default/strimzipodsets")
    };
    let set = json!({
        "metadata": { "name": "s" },
        "spec": { "selector": { "matchLabels": { "a": "b" } }, "pods": [{ "any": 1 }] },
    });
    let (status, made) = post(&raw, &sets("v1beta2"), &set.to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (_, newer) = raw.get(&format!("{}/s", sets("v1"))).await;
    assert_eq!(newer["apiVersion"], "core.strimzi.io/v1");
    assert_eq!(newer["spec"]["pods"], json!([{ "any": 1 }]));
    region.stop().await;
}
