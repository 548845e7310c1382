#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_replaced_file_is_the_new_one_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    replace(&path, |file| file.write_all(b"new")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn a_draft_that_was_left_behind_gives_neither_content_nor_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let draft = folder.path().join("state.json.new");
    fs::write(&draft, "half of something longer").unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o644)).unwrap();
    replace(&path, |file| file.write_all(b"new")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn a_file_stays_as_it_was_when_it_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    fs::write(&path, "old").unwrap();
    let error = replace(&path, |file| {
        file.write_all(b"half")?;
        Err(io::Error::other("the disk is full"))
    });
    assert_eq!(error.unwrap_err().to_string(), "the disk is full");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn a_created_file_is_private_and_the_first_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    create(&path, |file| file.write_all(b"first")).unwrap();
    create(&path, |file| file.write_all(b"second")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(folder.path()), ["token"]);
}
