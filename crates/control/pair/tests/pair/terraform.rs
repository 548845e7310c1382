//! The Terraform module derives the same, by the real `terraform`, value by value.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use backstay_pair::{Derived, Dr, EnvVar, Pair, Side, derive, reverse_recovery};
use serde_json::Value;
use tempfile::TempDir;

use crate::cases::{self, Case};

/// Whether these tests are to be skipped, on CI too, because `terraform` is not installed.
fn no_terraform() -> bool {
    let installed = backstay_testkit::is_installed("terraform", &["version"]);
    if !installed {
        backstay_testkit::skip_even_on_ci("terraform is not installed");
    }
    !installed
}

/// A copy of the module, since Terraform writes beside it.
fn module() -> TempDir {
    let folder = TempDir::new().unwrap();
    for file in std::fs::read_dir(cases::deploy().join("terraform")).unwrap() {
        let file = file.unwrap();
        if file.path().extension().is_some_and(|it| it == "tf") {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    terraform(folder.path(), &["init", "-input=false", "-backend=false"]);
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("terraform")
        .args(arguments)
        .current_dir(folder)
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_IN_AUTOMATION", "1")
        .env_remove("TF_WORKSPACE")
        .env_remove("TF_CLI_ARGS")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn terraform(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(
        output.status.success(),
        "terraform {}\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// `terraform apply` of a case, then its outputs.
fn outputs(folder: &Path, variables: &Value) -> Value {
    std::fs::write(folder.join("case.tfvars.json"), variables.to_string()).unwrap();
    terraform(
        folder,
        &[
            "apply",
            "-auto-approve",
            "-input=false",
            "-no-color",
            "-var-file=case.tfvars.json",
        ],
    );
    serde_json::from_str(&terraform(folder, &["output", "-json"])).unwrap()
}

#[test]
fn terraform_derives_the_same() {
    if no_terraform() {
        return;
    }
    let folder = module();
    for case in cases::all() {
        let mut variables = case
            .pair
            .terraform_variables(case.side, case.dr, case.dedicated);
        let derived = derive(&case.pair, case.side, case.dr, case.dedicated);
        same(&case, &derived, &outputs(folder.path(), &variables));
        let kept = derived.clone().keep_recovery(&case.pair);
        if kept != derived {
            variables["dr_keep_recovery_envvars"] = true.into();
            same(&case, &kept, &outputs(folder.path(), &variables));
        }
    }
}

fn same(case: &Case, derived: &Derived, outputs: &Value) {
    let environment = serde_json::to_value(derived.cluster_environment()).unwrap();
    let derived = serde_json::to_value(derived).unwrap();
    let mut differences = Vec::new();
    let mut compare = |what: &str, ours: &Value, theirs: &Value| {
        if ours != theirs {
            differences.push(format!("{what}\n  rust      {ours}\n  terraform {theirs}"));
        }
    };
    let theirs = outputs["derived"]["value"].as_object().unwrap();
    for (name, ours) in derived.as_object().unwrap() {
        compare(name, ours, theirs.get(name).unwrap_or(&Value::Null));
    }
    for (name, value) in theirs {
        if derived.get(name).is_none() {
            compare(name, &Value::Null, value);
        }
    }
    for (output, field) in [
        ("reverse_recovery_envvars", "reverse_recovery"),
        ("AZURE_STORAGE_OBJECT_KEY_PREFIX", "object_key_prefix"),
        ("dr-failover-alert_name", "alert_name"),
        ("azure-load-balancer-resource-group", "resource_group"),
        ("dr_recovery_envvars", "recovery"),
        ("node_count", "node_count"),
        ("node_pools", "node_pools"),
        ("target_replication_factor", "target_replication_factor"),
        ("ingress_selectors", "selectors"),
        ("humio_operator_replicas", "operator_replicas"),
        ("deploy_failover_function", "failover_function"),
        ("traffic_manager_endpoint", "endpoint"),
        ("secrets", "secrets"),
    ] {
        // An output that is null is left out of the state.
        compare(output, &derived[field], &outputs[output]["value"]);
    }
    compare(
        "environment_variables",
        &environment,
        &outputs["environment_variables"]["value"],
    );
    assert!(
        differences.is_empty(),
        "{}:\n{}",
        case.name(),
        differences.join("\n")
    );
}

/// What the README tells people to write.
#[test]
fn the_readme_example_works() {
    if no_terraform() {
        return;
    }
    let folder = module();
    let readme = std::fs::read_to_string(cases::deploy().join("terraform/README.md")).unwrap();
    let examples: Vec<&str> = readme
        .split("```hcl\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let source = "git::https://github.com/backstay/backstay.git//deploy/terraform";
    let standby = examples.concat().replace(source, "./..");
    assert_ne!(standby, examples.concat());
    let primary = standby.replace("= \"secondary\"", "= \"primary\"");
    assert_ne!(primary, standby);
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let apply = |text: &str, dr: &str| {
        let declared = "variable \"dr\" {}\nvariable \"dr_use_dedicated_routing\" {}\n";
        std::fs::write(root.join("main.tf"), format!("{declared}{text}")).unwrap();
        terraform(&root, &["init", "-input=false"]);
        let dr = format!("-var=dr={dr}");
        let arguments = ["-input=false", "-var=dr_use_dedicated_routing=false", &dr];
        terraform(
            &root,
            &[&["apply", "-auto-approve"], &arguments[..]].concat(),
        );
    };
    let raw = |name: &str| terraform(&root, &["output", "-raw", name]);
    let reverse = || {
        let text = terraform(&root, &["output", "-json", "reverse_recovery_envvars"]);
        serde_json::from_str::<Vec<EnvVar>>(&text).unwrap()
    };
    apply(&standby, "standby");
    assert_eq!(raw("AZURE_STORAGE_OBJECT_KEY_PREFIX"), "k41b9c-drsec/");
    assert_eq!(raw("dr-failover-alert_name"), "dr-failover-alert");
    assert_eq!(
        raw("azure-load-balancer-resource-group"),
        "logscale-eastus2"
    );
    assert_eq!(reverse(), []);
    apply(&primary, "active");
    assert_eq!(raw("AZURE_STORAGE_OBJECT_KEY_PREFIX"), "z072ef-drpri/");
    // The example of the pair's file describes the same regions.
    let pair = Pair::read(&cases::deploy().join("backstay.example.toml"), []).unwrap();
    assert_eq!(reverse(), reverse_recovery(&pair));
}

#[test]
fn what_the_file_leaves_to_defaults_the_module_does_too() {
    if no_terraform() {
        return;
    }
    let folder = module();
    let pair = Pair::read(&cases::deploy().join("backstay.example.toml"), []).unwrap();
    let side = Side::Secondary;
    let mut variables = pair.terraform_variables(side, side.usual(), true);
    let full = outputs(folder.path(), &variables)["derived"].clone();
    let object = variables.as_object_mut().unwrap();
    for name in [
        "dr_use_dedicated_routing",
        "traffic_manager_health_check_interval",
        "traffic_manager_tolerated_failures",
        "traffic_manager_ttl",
        "dr_failover_function_pre_failover_failure_seconds",
        "dr_failover_function_cooldown_seconds",
    ] {
        assert!(object.remove(name).is_some(), "{name}");
    }
    for region in ["primary", "secondary"] {
        let names = object["regions"][region].as_object_mut().unwrap();
        for name in [
            "endpoint_name",
            "cluster_name",
            "environment_field",
            "digest_node_label",
            "ui_pool",
            "ui_node_label",
            "ingest_pool",
            "ingest_node_label",
        ] {
            assert!(names.remove(name).is_some(), "{name}");
        }
        let storage = object["regions"][region]["storage"]
            .as_object_mut()
            .unwrap();
        for name in [
            "provider",
            "endpoint_base",
            "account_key",
            "account_key_copy",
            "encryption_key",
            "encryption_key_copy",
        ] {
            assert!(storage.remove(name).is_some(), "{name}");
        }
    }
    assert_eq!(outputs(folder.path(), &variables)["derived"], full);
}

#[test]
fn what_cannot_be_a_pair_is_refused() {
    if no_terraform() {
        return;
    }
    let folder = module();
    let good = cases::pair("azure").terraform_variables(Side::Primary, Dr::Active, true);
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("dr must be", |it| it["dr"] = "passive".into()),
        ("side must be", |it| it["side"] = "tertiary".into()),
        ("a pair has two", |it| {
            let regions = &mut it["regions"];
            regions["secondary"]["region"] = regions["primary"]["region"].clone();
        }),
        ("must have primary and secondary", |it| {
            it["regions"].as_object_mut().unwrap().remove("secondary");
        }),
        ("is derived", |it| {
            it["environment"]["AZURE_RECOVER_FROM_REPLACE_BUCKET"] = "a/b".into();
        }),
        ("storage.account is missing", |it| {
            it["regions"]["primary"]["storage"]["account"] = Value::Null;
        }),
        ("give each its own", |it| {
            let regions = &mut it["regions"];
            regions["secondary"]["storage"] = regions["primary"]["storage"].clone();
        }),
        ("buckets of one kind", |it| {
            let storage = &mut it["regions"]["secondary"]["storage"];
            storage["provider"] = "folder".into();
            storage["path"] = "/a".into();
        }),
    ];
    for (expected, change) in changes {
        let mut variables = good.clone();
        change(&mut variables);
        std::fs::write(
            folder.path().join("case.tfvars.json"),
            variables.to_string(),
        )
        .unwrap();
        let output = run(
            folder.path(),
            &[
                "plan",
                "-input=false",
                "-no-color",
                "-var-file=case.tfvars.json",
            ],
        );
        let complaint: String = String::from_utf8_lossy(&output.stderr)
            .split(|c: char| c.is_whitespace() || c == '│')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        assert!(!output.status.success(), "{expected}");
        assert!(complaint.contains(expected), "{expected}: {complaint}");
    }
}
