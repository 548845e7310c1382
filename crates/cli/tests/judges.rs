//! What `tests/run` leaves out is what `tests/judges` runs: their filters are the same.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

fn text(path: &str) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2).unwrap();
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// The terms of the judges, as the script has them: `[name]="term"`.
fn judged(script: &str) -> Vec<String> {
    let filters = script.split("declare -A filter=(\n").nth(1).unwrap();
    let filters = filters.split("\n)\n").next().unwrap();
    let terms = filters.lines().map(|line| {
        let (_, term) = line.split_once("]=\"").unwrap();
        term.strip_suffix('"').unwrap().to_owned()
    });
    terms.collect()
}

#[test]
fn what_is_left_out_is_what_the_judges_run() {
    let config = text(".config/nextest.toml");
    let filter = config.split("default-filter = \"\"\"").nth(1).unwrap();
    let filter = filter.split("\"\"\"").next().unwrap();
    let left_out: Vec<&str> = filter.split_whitespace().collect();
    let left_out = left_out.join(" ");
    let judged = judged(&text("tests/judges"));
    assert!(judged.len() >= 4, "{judged:?}");
    assert_eq!(left_out, format!("not ( {} )", judged.join(" or ")));
}
