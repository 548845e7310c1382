#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::pattern::Flags;
use super::*;

/// Names and values that meet each other often in tests of the execution.
pub(crate) const NAMES: [&str; 9] = [
    "level",
    "user",
    "status",
    "#kind",
    "#type",
    "#repo",
    "@id",
    "@rawstring",
    "odd name*\"\\",
];
pub(crate) const WORDS: [&str; 12] = [
    "error",
    "WARN",
    "connection",
    "refused",
    "12",
    "7.5",
    "-3",
    "ünïcode",
    "a b",
    "and",
    "back\\slash",
    "K",
];

pub(crate) fn field_name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        2 => "[a-zA-Z0-9]{1,9}",
        1 => "\\PC{1,6}",
    ]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (prop::collection::vec(literal(), 1..3), any::<[bool; 3]>()).prop_map(|(texts, stars)| {
        let mut parts = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            if stars[index] || index > 0 {
                parts.push(Part::Star);
            }
            parts.push(Part::Literal(text));
        }
        if stars[2] {
            parts.push(Part::Star);
        }
        Pattern { parts }
    })
}

fn regex() -> impl Strategy<Value = RegexText> {
    let patterns = [
        "err(or)?",
        "conn.*refused",
        "^\\d+$",
        "a\\/b",
        "\\bWARN\\b",
        "[ks]",
        "us",
        "ünï",
        "status=\\d",
        "connection|refused",
    ];
    (prop::sample::select(patterns.to_vec()), any::<[bool; 3]>()).prop_map(|(pattern, flags)| {
        let flags = Flags {
            ignore_case: flags[0],
            multi_line: flags[1],
            dot_all: flags[2],
        };
        RegexText::new(pattern.to_owned(), flags).unwrap()
    })
}

pub(crate) fn expr() -> impl Strategy<Value = Expr> {
    let operator = prop_oneof![Just(Operator::Equal), Just(Operator::NotEqual)];
    let order = prop::sample::select(vec![
        Operator::Less,
        Operator::LessEqual,
        Operator::Greater,
        Operator::GreaterEqual,
    ]);
    let equality = prop_oneof![
        5 => pattern().prop_map(Value::Pattern),
        1 => Just(Value::Pattern(Pattern { parts: vec![Part::Star] })),
        1 => regex().prop_map(Value::Regex),
    ];
    let leaf = prop_oneof![
        1 => Just(Expr::True),
        4 => pattern().prop_map(Expr::Text),
        2 => regex().prop_map(Expr::Regex),
        4 => (field_name(), operator, equality)
            .prop_map(|(field, operator, value)| Expr::Compare { field, operator, value }),
        2 => (field_name(), order, -20_i32..20).prop_map(|(field, operator, number)| {
            Expr::Compare { field, operator, value: Value::Number(f64::from(number) / 2.0) }
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn count() -> impl Strategy<Value = Count> {
    (
        prop::option::of(field_name()),
        prop::option::of(field_name()),
    )
        .prop_map(|(field, output)| {
            let mut count = Count {
                field,
                ..Count::default()
            };
            if let Some(output) = output {
                count.output = format!("n {output}");
            }
            count
        })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(field_name(), 1..3)
}

pub(crate) fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        expr().prop_map(Stage::Filter),
        (1_usize..9).prop_map(Stage::Head),
        (1_usize..9).prop_map(Stage::Tail),
        (names(), any::<bool>(), 1_usize..9).prop_map(|(fields, descending, limit)| {
            Stage::Sort {
                fields,
                descending,
                limit,
            }
        }),
        names().prop_map(Stage::Select),
        count().prop_map(Stage::Count),
        (names(), count()).prop_map(|(fields, count)| Stage::GroupBy {
            fields,
            count,
            limit: 20_000
        }),
        (prop::option::of(field_name()), 1_i64..5000, count()).prop_map(|(series, span, count)| {
            Stage::TimeChart {
                series,
                span_ms: Some(span),
                count,
                limit: 500,
            }
        }),
    ]
}

pub(crate) fn query() -> impl Strategy<Value = Query> {
    (expr(), prop::collection::vec(stage(), 0..4)).prop_map(|(first, rest)| {
        let mut stages = vec![Stage::Filter(first)];
        stages.extend(rest);
        Query { stages, memory: 0 }
    })
}

fn parsed(text: &str) -> Query {
    match Query::parse(text) {
        Ok(query) => query,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn shown(text: &str) -> String {
    parsed(text).to_string()
}

#[test]
fn precedence_and_the_silent_and() {
    assert_eq!(shown("a b or c"), "a and (b or c)");
    assert_eq!(shown("a or b c"), "(a or b) and c");
    assert_eq!(shown("a or b and c"), "(a or b) and c");
    assert_eq!(shown("foo and not bar or baz"), "foo and (not bar or baz)");
    assert_eq!(shown("a or b and c or d"), "(a or b) and (c or d)");
    assert_eq!(shown("(a b) or c"), "(a and b) or c");
    assert_eq!(shown("not a b"), "not a and b");
    assert_eq!(shown("!a or !(b c)"), "not a or not (b and c)");
    assert_eq!(shown("A AND NOT b OR c"), "A and (not b or c)");
}

#[test]
fn what_people_write() {
    assert_eq!(shown("#kind != threaddumps"), "#kind!=threaddumps");
    assert_eq!(shown("repo.name=docker/*"), "repo.name=\"docker/*\"");
    assert_eq!(shown("path = \"C:\\temp\\x\""), "path=\"C:\\\\temp\\\\x\"");
    assert_eq!(shown("/err\\/or/i | head(5)"), "/err\\/or/i | head(5)");
    assert_eq!(shown("| count()"), "* | count(as=_count)");
    assert_eq!(shown(""), "*");
    assert_eq!(shown("*"), "*");
    assert_eq!(shown("a // comment\n b"), "a and b");
    assert_eq!(shown("/* a | b */ a /**/ b /* \n */"), "a and b");
    assert_eq!(
        shown("a[0]=x items[12].name=*"),
        "\"a[0]\"=x and \"items[12].name\"=*"
    );
    assert_eq!(shown("error in module"), "error and in and module");
    assert_eq!(shown("#host=web #type!=json"), "#host=web and #type!=json");
    assert_eq!(
        shown("status>=500 status < 6e2"),
        "status>=500 and status<600"
    );
    assert_eq!(shown("\"my field\"=x"), "\"my field\"=x");
    assert_eq!(shown("and=5 not=*"), "\"and\"=5 and \"not\"=*");
    assert_eq!(
        shown("x | groupBy([a, \"b c\"], function=count(as=n)) | sort(n) | head()"),
        "x | groupBy([a, \"b c\"], function=count(as=n), limit=20000) | sort([n], order=desc, \
         limit=200) | head(200)"
    );
    assert_eq!(
        shown("GROUPBY(a, function=[count()])").as_str(),
        "groupBy([a], function=count(as=_count), limit=20000)"
    );
    assert_eq!(
        shown("timechart(#kind, span=1h)"),
        "timeChart(#kind, span=3600000ms, function=count(as=_count), limit=10)"
    );
    assert_eq!(shown("\"50\\*\" *x*"), "\"50\\*\" and *x*");
    assert_eq!(
        shown("!#repo = web or \"#repo\" != \"w*\" | select([#repo, \"#repo\"]) | count(#repo)"),
        "not #repo=web or #repo!=w* | select([#repo, #repo]) | count(#repo, as=_count)"
    );
}

#[test]
fn what_is_wrong_and_where() {
    for (text, at, expected) in [
        ("a | ", 4, "a word"),
        ("(a", 2, "`)`"),
        ("a)", 1, "`|`"),
        ("ü \"open", 2, "ends with `\"`"),
        ("/open", 0, "ends with `/`"),
        ("/(/", 0, "a regular expression"),
        ("/a/x", 3, "flags"),
        ("a <  b", 5, "a number"),
        ("a < 1e999", 4, "a number"),
        ("a =", 3, "a word"),
        ("a or", 4, "a word"),
        ("or a", 0, "a filter"),
        ("a and or b", 6, "a filter"),
        ("frobnicate(x)", 0, "one of the functions"),
        ("a | head(0)", 9, "a limit"),
        ("a | head(limit=many)", 9, "a limit"),
        ("a head(5)", 2, "a filter"),
        ("groupBy()", 0, "fields"),
        ("groupBy(a, function=sum(b))", 20, "`count()`"),
        ("timeChart(span=0s)", 10, "a span"),
        ("count(bogus=1)", 6, "no such argument"),
        ("sort(x, order=up)", 8, "`order=asc`"),
        ("select([a b])", 10, "`,` or `]`"),
    ] {
        let error = Query::parse(text).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.expected.contains(expected), "{text}: {error}");
        assert!(!error.hint.is_empty());
    }
}

/// Each form of the language that is not implemented, and what its refusal names.
#[test]
fn what_is_not_implemented_is_refused_by_its_name() {
    for (text, named) in [
        ("x := 5", "an assignment"),
        ("x:=5", "an assignment"),
        ("error | x := lower(y)", "an assignment"),
        ("x :=lower(y)", "an assignment"),
        ("error x := y", "an assignment"),
        ("case { a=1 | b:=2; * }", "`case { … }`"),
        ("a | CASE{ a=1; * }", "`case { … }`"),
        ("status match { 500 => x; * => y }", "`match { … }`"),
        ("match(file=\"a.csv\", field=b)", "`match()`"),
        ("a =~ /b/", "`=~`"),
        ("a=~b", "`=~`"),
        ("a =~ regex(\"b\")", "`=~`"),
        ("a == b", "`==`"),
        ("a <> b", "`<>`"),
        ("a like \"b\"", "`like`"),
        ("a LIKE *b*", "`like`"),
        ("x=1 and a like b", "`like`"),
        ("a in [1, 2]", "`in [ … ]`"),
        ("a in[1, 2]", "`in [ … ]`"),
        ("in(a, values=[1, 2])", "`in()`"),
        ("x | in(field=a, values=[1])", "`in()`"),
        ("a=in(b)", "`in()`"),
        ("a=[b, c]", "a list"),
        ("#repo := web", "an assignment"),
        ("#repo in [web]", "`in [ … ]`"),
        ("#repo like \"w*\"", "`like`"),
        ("#repo=?repo", "a query parameter"),
        ("?param", "a query parameter"),
        ("a=?param", "a query parameter"),
        ("a=?{param=*}", "a query parameter"),
        ("a < ?param", "a query parameter"),
        ("head(?n)", "a query parameter"),
        ("groupBy(?{field=a})", "a query parameter"),
        ("/user=(?<user>\\w+)/", "named capture `(?<user>"),
        ("a=/(?P<b>c)/i", "named capture `(?<b>"),
        ("regex(\"(?<a>b)\")", "`regex()`"),
        ("$saved()", "a saved search"),
        ("a | $\"saved search\"()", "a saved search"),
        ("$saved(x=1) | count()", "a saved search"),
        ("join({b | count()}, field=a)", "`join()`"),
        ("a | { b | count() }", "a subquery or block"),
        ("groupBy(a, function={count()})", "a subquery or block"),
        ("head({a})", "a subquery or block"),
        ("/* no end", "a comment"),
        ("a b */", "a comment"),
        ("a[]=b", "`name[]`"),
        ("array:contains(\"a[]\", value=b)", "`array:contains()`"),
        ("!cidr(ip, subnet=\"10.0.0.0/8\")", "`cidr()`"),
        ("a or cidr(ip)", "`cidr()`"),
        ("not match(a)", "`match()`"),
        ("rename(a, as=b)", "`rename()`"),
        ("x | table([a])", "`table()`"),
        ("timeChart(function=avg(a))", "`avg()`"),
        ("groupBy(a, function=[count(), sum(b)])", "one function"),
        ("eval(a = b + 1)", "`eval()`"),
        ("/a(?=b)/", "look-around"),
        ("/a/g", "`g`"),
    ] {
        let error = Query::parse(text).expect_err(text).to_string();
        let is_said = error.contains(named) || named == "a comment" && error.contains("comment");
        assert!(is_said, "{text}: {error}");
        assert!(error.contains(';'), "{text}: {error}");
    }
    for text in [
        "\"x := 5\"",
        "\"case {\"",
        "\"?param\"",
        "\"$saved\"",
        "a=\"[b]\"",
        "\"like\" a",
        "like",
        "a and like",
        "in",
        "like=5",
        "path=docker/*",
        "path=*/bin",
        "url=a?b",
    ] {
        assert!(Query::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn what_a_query_costs_is_bounded() {
    for (text, most) in [
        ("a ".repeat(2000), "1000 conditions"),
        ("/a/ ".repeat(2000), "50 regular expressions"),
        ("a|".repeat(2000), "100 stages"),
        (
            format!("select([{}a])", "a,".repeat(100_000)),
            "1000 names and arguments",
        ),
        (
            format!("head({}a)", "a,".repeat(100_000)),
            "1000 names and arguments",
        ),
        ("x".repeat(1 << 20), "262144 bytes"),
        (format!("/{}/", "(\\w{50}){50}"), "regular expression"),
    ] {
        let error = Query::parse(&text).expect_err(most).to_string();
        assert!(error.contains(most), "{most}: {error}");
    }
}

#[test]
fn depth_is_bounded() {
    for text in [
        "(".repeat(100_000),
        "!".repeat(100_000),
        "not ".repeat(60_000),
        "(a or !".repeat(30_000),
        format!("groupBy(a, function={}", "count(".repeat(40_000)),
        format!("groupBy({}", "[".repeat(100_000)),
    ] {
        assert!(Query::parse(&text).is_err());
    }
    assert!(Query::parse(&format!("{}a{}", "(".repeat(60), ")".repeat(60))).is_ok());
}

#[test]
fn wildcards() {
    let matches = |pattern: &str, value: &str| Pattern::parse(pattern).matches(value);
    for (pattern, value) in [
        ("", ""),
        ("*", ""),
        ("*", "x"),
        ("a*", "a"),
        ("*a", "ba"),
        ("a*a", "aa"),
        ("a*b*c", "a-b-b-c"),
        ("*b*", "abc"),
        ("ab", "ab"),
        ("a\\*", "a*"),
    ] {
        assert!(matches(pattern, value), "{pattern} {value}");
    }
    for (pattern, value) in [
        ("", "x"),
        ("a*a", "a"),
        ("ab", "abc"),
        ("ab", "xab"),
        ("*a", "ab"),
        ("a*", "ba"),
        ("a*b*b", "ab"),
        ("a\\*", "ab"),
        ("A", "a"),
    ] {
        assert!(!matches(pattern, value), "{pattern} {value}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC*") {
        let _ = Query::parse(&text);
    }

    #[test]
    fn never_panics_on_what_looks_like_a_query(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "a", " ", "(", ")", "|", "and", "or ", "not ", "!", "=", "!=", "<", ">", "/", "i", "\"",
                "\\", "*", "head", "groupBy", "timeChart", "count", "[", "]", ",", "span", "5", "m", "ü",
                "//", "\n", "#kind", "function", "/*", "*/", ":=", "{", "}", "?", "$", "in", "like", "case ",
                "~", "(?<a>b)", "a[]",
            ]),
            0..24,
        )
    ) {
        if let Ok(query) = Query::parse(&pieces.concat()) {
            prop_assert_eq!(Query::parse(&query.to_string()), Ok(query));
        }
    }

    #[test]
    fn a_shown_query_parses_to_itself(query in query()) {
        let text = query.to_string();
        prop_assert_eq!(Query::parse(&text), Ok(query), "{}", text);
    }
}
