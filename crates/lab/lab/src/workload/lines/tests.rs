#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::Write;

use chrono::DateTime;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Files, Generator, LinesError, stamp};

fn lines(seed: u64, count: usize) -> Vec<super::Line> {
    Generator::new(seed, DateTime::UNIX_EPOCH)
        .take(count)
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_lines_and_another_gives_others() {
    assert_eq!(lines(5, 500), lines(5, 500));
    assert_ne!(lines(5, 500), lines(6, 500));
}

#[test]
fn there_are_lines_of_every_kind_and_each_is_one_line() {
    let lines = lines(5, 2_000);
    let kinds: BTreeSet<&str> = lines.iter().map(|line| line.kind.as_str()).collect();
    let all = [
        "accesslog",
        "application",
        "kubernetes-audit",
        "logfmt",
        "syslog",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    assert!(
        lines
            .iter()
            .all(|line| line.text.len() > 30 && !line.text.contains(['\n', '\r']))
    );
}

#[test]
fn a_stamped_line_stays_a_line_of_its_kind() {
    for line in lines(5, 2_000) {
        let stamped = stamp(&line.text, "abc-1");
        assert!(stamped.contains("abc-1"));
        if line.text.starts_with('{') {
            let before: serde_json::Value = serde_json::from_str(&line.text).unwrap();
            let mut after: serde_json::Value = serde_json::from_str(&stamped).unwrap();
            assert_eq!(
                after.as_object_mut().unwrap().remove("drill_id").unwrap(),
                "abc-1"
            );
            assert_eq!(after, before);
        } else {
            assert_eq!(stamped, format!("{} drill_id=abc-1", line.text));
        }
    }
    assert_eq!(stamp("{}", "x-1"), r#"{"drill_id":"x-1"}"#);
    assert_eq!(stamp("{not json", "x-1"), "{not json drill_id=x-1");
}

#[test]
fn files_and_folders_and_gzip_are_read_in_order_without_what_is_empty_or_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("b.log"), b"three\r\n\n   \nfour\xff").unwrap();
    let mut zipped = GzEncoder::new(
        std::fs::File::create(path("a.log.1")).unwrap(),
        Compression::fast(),
    );
    zipped.write_all(b"one\ntwo\n").unwrap();
    zipped.finish().unwrap();
    let mut long = vec![b'x'; (256 << 10) + 1];
    long.extend_from_slice(b"\nfive\n");
    std::fs::create_dir(path("c")).unwrap();
    std::fs::write(path("c/deep.txt"), long).unwrap();

    let files = Files::find(&[folder.path().to_owned()]).unwrap();
    let lines: Vec<(String, String)> = files
        .lines()
        .map(|line| line.unwrap())
        .map(|line| (line.kind, line.text))
        .collect();
    let expected = [
        ("a", "one"),
        ("a", "two"),
        ("b", "three"),
        ("b", "four\u{fffd}"),
        ("deep", "five"),
    ];
    let expected: Vec<(String, String)> = expected
        .map(|(kind, text)| (kind.to_owned(), text.to_owned()))
        .to_vec();
    assert_eq!(lines, expected);
    assert_eq!((files.count(), files.skipped()), (5, 1));
}

#[test]
fn a_line_of_exactly_the_limit_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    let mut text = vec![b'x'; 256 << 10];
    text.extend_from_slice(b"\nnext\n");
    std::fs::write(&path, text).unwrap();
    let files = Files::find(&[path]).unwrap();
    assert_eq!((files.count(), files.skipped()), (2, 0));
}

#[test]
fn what_cannot_be_read_and_what_is_empty_are_errors_that_name_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.log");
    let error = Files::find(&[missing]).unwrap_err();
    assert!(matches!(error, LinesError::Read { .. }));
    assert!(error.to_string().contains("missing.log"), "{error}");
    let error = Files::find(&[folder.path().to_owned()]).unwrap_err();
    assert!(matches!(error, LinesError::Empty(_)));
    std::fs::write(folder.path().join("broken.gz"), [0x1f, 0x8b, 8, 0, 1, 2, 3]).unwrap();
    let error = Files::find(&[folder.path().to_owned()]).unwrap_err();
    assert!(error.to_string().contains("broken.gz"), "{error}");
}
