//! What is wrong with a definition (`apiextensions-apiserver/pkg/apis/apiextensions/validation`).

use serde_json::{Value, json};

use super::JsonPath;
use crate::document::{array, name, text};
use crate::schema;
use crate::selector::is_subdomain;
use crate::status::Cause;

/// Everything that is wrong with `definition`; `old` is what it replaces.
pub(crate) fn check(definition: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let group = text(definition, "/spec/group");
    let plural = text(definition, "/spec/names/plural");
    if name(definition) != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(name(definition)),
            why,
        ));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group"));
    } else if !is_subdomain(group) || !group.contains('.') {
        let why = "should be a domain with at least one dot";
        causes.push(Cause::invalid("spec.group", &json!(group), why));
    }
    let scope = text(definition, "/spec/scope");
    if !matches!(scope, "Cluster" | "Namespaced") {
        causes.push(Cause::unsupported(
            "spec.scope",
            scope,
            &["Cluster", "Namespaced"],
        ));
    }
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(definition, &format!("/spec/names/{field}")).is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}")));
        }
    }
    let kind = text(definition, "/spec/names/kind");
    if !kind.is_empty() && kind == text(definition, "/spec/names/listKind") {
        let why = "kind and listKind may not be the same";
        causes.push(Cause::invalid("spec.names.listKind", &json!(kind), why));
    }
    match text(definition, "/spec/conversion/strategy") {
        "None" => {}
        // There is nobody here who would call a webhook.
        other => causes.push(Cause::unsupported(
            "spec.conversion.strategy",
            other,
            &["None"],
        )),
    }
    if let Some(old) = old {
        for pointer in [
            "/spec/group",
            "/spec/scope",
            "/spec/names/kind",
            "/spec/names/plural",
        ] {
            let now = definition.pointer(pointer);
            if now != old.pointer(pointer) {
                let place = pointer.trim_start_matches('/').replace('/', ".");
                let now = now.unwrap_or(&Value::Null);
                causes.push(Cause::invalid(place, now, "field is immutable"));
            }
        }
    }
    versions(definition, causes);
}

fn versions(definition: &Value, causes: &mut Vec<Cause>) {
    let versions = array(definition, "/spec/versions");
    if versions.is_empty() {
        causes.push(Cause::required("spec.versions"));
        return;
    }
    let stored = versions.iter().filter(|v| v["storage"] == true).count();
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!(stored), why));
    }
    let mut names = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let place = format!("spec.versions[{index}]");
        let name = text(version, "/name");
        if !is_label(name) {
            let why = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
            causes.push(Cause::invalid(format!("{place}.name"), &json!(name), why));
        }
        if names.contains(&name) {
            let why = "must contain unique version names";
            causes.push(Cause::invalid("spec.versions", &json!(name), why));
        }
        names.push(name);
        let below = format!("{place}.schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None | Some(Value::Null) => causes.push(Cause {
                message: "Required value: schemas are required".to_owned(),
                ..Cause::required(below)
            }),
            Some(json) => {
                if json["type"] != "object" {
                    let why = "must be object at the root";
                    causes.push(Cause::invalid(format!("{below}.type"), &json["type"], why));
                }
                let (_, problems) = schema::parse(json);
                causes.extend(problems.into_iter().map(|cause| Cause {
                    field: schema::child(&below, &cause.field),
                    ..cause
                }));
            }
        }
        for (column, given) in array(version, "/additionalPrinterColumns")
            .iter()
            .enumerate()
        {
            let path = text(given, "/jsonPath");
            if JsonPath::parse(path).is_none() {
                let place = format!("{place}.additionalPrinterColumns[{column}].jsonPath");
                causes.push(Cause::invalid(place, &json!(path), "unrecognized path"));
            }
        }
    }
}

fn is_label(name: &str) -> bool {
    let allowed =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(allowed)
        && !name.ends_with('-')
}
