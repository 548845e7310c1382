#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kind::find;

fn pods() -> &'static Kind {
    find("", "v1", "pods").unwrap()
}

fn strategic(document: Value, patch: Value) -> Value {
    Patch::Strategic(patch).apply(pods(), &document).unwrap()
}

#[test]
fn merge_as_in_the_appendix_of_rfc_7386() {
    for (original, patch, result) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (
            json!({"a":"b","b":"c"}),
            json!({"a":null}),
            json!({"b":"c"}),
        ),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (
            json!({"a":{"b":"c"}}),
            json!({"a":{"b":"d","c":null}}),
            json!({"a":{"b":"d"}}),
        ),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a":"b"}), json!(["c"]), json!(["c"])),
        (json!({"a":"foo"}), json!(null), json!(null)),
        (json!({"a":"foo"}), json!("bar"), json!("bar")),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
        (
            json!({}),
            json!({"a":{"bb":{"ccc":null}}}),
            json!({"a":{"bb":{}}}),
        ),
    ] {
        let mut document = original.clone();
        merge(&mut document, &patch);
        assert_eq!(document, result, "{original} with {patch}");
    }
}

#[test]
fn json_patch_as_in_the_appendix_of_rfc_6902() {
    let done = |document: Value, patch: Value| Patch::Json(patch).apply(pods(), &document);
    for (document, patch, result) in [
        (
            json!({"foo":"bar"}),
            json!([{"op":"add","path":"/baz","value":"qux"}]),
            json!({"baz":"qux","foo":"bar"}),
        ),
        (
            json!({"foo":["bar","baz"]}),
            json!([{"op":"add","path":"/foo/1","value":"qux"}]),
            json!({"foo":["bar","qux","baz"]}),
        ),
        (
            json!({"baz":"qux","foo":"bar"}),
            json!([{"op":"remove","path":"/baz"}]),
            json!({"foo":"bar"}),
        ),
        (
            json!({"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}),
            json!([{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]),
            json!({"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}),
        ),
        (
            json!({"foo":"bar"}),
            json!([{"op":"add","path":"/child","value":{"grandchild":{}}}]),
            json!({"foo":"bar","child":{"grandchild":{}}}),
        ),
        (
            json!({"/":9,"~1":10}),
            json!([{"op":"test","path":"/~01","value":10}]),
            json!({"/":9,"~1":10}),
        ),
        (
            json!({"foo":["bar"]}),
            json!([{"op":"add","path":"/foo/-","value":["abc","def"]}]),
            json!({"foo":["bar",["abc","def"]]}),
        ),
    ] {
        assert_eq!(done(document, patch), Ok(result));
    }
    let failed = done(
        json!({"baz":"qux"}),
        json!([{"op":"test","path":"/baz","value":"bar"}]),
    );
    assert_eq!(failed.unwrap_err().code, 422);
    let failed = done(
        json!({"foo":"bar"}),
        json!([{"op":"add","path":"/baz/bat","value":"qux"}]),
    );
    assert_eq!(failed.unwrap_err().code, 422);
    assert_eq!(done(json!({}), json!({"op":"add"})).unwrap_err().code, 400);
}

#[test]
fn a_patch_that_doubles_the_document_is_stopped() {
    let twice = json!({ "op": "copy", "from": "", "path": "/a" });
    let patch: Vec<Value> = std::iter::repeat_n(twice, 200).collect();
    let error = Patch::Json(json!(patch)).apply(pods(), &json!({ "a": 1 }));
    assert_eq!(error.unwrap_err().code, 422);
    let mut deep = json!(1);
    for _ in 0..90 {
        deep = json!({ "a": deep });
    }
    let patch: Vec<Value> = (0..100)
        .map(|n| json!({ "op": "replace", "path": "/a".repeat(1 + 90 * n), "value": deep }))
        .collect();
    let error = Patch::Json(json!(patch)).apply(pods(), &json!({ "a": 1 }));
    assert_eq!(error.unwrap_err().code, 422);
    let wide = json!({ "op": "copy", "from": "/a", "path": "/a/-" });
    let patch: Vec<Value> = std::iter::repeat_n(wide, 90).collect();
    let document = json!({ "a": ["x".repeat(100_000)] });
    let error = Patch::Json(json!(patch)).apply(pods(), &document);
    assert_eq!(error.unwrap_err().code, 413);
}

#[test]
fn strategic_merge_knows_keyed_lists() {
    let pod = json!({ "spec": { "containers": [
        { "name": "a", "image": "1", "env": [{ "name": "X", "value": "1" }], "args": ["x"] },
        { "name": "b", "image": "1" },
    ]}});
    let patched = strategic(
        pod.clone(),
        json!({ "spec": { "containers": [
            { "name": "a", "env": [{ "name": "Y", "value": "2" }], "args": ["y"] },
            { "name": "c" },
        ]}}),
    );
    assert_eq!(
        patched,
        json!({ "spec": { "containers": [
            {
                "name": "a", "image": "1", "args": ["y"],
                "env": [{ "name": "X", "value": "1" }, { "name": "Y", "value": "2" }],
            },
            { "name": "b", "image": "1" },
            { "name": "c" },
        ]}})
    );
    let patched = strategic(
        pod.clone(),
        json!({ "spec": {
            "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }],
            "containers": [{ "name": "a", "env": [{ "name": "X", "$patch": "delete" }], "image": null }],
        }}),
    );
    assert_eq!(
        patched,
        json!({ "spec": { "containers": [
            { "name": "b", "image": "1" },
            { "name": "a", "env": [], "args": ["x"] },
        ]}})
    );
    let patched = strategic(
        pod,
        json!({ "spec": { "containers": [{ "name": "z" }, { "$patch": "replace" }] } }),
    );
    assert_eq!(
        patched,
        json!({ "spec": { "containers": [{ "name": "z" }] } })
    );
}

#[test]
fn strategic_merge_obeys_directives() {
    let document = json!({
        "metadata": { "finalizers": ["a", "b"] },
        "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": {} }, "x": { "y": 1 } },
    });
    let patched = strategic(
        document,
        json!({
            "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"] },
            "spec": {
                "strategy": { "$retainKeys": ["type"], "type": "Recreate" },
                "x": { "$patch": "replace", "z": 2 },
            },
        }),
    );
    assert_eq!(
        patched,
        json!({
            "metadata": { "finalizers": ["b", "c"] },
            "spec": { "strategy": { "type": "Recreate" }, "x": { "z": 2 } },
        })
    );
    let unknown = Patch::Strategic(json!({ "$patch": "invent" })).apply(pods(), &json!({}));
    assert_eq!(unknown.unwrap_err().code, 400);
    let keyless = json!({ "spec": { "containers": [{ "image": "s3cret" }] } });
    let document = json!({ "spec": { "containers": [] } });
    let error = Patch::Strategic(keyless)
        .apply(pods(), &document)
        .unwrap_err();
    assert!(!error.message.contains("s3cret"), "{error}");
}

/// JSON that uses the words that patches give a meaning to.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "a",
        "name",
        "metadata",
        "spec",
        "containers",
        "env",
        "ports",
        "finalizers",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$deleteFromPrimitiveList/finalizers",
        "protocol",
        "containerPort",
        "labels",
        "managedFields",
        "fieldsV1",
        "f:spec",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec!["a", "delete", "replace", "merge", "TCP", "/"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_operation() -> impl Strategy<Value = Value> {
    let op = prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]);
    let path = "(/(a|spec|containers|0|-|~1|)){0,3}";
    (op, path, path, any_json()).prop_map(
        |(op, path, from, value)| json!({ "op": op, "path": path, "from": from, "value": value }),
    )
}

proptest! {
    #[test]
    fn no_patch_panics(document in any_json(), patch in any_json()) {
        for patch in [Patch::Merge(patch.clone()), Patch::Json(patch.clone()), Patch::Strategic(patch)] {
            let _ = patch.apply(pods(), &document);
        }
    }

    #[test]
    fn no_operation_panics(document in any_json(), patch in prop::collection::vec(any_operation(), 0..6)) {
        let _ = Patch::Json(json!(patch)).apply(pods(), &document);
    }

    #[test]
    fn merging_twice_is_merging_once(document in any_json(), patch in any_json()) {
        let mut once = document;
        merge(&mut once, &patch);
        let mut twice = once.clone();
        merge(&mut twice, &patch);
        prop_assert_eq!(once, twice);
    }
}
