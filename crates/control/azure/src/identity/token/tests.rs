#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn lifetime(answer: Value) -> u64 {
    let token = Issued::read(answer.to_string().as_bytes())
        .unwrap()
        .token()
        .unwrap();
    let left = token.end.duration_since(Instant::now());
    (left + Duration::from_millis(500)).as_secs()
}

#[test]
fn when_a_token_ends() {
    let hour = |it: i64| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64
            + it
    };
    let table = [
        (
            json!({ "access_token": "t", "expires_in": 3599, "token_type": "Bearer" }),
            3599,
        ),
        (
            json!({ "access_token": "t", "expires_in": "3599", "expires_on": "1" }),
            3599,
        ),
        (
            json!({ "access_token": "t", "expires_on": hour(3600).to_string() }),
            3600,
        ),
        (
            json!({ "accessToken": "t", "expires_on": hour(3600), "expiresOn": "2026-01-01 00:00:00.000000" }),
            3600,
        ),
        // Their clock or ours is wrong; the token is tried all the same.
        (
            json!({ "access_token": "t", "expires_on": hour(-7200) }),
            30,
        ),
        (json!({ "access_token": "t" }), 30),
        (json!({ "access_token": "t", "expires_in": -5 }), 30),
        (json!({ "access_token": "t", "expires_in": 1e300 }), 30),
        (
            json!({ "access_token": "t", "expires_in": 1_u64 << 40 }),
            86_400,
        ),
        (json!({ "access_token": "t", "expires_in": [1] }), 30),
    ];
    for (answer, seconds) in table {
        let found = lifetime(answer.clone());
        assert!(found.abs_diff(seconds) <= 2, "{answer}: {found}");
    }
}

#[test]
fn what_is_no_token() {
    for body in [
        "",
        "{}",
        "[]",
        "<html>",
        r#"{"access_token": 5}"#,
        "{\"access_token\": \"t\"",
    ] {
        assert!(Issued::read(body.as_bytes()).is_none(), "{body}");
    }
    for token in ["", "a\nb", "a\u{7f}b"] {
        Token::new(token.to_owned(), MIN_LIFETIME).unwrap_err();
    }
    let token = Token::new("s3cret".to_owned(), MIN_LIFETIME).unwrap();
    assert_eq!(format!("{token:?}"), "Token(***)");
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_it_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), number in ".*") {
        let _ = Issued::read(&body).map(Issued::token);
        let answer = json!({ "access_token": "t", "expires_in": number, "expires_on": number });
        let _ = Issued::read(answer.to_string().as_bytes()).map(Issued::token);
    }
}
