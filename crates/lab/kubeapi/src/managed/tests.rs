#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kind::find;
use crate::patch::tests::any_json;

fn deployments() -> &'static Kind {
    find("apps", "v1", "deployments").unwrap()
}

fn manager(name: &str) -> Manager {
    Manager {
        name: name.to_owned(),
        subresource: "",
    }
}

fn applied(
    live: &Value,
    wanted: Value,
    name: &str,
    force: bool,
) -> crate::status::ApiResult<Value> {
    apply(deployments(), live, &wanted, &manager(name), force, "now")
}

fn owners(document: &Value) -> Vec<String> {
    read(document)
        .into_iter()
        .map(|entry| format!("{}/{}", entry.manager, entry.operation))
        .collect()
}

#[test]
fn what_is_no_longer_wanted_goes_unless_others_own_it() {
    let first = applied(
        &json!({}),
        json!({ "metadata": { "labels": { "a": "1", "b": "1" } }, "spec": { "replicas": 1 } }),
        "one",
        false,
    )
    .unwrap();
    let shared = applied(
        &first,
        json!({ "metadata": { "labels": { "b": "1" } } }),
        "two",
        false,
    )
    .unwrap();
    assert_eq!(owners(&shared), ["one/Apply", "two/Apply"]);
    let less = applied(&shared, json!({ "spec": { "replicas": 1 } }), "one", false).unwrap();
    assert_eq!(less["metadata"]["labels"], json!({ "b": "1" }));
    let none = applied(&less, json!({}), "two", false).unwrap();
    assert_eq!(none["metadata"].get("labels"), None);
    assert_eq!(owners(&none), ["one/Apply"]);
}

#[test]
fn items_of_keyed_lists_have_owners_of_their_own() {
    let wanted = |name: &str, image: &str| {
        json!({ "spec": { "template": { "spec": { "containers": [
            { "name": name, "image": image, "ports": [{ "containerPort": 80 }] },
        ]}}}})
    };
    let one = applied(&json!({}), wanted("a", "1"), "one", false).unwrap();
    let two = applied(&one, wanted("b", "1"), "two", false).unwrap();
    let containers = |document: &Value| document["spec"]["template"]["spec"]["containers"].clone();
    assert_eq!(containers(&two).as_array().unwrap().len(), 2);
    let error = applied(&two, wanted("b", "2"), "one", false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"two\" using apps/v1: .spec.template.spec.containers[name=\"b\"].image"
    );
    let forced = applied(&two, wanted("b", "2"), "one", true).unwrap();
    // It no longer wants `a`, and nobody else does.
    assert_eq!(containers(&forced).as_array().unwrap().len(), 1);
    assert_eq!(containers(&forced)[0]["image"], "2");
    let back = applied(&forced, wanted("b", "1"), "two", false).unwrap_err();
    assert_eq!(back.code, 409);
}

#[test]
fn an_update_takes_fields_over_and_apply_then_conflicts() {
    let kind = deployments();
    let live = applied(
        &json!({}),
        json!({ "spec": { "replicas": 1, "paused": true } }),
        "one",
        false,
    )
    .unwrap();
    let mut scaled = live.clone();
    scaled["spec"]["replicas"] = json!(3);
    book_update(kind, Some(&live), &mut scaled, &manager("kubectl"), "later");
    assert_eq!(owners(&scaled), ["one/Apply", "kubectl/Update"]);
    let error = applied(&scaled, json!({ "spec": { "replicas": 1 } }), "one", false).unwrap_err();
    assert!(
        error
            .message
            .contains("conflict with \"kubectl\" using apps/v1: .spec.replicas")
    );
    // With the same value it is shared, and what it leaves out goes.
    let shared = applied(&scaled, json!({ "spec": { "replicas": 3 } }), "one", false).unwrap();
    assert_eq!(shared["spec"], json!({ "replicas": 3 }));
}

#[test]
fn many_updaters_are_drawn_together() {
    let kind = deployments();
    let mut document = json!({ "metadata": {} });
    for number in 0..40 {
        let mut next = document.clone();
        next["metadata"]["annotations"][format!("a{number}")] = json!("x");
        let time = format!("2030-01-01T00:00:{number:02}Z");
        book_update(
            kind,
            Some(&document),
            &mut next,
            &manager(&format!("m{number}")),
            &time,
        );
        document = next;
    }
    let owners = owners(&document);
    assert_eq!(owners.len(), MAX_UPDATERS);
    assert!(owners.contains(&"ancient-changes/Update".to_owned()));
    assert!(owners.contains(&"m39/Update".to_owned()));
}

proptest! {
    #[test]
    fn applying_panics_on_nothing_and_twice_is_once(live in any_json(), wanted in any_json()) {
        if let Ok(once) = applied(&live, wanted.clone(), "one", true) {
            let twice = applied(&once, wanted, "one", true).unwrap();
            let mut third = twice.clone();
            book_update(deployments(), Some(&once), &mut third, &manager("two"), "later");
            prop_assert_eq!(once, twice);
        }
    }

    #[test]
    fn written_fields_are_read_back(document in any_json()) {
        let fields = Fields::of(deployments(), &document);
        prop_assert_eq!(Fields::from_json(&fields.to_json()), fields.clone());
        prop_assert!(fields.difference(&fields).is_empty());
        prop_assert_eq!(fields.intersection(&fields), fields.clone());
        prop_assert_eq!(fields.union(&fields), fields);
        prop_assert!(Fields::changed(deployments(), &document, &document).is_empty());
    }
}
