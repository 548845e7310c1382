#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// RFC 7386, section 2.
fn apply(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = target.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            let there = target.get(key).cloned().unwrap_or(Value::Null);
            target.insert(key.clone(), apply(&there, value));
        }
    }
    Value::Object(target)
}

#[test]
fn only_what_differs_is_said() {
    let table = [
        (json!({ "a": 1 }), json!({ "a": 1 }), None),
        (
            json!({ "a": 1, "b": 2 }),
            json!({ "a": 1, "b": 3 }),
            Some(json!({ "b": 3 })),
        ),
        (
            json!({ "a": 1, "b": 2 }),
            json!({ "b": 2 }),
            Some(json!({ "a": null })),
        ),
        (
            json!({ "a": { "x": 1, "y": 2 } }),
            json!({ "a": { "y": 2 } }),
            Some(json!({ "a": { "x": null } })),
        ),
        (
            json!({ "a": [1, 2] }),
            json!({ "a": [2] }),
            Some(json!({ "a": [2] })),
        ),
        // Null and not there are the same.
        (json!({ "a": null }), json!({}), None),
        (json!({}), json!({ "a": null }), None),
        (
            json!({ "a": 1 }),
            json!({ "a": null }),
            Some(json!({ "a": null })),
        ),
        (json!({}), json!({ "a": {} }), Some(json!({ "a": {} }))),
    ];
    for (old, new, wanted) in table {
        assert_eq!(patch(&old, &new), wanted, "{old} {new}");
    }
}

/// Documents with few keys, so that two of them have some in common. No null in an object: that is
/// a field which is not there.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(Value::from_iter),
        ]
    });
    prop::collection::btree_map("[abc]", value, 0..4).prop_map(Value::from_iter)
}

proptest! {
    #[test]
    fn what_is_merged_makes_the_one_of_the_other((old, new) in (document(), document())) {
        match patch(&old, &new) {
            None => prop_assert_eq!(&old, &new),
            Some(patch) => {
                prop_assert_ne!(&old, &new);
                prop_assert_eq!(apply(&old, &patch), new);
            }
        }
    }
}
