//! The manual's pages, held to what `--help` says.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn backstay(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    // Lines of a help text are as long as they are.
    let output = command.args(arguments).env("COLUMNS", "10000").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Every command, as the words behind `backstay`, with its help text.
fn commands(above: &[&str], found: &mut Vec<(Vec<String>, String)>) {
    let mut line = above.to_vec();
    line.push("--help");
    let help = backstay(&line);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.map_while(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| *name != "help") {
        let mut below = above.to_vec();
        below.push(name);
        commands(&below, found);
    }
    let words = above.iter().map(|word| (*word).to_owned()).collect();
    found.push((words, help.clone()));
}

/// The long flags that a help text explains.
fn flags(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().map(str::trim_start);
    lines
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| {
            let flag = &line[line.find("--")?..];
            let is_of_name = |it: char| it.is_ascii_alphanumeric() || it == '-';
            Some(flag.split(|it| !is_of_name(it)).next().unwrap_or(flag))
        })
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn every_command_has_a_page_that_explains_its_flags() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("share/man1");
    let said = backstay(&["man", folder.to_str().unwrap()]);
    let mut found = Vec::new();
    commands(&[], &mut found);
    let mut pages = BTreeSet::new();
    for (words, help) in found {
        let name = ["backstay".to_owned()].into_iter().chain(words);
        let page = format!("{}.1", name.collect::<Vec<_>>().join("-"));
        let text = std::fs::read_to_string(folder.join(&page)).unwrap_or_default();
        assert!(text.contains(".SH NAME"), "{page} is not a page: {text}");
        let plain = text.replace('\\', "");
        for flag in flags(&help) {
            assert!(plain.contains(flag), "{page} does not explain {flag}");
        }
        assert!(said.contains(&page), "{page}: {said}");
        pages.insert(page);
    }
    assert!(pages.contains("backstay-drill.1") && pages.contains("backstay-lab-up.1"));
    assert_eq!(names(&folder), pages);
}

#[test]
fn a_dry_run_writes_nothing_and_json_names_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("man");
    let into = into.to_str().unwrap();
    let json =
        |line: &[&str]| -> serde_json::Value { serde_json::from_str(&backstay(line)).unwrap() };
    let would = json(&["man", into, "--dry-run", "--output", "json"]);
    assert_eq!(names(folder.path()), BTreeSet::new());
    let done = json(&["man", into, "--output", "json"]);
    assert_eq!(would["pages"], done["pages"]);
    assert_eq!(
        (&would["dry_run"], &done["dry_run"]),
        (&true.into(), &false.into())
    );
    let page = format!("{into}/backstay.1");
    assert!(done["pages"].as_array().unwrap().contains(&page.into()));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let into = file.path().join("man");
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    let output = command.arg("man").arg(&into).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(into.to_str().unwrap()), "{said}");
}
