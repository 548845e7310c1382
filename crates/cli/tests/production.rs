//! What a binary for production consists of.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Command;

/// Two regions on one machine are for laptops: none of it may be in what runs in production, nor may
/// anything there need it.
#[test]
fn a_binary_without_the_lab_has_no_emulator() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--package=backstay-cli", "--no-default-features"])
        .args(["--edges=normal", "--prefix=none", "--offline", "--locked"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for needed in ["node", "runbook", "traffic", "traffic-arm", "traffic-dns"] {
        let name = format!("backstay-{needed}");
        assert!(names.contains(&name.as_str()), "{name}:\n{tree}");
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../lab");
    let manifests = std::fs::read_dir(folder).unwrap();
    let lab: Vec<String> = manifests
        .map(|it| package(&it.unwrap().path().join("Cargo.toml")))
        .collect();
    for known in [
        "lab",
        "lab-azure",
        "kubeapi",
        "agent",
        "operators",
        "ingress",
    ] {
        let name = format!("backstay-{known}");
        assert!(lab.contains(&name), "{name}: {lab:?}");
    }
    for name in lab {
        assert!(!names.contains(&name.as_str()), "{name}:\n{tree}");
    }
}

/// The name of the package of a manifest.
fn package(manifest: &Path) -> String {
    let text = std::fs::read_to_string(manifest).unwrap();
    let mut lines = text.lines().filter_map(|it| it.strip_prefix("name = \""));
    lines.next().unwrap().trim_end_matches('"').to_owned()
}
