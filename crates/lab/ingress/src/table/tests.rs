#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::endpoint::InFlight;

fn object<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

/// An ingress whose rules are (host, path type, path, service).
fn ingress(name: &str, made: u32, rules: &[(&str, &str, &str, &str)]) -> Arc<Ingress> {
    let rules: Vec<Value> = rules
        .iter()
        .map(|(host, kind, path, service)| {
            let backend = json!({ "service": { "name": service, "port": { "number": 80 } } });
            let mut rule = json!({ "http": { "paths": [
                { "path": path, "pathType": kind, "backend": backend },
            ] } });
            if !host.is_empty() {
                rule["host"] = json!(host);
            }
            rule
        })
        .collect();
    object(json!({
        "metadata": { "name": name, "creationTimestamp": format!("2030-01-01T00:00:{made:02}Z") },
        "spec": { "rules": rules },
    }))
}

fn service(name: &str, ports: Value) -> Arc<Service> {
    object(json!({ "metadata": { "name": name }, "spec": { "ports": ports } }))
}

fn endpoints(name: &str, subsets: Value) -> Arc<EndpointsObject> {
    object(json!({ "metadata": { "name": name }, "subsets": subsets }))
}

fn table(ingresses: Vec<Arc<Ingress>>) -> Table {
    let objects = Objects {
        ingresses,
        ..Objects::default()
    };
    Table::new(&objects, "nginx", &mut Endpoints::default())
}

fn leads(table: &Table, host: &str, path: &str) -> String {
    match table.route(host, path) {
        Route::To(backend) => backend.name.trim_end_matches(":80").to_owned(),
        Route::NoHost => "no host".to_owned(),
        Route::NoPath => "no path".to_owned(),
    }
}

#[test]
fn paths_are_matched_as_kubernetes_documents_it() {
    // The table of https://kubernetes.io/docs/concepts/services-networking/ingress/#examples
    for (kind, paths, path, found) in [
        ("Prefix", vec!["/"], "/anything", "/"),
        ("Exact", vec!["/foo"], "/foo", "/foo"),
        ("Exact", vec!["/foo"], "/bar", "no path"),
        ("Exact", vec!["/foo"], "/foo/", "no path"),
        ("Exact", vec!["/foo/"], "/foo", "no path"),
        ("Prefix", vec!["/foo"], "/foo", "/foo"),
        ("Prefix", vec!["/foo"], "/foo/", "/foo"),
        ("Prefix", vec!["/foo/"], "/foo", "/foo/"),
        ("Prefix", vec!["/foo/"], "/foo/", "/foo/"),
        ("Prefix", vec!["/aaa/bb"], "/aaa/bbb", "no path"),
        ("Prefix", vec!["/aaa/bbb"], "/aaa/bbb", "/aaa/bbb"),
        ("Prefix", vec!["/aaa/bbb/"], "/aaa/bbb", "/aaa/bbb/"),
        ("Prefix", vec!["/aaa/bbb"], "/aaa/bbb/", "/aaa/bbb"),
        ("Prefix", vec!["/aaa/bbb"], "/aaa/bbb/ccc", "/aaa/bbb"),
        ("Prefix", vec!["/aaa/bbb"], "/aaa/bbbxyz", "no path"),
        ("Prefix", vec!["/", "/aaa"], "/aaa/ccc", "/aaa"),
        (
            "Prefix",
            vec!["/", "/aaa", "/aaa/bbb"],
            "/aaa/bbb",
            "/aaa/bbb",
        ),
        ("Prefix", vec!["/", "/aaa", "/aaa/bbb"], "/ccc", "/"),
        ("Prefix", vec!["/aaa"], "/ccc", "no path"),
        ("ImplementationSpecific", vec!["/aaa"], "/aaa/b", "/aaa"),
    ] {
        let rules: Vec<_> = paths.iter().map(|it| ("a", kind, *it, *it)).collect();
        let table = table(vec![ingress("i", 0, &rules)]);
        assert_eq!(leads(&table, "a", path), found, "{kind} {paths:?} {path}");
    }
    let both = [
        ("a", "Prefix", "/foo", "prefix"),
        ("a", "Exact", "/foo", "exact"),
    ];
    let table = table(vec![ingress("i", 0, &both)]);
    assert_eq!(leads(&table, "a", "/foo"), "exact");
    assert_eq!(leads(&table, "a", "/foo/bar"), "prefix");
}

#[test]
fn an_exact_host_goes_before_a_wildcard_before_none() {
    let rules = [
        ("", "Prefix", "/", "any"),
        ("*.example.com", "Prefix", "/", "wild"),
        ("A.example.com", "Prefix", "/only", "exact"),
    ];
    let all = table(vec![ingress("i", 0, &rules)]);
    for (host, path, found) in [
        ("a.example.com", "/only", "exact"),
        ("a.example.com", "/else", "wild"),
        ("b.example.com", "/only", "wild"),
        ("b.a.example.com", "/", "any"),
        ("example.com", "/", "any"),
    ] {
        assert_eq!(leads(&all, host, path), found, "{host} {path}");
    }
    let some = table(vec![ingress("i", 0, &rules[1..])]);
    assert_eq!(leads(&some, "example.com", "/"), "no host");
    assert_eq!(leads(&table(vec![]), "a", "/"), "no host");
}

#[test]
fn the_older_ingress_has_what_two_claim() {
    let one = ingress("one", 2, &[("a", "Prefix", "/", "younger")]);
    let two = ingress("two", 1, &[("a", "Prefix", "/", "older")]);
    let table = table(vec![one, two]);
    assert_eq!(leads(&table, "a", "/"), "older");
}

#[test]
fn another_controllers_ingresses_are_left_alone() {
    let of = |class: Value| {
        let backend = json!({ "service": { "name": "s", "port": { "number": 80 } } });
        object(json!({
            "metadata": { "name": "i" },
            "spec": { "ingressClassName": class, "defaultBackend": backend },
        }))
    };
    for (class, found) in [
        (json!("nginx"), "s"),
        (json!(null), "s"),
        (json!("other"), "no host"),
    ] {
        assert_eq!(leads(&table(vec![of(class)]), "a", "/"), found);
    }
}

/// Whom requests reach, or why nobody.
#[derive(Debug)]
struct Problem(String);

fn found(ports: Value, subsets: Value, port: Value) -> Result<Vec<String>, Problem> {
    let backend = json!({ "service": { "name": "s", "port": port } });
    let objects = Objects {
        ingresses: vec![object(json!({ "spec": { "defaultBackend": backend } }))],
        services: vec![service("s", ports)],
        endpoints: vec![endpoints("s", subsets)],
    };
    let table = Table::new(&objects, "nginx", &mut Endpoints::default());
    let Route::To(backend) = table.route("a", "/") else {
        panic!("it leads nowhere");
    };
    if backend.endpoints.is_empty() {
        return Err(Problem(backend.problem.clone()));
    }
    let endpoints = backend.endpoints.iter();
    Ok(endpoints.map(|it| it.address().to_string()).collect())
}

#[test]
fn a_services_port_leads_to_the_port_of_its_endpoints() {
    let ports = json!([
        { "name": "http", "port": 80, "targetPort": 8080 },
        { "name": "es", "port": 9200, "targetPort": "es" },
    ]);
    let subsets = json!([
        {
            "addresses": [{ "ip": "127.0.0.2" }, { "ip": "127.0.0.1" }, { "ip": "nonsense" }],
            "notReadyAddresses": [{ "ip": "127.0.0.9" }],
            "ports": [{ "name": "http", "port": 8080 }, { "name": "es", "port": 9201 }],
        },
        {
            "addresses": [{ "ip": "127.0.0.3" }],
            "ports": [{ "name": "http", "port": 8081 }],
        },
    ]);
    let all = |port: Value| found(ports.clone(), subsets.clone(), port);
    let http = ["127.0.0.1:8080", "127.0.0.2:8080", "127.0.0.3:8081"];
    assert_eq!(all(json!({ "number": 80 })).unwrap(), http);
    assert_eq!(all(json!({ "name": "http" })).unwrap(), http);
    let es = ["127.0.0.1:9201", "127.0.0.2:9201"];
    assert_eq!(all(json!({ "number": 9200 })).unwrap(), es);
    for (port, problem) in [
        (json!({ "number": 8080 }), "has no port \"8080\""),
        (json!({ "name": "x" }), "has no port \"x\""),
        (json!({}), "has no port \"\""),
    ] {
        assert!(all(port).unwrap_err().0.contains(problem));
    }
    // One port needs no name.
    let bare = found(
        json!([{ "port": 80 }]),
        json!([{ "addresses": [{ "ip": "::1" }], "ports": [{ "port": 8080 }] }]),
        json!({ "number": 80 }),
    );
    assert_eq!(bare.unwrap(), ["[::1]:8080"]);
}

#[test]
fn it_is_said_why_there_is_no_endpoint() {
    let nobody = found(json!([{ "port": 80 }]), json!([]), json!({ "number": 80 }));
    assert!(
        nobody
            .unwrap_err()
            .0
            .contains("no pod behind the service \"s\" is ready")
    );
    let table = table(vec![ingress("i", 0, &[("a", "Prefix", "/", "gone")])]);
    let Route::To(backend) = table.route("a", "/") else {
        panic!("it leads nowhere");
    };
    assert!(backend.problem.contains("there is no service \"gone\""));
    assert!(backend.choose(&[]).is_none());
}

/// A table in which all leads to a service with pods at 127.0.0.N.
fn with_pods(pods: &[u8], known: &mut Endpoints) -> Table {
    let addresses: Vec<Value> = pods
        .iter()
        .map(|pod| json!({ "ip": format!("127.0.0.{pod}") }))
        .collect();
    let subset = json!({ "addresses": addresses, "ports": [{ "port": 8080 }] });
    let objects = Objects {
        ingresses: vec![ingress("i", 0, &[("", "Prefix", "/", "s")])],
        services: vec![service("s", json!([{ "port": 80 }]))],
        endpoints: vec![endpoints("s", json!([subset]))],
    };
    Table::new(&objects, "nginx", known)
}

/// Sends a request that does not end yet.
fn enter(table: &Table) -> Option<(u8, InFlight)> {
    let Route::To(backend) = table.route("a", "/") else {
        panic!("it leads nowhere");
    };
    let endpoint = backend.choose(&[])?;
    let std::net::IpAddr::V4(ip) = endpoint.address().ip() else {
        panic!("an address of another kind");
    };
    Some((ip.octets()[3], endpoint.enter()))
}

#[test]
fn a_pod_that_goes_gets_no_more_and_ends_what_it_has() {
    let mut known = Endpoints::default();
    let before = with_pods(&[1, 2], &mut known);
    let (busy, request) = enter(&before).unwrap();
    let other = 3 - busy;
    // The count goes on in the next table.
    let after = with_pods(&[1, 2], &mut known);
    assert_eq!(enter(&after).unwrap().0, other);
    assert_eq!(enter(&after).unwrap().0, other);
    let without = with_pods(&[other], &mut known);
    for _ in 0..4 {
        assert_eq!(enter(&without).unwrap().0, other);
    }
    assert_eq!(request.endpoint().candidate(false).in_flight, 1);
    // It is back before that has ended: it is not idle.
    let back = with_pods(&[1, 2], &mut known);
    assert_eq!(enter(&back).unwrap().0, other);
    drop(request);
}

#[derive(Clone, Debug)]
enum Event {
    /// These pods are ready from now on.
    Ready(Vec<u8>),
    /// A request comes.
    Comes,
    /// One of those under way ends.
    Ends(prop::sample::Index),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        prop::collection::btree_set(1_u8..5, 0..4)
            .prop_map(|pods| Event::Ready(pods.into_iter().collect())),
        Just(Event::Comes),
        Just(Event::Comes),
        any::<prop::sample::Index>().prop_map(Event::Ends),
    ]
}

proptest! {
    #[test]
    fn requests_go_to_the_least_busy_of_the_pods_that_are_ready(
        events in prop::collection::vec(any_event(), 0..40),
    ) {
        let mut known = Endpoints::default();
        let mut ready: Vec<u8> = vec![1];
        let mut table = with_pods(&ready, &mut known);
        let mut under_way: Vec<(u8, InFlight)> = Vec::new();
        for event in events {
            match event {
                Event::Ready(pods) => {
                    table = with_pods(&pods, &mut known);
                    ready = pods;
                }
                Event::Comes => {
                    let busy = |pod: &u8| under_way.iter().filter(|(at, _)| at == pod).count();
                    let least = ready.iter().map(busy).min();
                    match enter(&table) {
                        None => prop_assert!(ready.is_empty()),
                        Some((pod, request)) => {
                            prop_assert!(ready.contains(&pod));
                            prop_assert_eq!(Some(busy(&pod)), least);
                            under_way.push((pod, request));
                        }
                    }
                }
                Event::Ends(which) if !under_way.is_empty() => {
                    under_way.swap_remove(which.index(under_way.len()));
                }
                Event::Ends(_) => {}
            }
        }
    }

    #[test]
    fn the_longest_path_that_fits_is_found(
        paths in prop::collection::vec("(/[ab]{1,2}){0,3}/?", 1..6),
        path in "(/[ab]{1,2}){0,4}/?",
    ) {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let rules: Vec<_> = paths.iter().map(|it| ("h", "Prefix", it.as_str(), it.as_str())).collect();
        let table = table(vec![ingress("i", 0, &rules)]);
        // Element by element, as the documentation says it.
        let elements = |path: &str| -> Vec<String> {
            path.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect()
        };
        let wanted = elements(&path);
        let best = paths.iter().map(|it| elements(it)).filter(|it| wanted.starts_with(it)).max_by_key(Vec::len);
        match (table.route("h", &path), best) {
            (Route::To(backend), Some(best)) => {
                prop_assert_eq!(elements(backend.name.trim_end_matches(":80")), best);
            }
            (Route::NoPath, None) => {}
            (route, best) => prop_assert!(false, "{:?} {:?}", route, best),
        }
    }

    #[test]
    fn no_document_makes_it_panic(host in ".*", path in ".*", kind in ".*", ip in ".*", port in any::<i32>()) {
        let backend = json!({ "service": { "name": "s", "port": { "number": port } } });
        let paths = json!([{ "path": path, "pathType": kind, "backend": backend }]);
        let objects = Objects {
            ingresses: vec![object(json!({
                "spec": { "rules": [{ "host": host, "http": { "paths": paths } }] },
            }))],
            services: vec![service("s", json!([{ "port": port }]))],
            endpoints: vec![endpoints(
                "s",
                json!([{ "addresses": [{ "ip": ip }], "ports": [{ "port": port }] }]),
            )],
        };
        let table = Table::new(&objects, "nginx", &mut Endpoints::default());
        let _ = table.route(&host, &path);
    }
}
