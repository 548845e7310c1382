//! What is served: groups, versions, resources. In the old form (a document a version) and in the
//! aggregated one that newer clients ask for.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::json_response;
use super::request::Call;
use crate::kind::{Group, Kind, Served};
use crate::status::{ApiError, ApiResult};

/// The Kubernetes whose behaviour is served. Clients warn when they are far from it.
const VERSION: (&str, &str) = ("1", "32");
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

pub(super) fn version() -> Value {
    let (major, minor) = VERSION;
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": format!("v{major}.{minor}.0+backstay"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

pub(super) fn answer(path: &[String], call: &Call, kinds: &Served) -> ApiResult<Response> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let groups = kinds.groups();
    let serves = |group: &str, version: &str| kinds.of(group, version).next().is_some();
    let body = match path.as_slice() {
        ["api"] if wants_aggregated(call) => return Ok(aggregated(kinds, true)),
        ["apis"] if wants_aggregated(call) => return Ok(aggregated(kinds, false)),
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["apis"] => {
            let groups: Vec<Value> = groups
                .iter()
                .filter(|(group, _)| !group.is_empty())
                .map(group_of)
                .collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        ["api", version] if serves("", version) => resources(kinds, "", version),
        ["apis", group] => {
            let group = groups
                .iter()
                .find(|(known, _)| known == group && !known.is_empty())
                .ok_or_else(ApiError::no_such_resource)?;
            let mut body = group_of(group);
            body["kind"] = json!("APIGroup");
            body["apiVersion"] = json!("v1");
            body
        }
        ["apis", group, version] if !group.is_empty() && serves(group, version) => {
            resources(kinds, group, version)
        }
        _ => return Err(ApiError::no_such_resource()),
    };
    Ok(json_response(StatusCode::OK, &body))
}

fn group_of((group, versions): &Group) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({ "groupVersion": format!("{group}/{version}"), "version": version }))
        .collect();
    json!({ "name": group, "versions": versions, "preferredVersion": versions.first() })
}

fn verbs() -> Value {
    json!([
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch"
    ])
}

fn proxy_verbs() -> Value {
    json!(["create", "delete", "get", "patch", "update"])
}

/// Subresource, kind of its documents (group, version, kind), verbs.
type Sub = (
    &'static str,
    (&'static str, &'static str, &'static str),
    Value,
);

fn subresources(kind: &Kind) -> Vec<Sub> {
    let own = (kind.group, kind.version, kind.kind);
    let mut subs = Vec::new();
    if kind.status {
        subs.push(("status", own, json!(["get", "patch", "update"])));
    }
    if kind.scale {
        let scale = ("autoscaling", "v1", "Scale");
        subs.push(("scale", scale, json!(["get", "patch", "update"])));
    }
    if kind.kind == "Pod" {
        let core = |kind| ("", "v1", kind);
        subs.push(("log", own, json!(["get"])));
        subs.push(("exec", core("PodExecOptions"), json!(["create", "get"])));
        let forward = core("PodPortForwardOptions");
        subs.push(("portforward", forward, json!(["create", "get"])));
        subs.push(("proxy", core("PodProxyOptions"), proxy_verbs()));
    }
    if kind.kind == "Service" {
        let options = ("", "v1", "ServiceProxyOptions");
        subs.push(("proxy", options, proxy_verbs()));
    }
    subs
}

fn resources(kinds: &Served, group: &str, version: &str) -> Value {
    let mut all = Vec::new();
    for kind in kinds.of(group, version) {
        let mut resource = json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs(),
        });
        if !kind.short_names.is_empty() {
            resource["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            resource["categories"] = json!(kind.categories);
        }
        all.push(resource);
        for (name, (sub_group, sub_version, sub_kind), verbs) in subresources(kind) {
            all.push(json!({
                "name": format!("{}/{name}", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "group": sub_group,
                "version": sub_version,
                "kind": sub_kind,
                "verbs": verbs,
            }));
        }
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": all,
    })
}

fn wants_aggregated(call: &Call) -> bool {
    call.accept.split(',').any(|accepted| {
        let mut parts = accepted.split(';').map(str::trim);
        parts.next() == Some("application/json")
            && ["g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"]
                .iter()
                .all(|wanted| accepted.split(';').any(|part| part.trim() == *wanted))
    })
}

fn aggregated(kinds: &Served, core: bool) -> Response {
    let in_version = |group: &str, version: &str| {
        let resources: Vec<Value> = kinds.of(group, version).map(aggregated_resource).collect();
        json!({ "version": version, "freshness": "Current", "resources": resources })
    };
    let items: Vec<Value> = kinds
        .groups()
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| in_version(group, version))
                .collect();
            json!({
                "metadata": { "name": group, "creationTimestamp": null },
                "versions": versions,
            })
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    let mut response = json_response(StatusCode::OK, &body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    response
}

fn aggregated_resource(kind: &Kind) -> Value {
    let named = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let subs: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, (group, version, kind), verbs)| {
            json!({
                "subresource": name,
                "responseKind": named(group, version, kind),
                "verbs": verbs,
            })
        })
        .collect();
    json!({
        "resource": kind.plural,
        "responseKind": named(kind.group, kind.version, kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(),
        "shortNames": kind.short_names,
        "categories": kind.categories,
        "subresources": subs,
    })
}
