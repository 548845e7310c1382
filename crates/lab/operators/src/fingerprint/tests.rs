#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn the_order_of_fields_does_not_count_and_all_else_does() {
    let one: Value = serde_json::from_str(r#"{"a":1,"b":{"c":[1,2],"d":null}}"#).unwrap();
    let other: Value = serde_json::from_str(r#"{"b":{"d":null,"c":[1,2]},"a":1}"#).unwrap();
    assert_eq!(of(&one), of(&other));
    let different = [
        json!({}),
        json!([]),
        json!(null),
        json!("1"),
        json!(1),
        json!(["ab"]),
        json!(["a", "b"]),
        json!([["a"], "b"]),
        json!({ "a": "b" }),
        json!({ "a": { "b": true } }),
        json!({ "a": { "b": false } }),
    ];
    for (at, one) in different.iter().enumerate() {
        for other in &different[at + 1..] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }
}

#[test]
fn a_name_that_is_taken_is_not_given_again() {
    let first = name("p-", 6, &["a"], &[]);
    assert_eq!(first.len(), 8);
    let second = name("p-", 6, &["a"], std::slice::from_ref(&first));
    assert_ne!(first, second);
    assert_eq!(second, name("p-", 6, &["a"], std::slice::from_ref(&first)));
}

proptest! {
    #[test]
    fn names_follow_from_the_seed(seed in proptest::collection::vec(".{0,8}", 0..5)) {
        let texts = || seed.iter().map(String::as_str);
        let name = letters(texts(), 6);
        prop_assert_eq!(name.len(), 6);
        prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()));
        prop_assert_eq!(&name, &letters(texts(), 6));
        prop_assert_ne!(name, letters(texts().chain(["more"]), 6));
    }
}
