use backstay_report::SHOWN;

use super::*;

#[test]
fn what_is_shown() {
    let jwt = format!("{}.{}.{}", "eyJ".repeat(20), "x".repeat(80), "y".repeat(20));
    let table = [
        ("plain words", "plain words"),
        (" two\nlines\u{1b}[31m ", "two lines [31m"),
        (&format!("a {jwt} b"), "a *** b"),
        (&jwt, "***"),
        (
            "over scope '/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/dr'",
            "over scope '/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/dr'",
        ),
    ];
    for (text, shown) in table {
        assert_eq!(excerpt(text), shown);
    }
    assert_eq!(excerpt(&"word ".repeat(500)).chars().count(), SHOWN + 1);
    assert_eq!(
        excerpt_without("key hunter2 is wrong", "hunter2"),
        "key *** is wrong"
    );
    // Where it would be cut off by the limit, nothing of it is shown.
    let cut = format!("{}{}", "w ".repeat(SHOWN / 2 - 3), "t0ken".repeat(20));
    assert!(!excerpt(&cut).contains("t0k"));
    let cut = format!("{}{}", "w ".repeat(SHOWN / 2 - 3), "s3cr3t-that-is-short");
    assert!(!excerpt_without(&cut, "s3cr3t-that-is-short").contains("s3c"));
}

proptest::proptest! {
    #[test]
    fn a_long_token_is_never_shown(before in ".*", token in "[A-Za-z0-9._-]{61,90}", after in ".*") {
        let text = format!("{before} {token} {after}");
        proptest::prop_assert!(!excerpt(&text).contains(&token));
    }
}
