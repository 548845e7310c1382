#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn it_is_made_once_and_only_the_owner_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/admin-token.txt");
    let made = FileToken::at(&path, "--here").unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(made.matches(text.trim()));
    assert!(!made.matches("another"));
    let again = FileToken::at(&path, "--here").unwrap();
    assert!(again.matches(text.trim()));
    let others = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(others, 1, "nothing else is left behind");
}

#[test]
fn an_empty_file_is_not_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin-token.txt");
    std::fs::write(&path, "\n").unwrap();
    let error = FileToken::at(&path, "--here").unwrap_err();
    assert!(error.to_string().contains("admin-token.txt"));
}

#[test]
fn a_token_that_can_be_guessed_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for weak in ["x", "hush-hush-hush!\n"] {
        std::fs::write(&path, weak).unwrap();
        let error = FileToken::at(&path, "--here").unwrap_err().to_string();
        assert!(error.contains("secret") && error.contains("16"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    std::fs::write(&path, "hush-hush-hush-hush\n").unwrap();
    assert!(FileToken::at(&path, "--here").is_ok());
}

#[test]
fn a_place_that_cannot_be_used_is_told_with_what_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = FileToken::at(&file.join("token"), "--here").unwrap_err();
    assert!(error.to_string().contains("--here"), "{error}");
}

#[test]
fn debug_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let token = FileToken::at(&folder.path().join("t"), "--here").unwrap();
    assert_eq!(format!("{token:?}"), "FileToken(***)");
}

/// What a file says, followed without a pause.
fn followed(path: &Path) -> FileToken {
    let followed = Followed::every(path, read, std::time::Duration::ZERO);
    FileToken(Arc::new(followed.unwrap()))
}

#[test]
fn a_token_that_replaces_another_counts_and_the_old_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let (first, second) = ("the-first-secret-1", "the-other-secret-2");
    std::fs::write(&path, first).unwrap();
    let token = followed(&path);
    assert!(token.matches(first) && !token.matches(second));
    // In its place, as Kubernetes and editors do; and in the file itself.
    std::fs::write(folder.path().join("new"), second).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert!(token.matches(second) && !token.matches(first));
    std::fs::write(&path, format!("{first}\n")).unwrap();
    assert!(token.matches(first) && !token.matches(second));
}

#[test]
fn while_its_file_is_not_good_the_last_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let (first, second) = ("the-first-secret-1", "the-other-secret-2");
    std::fs::write(&path, first).unwrap();
    let token = followed(&path);
    for bad in ["", "short", "\n"] {
        std::fs::write(&path, bad).unwrap();
        assert!(token.matches(first), "{bad:?}");
        assert!(!token.matches(bad), "{bad:?}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(token.matches(first));
    assert!(!path.exists(), "none is made");
    std::fs::write(&path, second).unwrap();
    assert!(token.matches(second) && !token.matches(first));
}
