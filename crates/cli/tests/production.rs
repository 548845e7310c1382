//! What a binary for production consists of.
#![allow(clippy::unwrap_used, missing_docs)]

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
    assert!(names.contains(&"backstay-node") && names.contains(&"backstay-runbook"));
    for lab in ["lab", "kubeapi", "agent", "operators", "ingress"] {
        let name = format!("backstay-{lab}");
        assert!(!names.contains(&name.as_str()), "{name}:\n{tree}");
    }
}
