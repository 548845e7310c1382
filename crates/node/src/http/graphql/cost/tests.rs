#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn checked(query: &str) -> Result<(), TooCostly> {
    check(&mut Request::new(query))
}

/// Fragments each of which uses the next one so many times.
fn chain(fragments: usize, times: usize) -> String {
    let mut query = "{ ...F0 }".to_owned();
    for n in 0..fragments {
        let spreads = format!("...F{} ", n + 1).repeat(times);
        query.push_str(&format!(" fragment F{n} on Query {{ {spreads} }}"));
    }
    query + &format!(" fragment F{fragments} on Query {{ meta {{ version }} }}")
}

#[test]
fn fragments_are_counted_and_not_walked_through() {
    assert_eq!(checked(&chain(3, 2)), Ok(()));
    assert_eq!(checked(&chain(30, 2)), Err(TooCostly::Fields));
    assert_eq!(checked(&chain(12, 10)), Err(TooCostly::Fields));
    assert_eq!(checked(&chain(1000, 1)), Err(TooCostly::Deep));
}

#[test]
fn what_nests_or_repeats_itself_is_refused() {
    for (query, error) in [
        ("{ a ".repeat(50_000), TooCostly::Deep),
        (format!("{{ a(b: {}", "[".repeat(100_000)), TooCostly::Deep),
        (
            format!("query ($a: {}", "[".repeat(100_000)),
            TooCostly::Deep,
        ),
        ("\"}\" # }\n{".repeat(1000), TooCostly::Deep),
        ("\"\"\" \\\"\"\" } \"\"\" {".repeat(1000), TooCostly::Deep),
        (
            "x".repeat(MAX_BYTES + 1),
            TooCostly::Long {
                bytes: MAX_BYTES + 1,
            },
        ),
        (format!("{{ {} }}", "a ".repeat(20_000)), TooCostly::Fields),
    ] {
        assert_eq!(checked(&query), Err(error), "{:.60}", query);
    }
    let endless = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }";
    assert!(matches!(checked(endless), Err(TooCostly::Endless { .. })));
    let unused = "{ a } fragment A on Query { ...A }";
    assert!(matches!(checked(unused), Err(TooCostly::Endless { .. })));
}

#[test]
fn what_is_usual_passes() {
    for query in [
        "{ meta { version } }",
        "mutation { a(b: \"{{{{\", c: [1, 2]) { d } }",
        "not GraphQL }}}}",
        "{ ...Nowhere }",
        "",
    ] {
        assert_eq!(checked(query), Ok(()), "{query}");
    }
    let text = format!("{{ a(b: \"{}\") }}", "{".repeat(1000));
    assert_eq!(checked(&text), Ok(()));
}

proptest! {
    #[test]
    fn never_panics(pieces in prop::collection::vec(
        prop::sample::select(vec![
            "{", "}", "(", ")", "[", "]", "\"", "\"\"\"", "\\", "#", "\n", "...", "A", " on Query",
            "fragment ", ":", "ü", "query ", "$", "@", " ",
        ]),
        0..60,
    )) {
        let _ = checked(&pieces.concat());
    }
}
