#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

use super::{ImageError, Surroundings, arguments, repository, start_error};
use crate::paths::Mounts;

#[test]
fn an_image_is_known_by_its_name_alone() {
    for (image, name) in [
        ("backstay/node", "backstay/node"),
        ("backstay/node:1.142.0", "backstay/node"),
        ("backstay/node@sha256:abc", "backstay/node"),
        ("backstay/node:1@sha256:abc", "backstay/node"),
        (
            "localhost:5000/backstay/node",
            "localhost:5000/backstay/node",
        ),
        (
            "localhost:5000/backstay/node:1",
            "localhost:5000/backstay/node",
        ),
        ("", ""),
    ] {
        assert_eq!(repository(image), name, "{image}");
    }
}

fn of(container: Value) -> Result<Vec<String>, ImageError> {
    let mut document = json!({ "name": "humio" });
    document
        .as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    let container: Container = serde_json::from_value(document).unwrap();
    let images = BTreeMap::from([(
        "backstay/node".to_owned(),
        vec!["/opt/backstay".to_owned(), "node".to_owned()],
    )]);
    let variables = BTreeMap::from([("PORT".to_owned(), "8080".to_owned())]);
    let mounts = Mounts::new([("/data".to_owned(), "/h/data".to_owned())]);
    arguments(&container, &images, &variables, &mounts)
}

#[test]
fn a_command_of_its_own_stands_for_the_image() {
    for (container, expected) in [
        (
            json!({ "image": "backstay/node:1" }),
            vec!["/opt/backstay", "node"],
        ),
        (
            json!({ "image": "backstay/node:1", "args": ["--port=$(PORT)", "/data/x"] }),
            vec!["/opt/backstay", "node", "--port=8080", "/h/data/x"],
        ),
        (
            json!({ "image": "unknown", "command": ["sh", "-c"], "args": ["cat /data/x $(NO) $$(PORT)"] }),
            vec!["sh", "-c", "cat /h/data/x $(NO) $(PORT)"],
        ),
        (
            json!({ "image": "backstay/node", "command": ["sleep"] }),
            vec!["sleep"],
        ),
    ] {
        assert_eq!(of(container.clone()).unwrap(), expected, "{container}");
    }
    let error = of(json!({ "image": "nginx:1" })).unwrap_err().to_string();
    assert!(
        error.contains("\"nginx:1\"") && error.contains("backstay/node"),
        "{error}"
    );
    assert!(of(json!({})).is_err());
}

#[test]
fn what_is_shown_of_surroundings_has_no_values() {
    let surroundings = Surroundings {
        folder: "/h/pods/u/c".into(),
        directory: "/h/pods/u/c".into(),
        variables: BTreeMap::from([("KEY".to_owned(), "s3cret".to_owned())]),
        mounts: Mounts::default(),
        address: Ipv4Addr::new(127, 71, 11, 2),
    };
    let shown = format!("{surroundings:?}");
    assert!(
        shown.contains("KEY") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn why_a_program_does_not_start_is_said() {
    let here = Path::new("/");
    let not_found = io::Error::from(io::ErrorKind::NotFound);
    for (program, directory, error, message) in [
        (
            "nope",
            here,
            &not_found,
            "executable file not found in $PATH",
        ),
        ("/x/nope", here, &not_found, "no such file or directory"),
        (
            "nope",
            Path::new("/no/such/folder"),
            &not_found,
            "/no/such/folder is not there",
        ),
        (
            "/etc",
            here,
            &io::ErrorKind::PermissionDenied.into(),
            "permission denied",
        ),
    ] {
        let text = start_error(program, directory, error);
        assert!(text.contains(message) && text.contains(program), "{text}");
    }
}
