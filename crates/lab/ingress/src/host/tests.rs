#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn hosts_are_compared_in_one_form() {
    for (written, read) in [
        ("logs.example.com", Some("logs.example.com")),
        ("LOGS.Example.com:8080", Some("logs.example.com")),
        ("logs.example.com.", Some("logs.example.com")),
        ("logs.example.com.:80", Some("logs.example.com")),
        ("logs.example.com:", Some("logs.example.com")),
        ("127.0.0.1:8080", Some("127.0.0.1")),
        ("[::1]:8080", Some("::1")),
        ("[::1]", Some("::1")),
        ("", None),
        (".", None),
        (":80", None),
        ("a:b", None),
        ("a:80:80", None),
        ("a:99999", None),
        ("[::1", None),
        ("[::1]80", None),
        ("a b", None),
        ("a/b", None),
        ("user@a", None),
    ] {
        assert_eq!(normal(written).as_deref(), read, "{written}");
    }
}

#[test]
fn a_wildcard_is_for_one_label() {
    assert_eq!(wildcard("a.b.c").as_deref(), Some("*.b.c"));
    assert_eq!(wildcard("a"), None);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_the_form_is_final(written in ".*") {
        if let Some(read) = normal(&written) {
            prop_assert!(!read.is_empty());
            let _ = wildcard(&read);
            if !read.contains(':') && !read.ends_with('.') {
                prop_assert_eq!(normal(&read), Some(read));
            }
        }
    }
}
