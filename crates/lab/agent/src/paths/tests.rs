#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::Mounts;

fn mounts() -> Mounts {
    let pair = |mount: &str, folder: &str| (mount.to_owned(), folder.to_owned());
    Mounts::new([
        pair("/data", "/h/v/data"),
        pair("/data/humio-data/cache/", "/h/v/cache"),
        pair("/var/run/backstay/admin-token", "/h/v/token"),
        pair("/", "/h/root"),
    ])
}

#[test]
fn mount_paths_at_a_boundary_are_replaced_and_nothing_else() {
    for (text, mapped) in [
        ("", ""),
        ("/data", "/h/v/data"),
        ("/data/", "/h/v/data/"),
        ("/data/humio-data", "/h/v/data/humio-data"),
        (
            "/data/humio-data/global-data-snapshot.json",
            "/h/v/data/humio-data/global-data-snapshot.json",
        ),
        ("/data/humio-data/cache", "/h/v/cache"),
        ("/data/humio-data/cache/x", "/h/v/cache/x"),
        ("/data/humio-data/cached", "/h/v/data/humio-data/cached"),
        ("/var/run/backstay/admin-token/token", "/h/v/token/token"),
        (
            "cat /data/a; ls '/data/b' >/data/c",
            "cat /h/v/data/a; ls '/h/v/data/b' >/h/v/data/c",
        ),
        ("--dir=/data", "--dir=/h/v/data"),
        ("@/data/body.json", "@/h/v/data/body.json"),
        ("/usr/bin:/data/bin", "/usr/bin:/h/v/data/bin"),
        (r#"{"path":"/data/x"}"#, r#"{"path":"/h/v/data/x"}"#),
        ("$(cat /data/x)", "$(cat /h/v/data/x)"),
        ("`/data/run`", "`/h/v/data/run`"),
        // Parts of something else.
        ("/database", "/database"),
        ("/data.bak", "/data.bak"),
        ("/data-2", "/data-2"),
        ("/mnt/data", "/mnt/data"),
        (
            "http://localhost:8080/data/x",
            "http://localhost:8080/data/x",
        ),
        ("file:///data", "file:///data"),
        ("$HOME/data", "$HOME/data"),
        ("${ROOT}/data", "${ROOT}/data"),
        ("./data", "./data"),
        ("../data", "../data"),
        ("data", "data"),
        ("/", "/"),
        ("/etc/hosts", "/etc/hosts"),
        ("é/data é /data", "é/data é /h/v/data"),
    ] {
        assert_eq!(mounts().map(text), mapped, "{text}");
    }
}

#[test]
fn a_folder_that_contains_a_mount_path_is_not_replaced_again() {
    let mounts = Mounts::new([("/data".to_owned(), "/data/pods/data".to_owned())]);
    assert_eq!(
        mounts.map("/data/data /data"),
        "/data/pods/data/data /data/pods/data"
    );
}

proptest! {
    #[test]
    fn any_text_is_mapped_without_harm(text in any::<String>()) {
        let mapped = mounts().map(&text);
        if !text.contains("/data") && !text.contains("/var/run") {
            prop_assert_eq!(&mapped, &text);
        }
        prop_assert_eq!(Mounts::default().map(&text), text);
    }

    /// Words are mapped one by one as they are alone.
    #[test]
    fn words_do_not_touch_each_other(
        words in prop::collection::vec("[a-z/.:=@-]{0,4}(/data)?(/[a-z]{0,3})?", 0..6),
        space in prop::sample::select(vec![" ", "\n", "\t"]),
    ) {
        let each: Vec<String> = words.iter().map(|word| mounts().map(word)).collect();
        prop_assert_eq!(mounts().map(&words.join(space)), each.join(space));
    }

    #[test]
    fn whatever_is_below_a_mount_stays_below_it(path in "(/[a-z]{1,8}){0,4}") {
        prop_assume!(!path.starts_with("/humio-data/cache"));
        prop_assert_eq!(mounts().map(&format!("/data{path}")), format!("/h/v/data{path}"));
    }
}
