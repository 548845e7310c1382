#![allow(clippy::unwrap_used, clippy::expect_used)]

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};

use super::check;

#[test]
fn a_pod_that_cannot_be_run_is_refused_with_the_reason() {
    let of = |spec: Value| check(&serde_json::from_value::<PodSpec>(spec).unwrap());
    of(json!({ "containers": [{ "name": "humio" }, { "name": "side-1" }] })).unwrap();
    for (spec, why) in [
        (
            json!({ "containers": [{ "name": "a/b" }] }),
            "container name \"a/b\"",
        ),
        (
            json!({ "containers": [{ "name": ".." }] }),
            "container name \"..\"",
        ),
        (
            json!({ "containers": [{ "name": "" }] }),
            "container name \"\"",
        ),
        (
            json!({ "containers": [{ "name": "a" }, { "name": "a" }] }),
            "two containers called \"a\"",
        ),
        (
            json!({ "containers": [], "initContainers": [{ "name": "a" }] }),
            "init containers are not supported",
        ),
    ] {
        let error = of(spec).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
