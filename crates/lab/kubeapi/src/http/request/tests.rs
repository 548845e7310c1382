#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn resource(path: &str) -> String {
    match route(path, &Served::default()) {
        Ok(Route::Resource(target)) => format!(
            "{} {:?} {:?} {:?} {:?}",
            target.kind.resource(),
            target.namespace,
            target.name,
            target.subresource,
            target.rest
        ),
        other => format!("{other:?}"),
    }
}

#[test]
fn paths_name_documents() {
    for (path, named) in [
        ("/api/v1/pods", r#"pods "" "" "" """#),
        (
            "/api/v1/namespaces/logging/pods/a",
            r#"pods "logging" "a" "" """#,
        ),
        (
            "/api/v1/namespaces/logging/pods/a/log",
            r#"pods "logging" "a" "log" """#,
        ),
        ("/api/v1/namespaces", r#"namespaces "" "" "" """#),
        (
            "/api/v1/namespaces/logging",
            r#"namespaces "" "logging" "" """#,
        ),
        (
            "/api/v1/namespaces/logging/status",
            r#"namespaces "" "logging" "status" """#,
        ),
        (
            "/apis/apps/v1/namespaces/n/deployments/d/scale",
            r#"deployments.apps "n" "d" "scale" """#,
        ),
        (
            "/api/v1/namespaces/n/pods/http:a:80/proxy/x/y/",
            r#"pods "n" "http:a:80" "proxy" "x/y/""#,
        ),
        (
            "/api/v1/namespaces/n/pods/a%3A80/proxy",
            r#"pods "n" "a:80" "proxy" """#,
        ),
    ] {
        assert_eq!(resource(path), named, "{path}");
    }
}

#[test]
fn paths_that_name_nothing_are_refused() {
    for path in [
        "/api/v1/unknown",
        "/apis/apps/v2/deployments",
        "/api/v1/namespaces/n/nodes",
        "/api/v1/pods/a",
        "/api/v1/namespaces/n/pods/a/scale",
        "/api/v1/namespaces/n/configmaps/a/status",
        "/api/v1/namespaces/n/pods/a/log/more",
    ] {
        assert_eq!(
            route(path, &Served::default()).unwrap_err().code,
            404,
            "{path}"
        );
    }
    assert_eq!(route("/metrics", &Served::default()), Ok(Route::Unknown));
    assert_eq!(route("/readyz/ping", &Served::default()), Ok(Route::Health));
}

#[test]
fn a_token_is_not_shown() {
    let (parts, ()) = axum::http::Request::get("/api?x=1")
        .header("authorization", "Bearer s3cret")
        .body(())
        .unwrap()
        .into_parts();
    let call = Call::parse(&parts, &Served::default()).unwrap();
    assert_eq!(call.token.as_deref(), Some("s3cret"));
    assert!(!format!("{call:?}").contains("s3cret"));
}

proptest! {
    #[test]
    fn any_path_is_a_route_or_an_error(path in "/(api|apis|openapi|[a-z%+=&]{0,4})?(/[a-z0-9%:~.]{0,9}){0,8}") {
        let _ = route(&path, &Served::default());
    }
}
