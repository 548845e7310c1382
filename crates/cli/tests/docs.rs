//! The blocks of README.md, docs/*.md and examples/README.md are typed as they stand, with the debug binary.
//!
//! A block in `console` is a session: lines behind `$ ` are typed, the others must come out (`…`
//! stands for anything). One in `bash` is a script. Blocks in other languages are there to be read.
//! The blocks of one story are typed in order into one shell, in a scratch folder, with network and
//! processes of its own, so that ports and folders may be the ones that people have.
//!
//! A fence may say `norun: <reason>` behind its language. The list is at [`NORUN`]: whoever adds one
//! adds it there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "docs/fence.rs"]
mod fence;
#[path = "docs/shell.rs"]
mod shell;

use std::collections::BTreeSet;

use backstay_testkit::root;
use fence::{Fence, Kind};

/// Documents whose blocks are typed into one shell, one after the other.
const STORIES: [&[&str]; 7] = [
    &["docs/node.md", "docs/recovery.md"],
    &["docs/lab.md"],
    &["docs/failover.md", "docs/promote.md", "docs/failback.md"],
    &["docs/verify.md", "docs/alerts.md"],
    &["docs/pair.md"],
    &["docs/traffic.md"],
    &["examples/README.md"],
];

/// What is not typed, and why.
const NORUN: &[(&str, &str)] = &[
    ("README.md", "builds a release binary"),
    ("README.md", "the command that runs this test"),
    ("docs/alerts.md", "needs Azure"),
    ("docs/alerts.md", "needs Azure"),
    ("docs/benchmarks.md", "benchmarks"),
    ("docs/benchmarks.md", "benchmarks"),
    ("docs/benchmarks.md", "benchmarks"),
    ("docs/benchmarks.md", "benchmarks"),
    ("docs/drill.md", "builds a release binary"),
    ("docs/drill.md", "needs a pair in Azure"),
    ("docs/failback.md", "needs a LogScale on Kafka"),
    ("docs/traffic.md", "needs an alert that has fired"),
    ("docs/traffic.md", "needs az, an install of 700 MB"),
    ("docs/traffic.md", "needs az, an install of 700 MB"),
];

/// README.md, docs/*.md and examples/README.md.
fn documents() -> Vec<String> {
    let folder = std::fs::read_dir(root().join("docs")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let docs = names.filter(|name| name.ends_with(".md"));
    let mut all: Vec<_> = docs.map(|name| format!("docs/{name}")).collect();
    all.extend(["README.md", "examples/README.md"].map(str::to_owned));
    all.sort();
    all
}

fn fences(document: &str) -> Vec<Fence> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    fence::fences(document, &text)
}

#[test]
fn every_block_says_what_it_is_and_is_typed_or_says_why_not() {
    let told: BTreeSet<_> = STORIES.iter().copied().flatten().copied().collect();
    let mut norun = Vec::new();
    for document in documents() {
        for fence in fences(&document) {
            let place = fence.place();
            let kind = fence
                .kind()
                .unwrap_or_else(|language| panic!("{place}: `{language}` is not a language of a fence here: use console, bash, text, …"));
            match (&fence.norun, kind) {
                (Some(reason), _) => norun.push((document.clone(), reason.clone())),
                (None, Kind::Read) => {}
                (None, Kind::Session | Kind::Script) => assert!(
                    told.contains(document.as_str()),
                    "{place} is typed by nobody: put {document} into STORIES, or say norun: <reason>"
                ),
            }
        }
    }
    let listed: Vec<_> = NORUN
        .iter()
        .map(|(document, reason)| ((*document).to_owned(), (*reason).to_owned()))
        .collect();
    norun.sort();
    assert_eq!(
        norun, listed,
        "what is not typed must be in NORUN, and only that"
    );
}

/// Types all blocks of a story.
fn type_in(story: &[&str]) {
    let all = story.iter().flat_map(|document| fences(document));
    let typed: Vec<_> = all.filter(Fence::is_typed).collect();
    assert!(!typed.is_empty(), "{story:?} has nothing to type");
    shell::type_in(&typed);
}

#[test]
fn a_node_is_run_and_recovered_as_written() {
    type_in(STORIES[0]);
}

#[test]
fn a_lab_is_run_as_written() {
    type_in(STORIES[1]);
}

#[test]
fn a_pair_fails_over_and_comes_home_as_written() {
    type_in(STORIES[2]);
}

#[test]
fn a_standby_is_verified_as_written() {
    type_in(STORIES[3]);
}

#[test]
fn a_pair_is_described_as_written() {
    type_in(STORIES[4]);
}

#[test]
fn a_traffic_manager_is_run_as_written() {
    type_in(STORIES[5]);
}

#[test]
fn the_examples_run_as_written() {
    type_in(STORIES[6]);
}
