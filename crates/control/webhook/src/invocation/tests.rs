#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::message::tests::sample;

/// As on the page, with what a webhook of an action group sends.
fn invocation(body: Value) -> Value {
    json!({
        "Data": { "req": {
            "Url": "http://localhost:7071/api/alert?code=s3cret",
            "Method": "POST",
            "Query": "{\"code\":\"s3cret\"}",
            "Headers": {
                "Content-Type": ["application/json"],
                "authorization": ["Bearer t0ken"],
            },
            "Params": {},
            "Body": body,
        } },
        "Metadata": { "sys": { "MethodName": "alert", "UtcNow": "2026-11-25T07:00:00Z" } },
    })
}

fn parse(value: &Value) -> Result<Invocation, Malformed> {
    Invocation::parse(value.to_string().as_bytes())
}

#[test]
fn the_request_within_is_found() {
    let message = sample("Fired");
    for body in [json!(message.to_string()), message.clone()] {
        let read = parse(&invocation(body)).unwrap();
        assert_eq!(read.message().unwrap(), Message::read(&message).unwrap());
        let shown = read.shown();
        assert_eq!(shown.bearer(), Some("t0ken"));
        assert_eq!(shown.code(), Some("s3cret"));
    }
    let mut other = invocation(json!("{}"));
    other["Data"]["req"]["Query"] = json!({ "code": "other" });
    other["Data"]["req"]["Headers"] = json!({ "AUTHORIZATION": "bearer x" });
    let shown = parse(&other).unwrap().shown();
    assert_eq!((shown.bearer(), shown.code()), (Some("x"), Some("other")));
}

#[test]
fn what_is_missing_is_named() {
    for (body, expected) in [
        (json!({}), "Data.req: missing"),
        (json!({ "Data": { "other": {} } }), "Data.req: missing"),
        (json!({ "Data": { "req": "s3cret" } }), "Data.req: missing"),
    ] {
        let error = parse(&body).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    for (body, expected) in [
        (Value::Null, "Data.req.Body: missing"),
        (json!("s3cret"), "the message: no JSON"),
        (json!({ "s3cret": 1 }), "schemaId"),
        (json!(" ".repeat(MAX_MESSAGE_BYTES + 1)), "longer than"),
    ] {
        let error = parse(&invocation(body)).unwrap().message().unwrap_err();
        let error = error.to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        noise in prop::collection::vec(any::<u8>(), 0..500),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        prop_assert!(Invocation::parse(&noise).is_err());
        let mut bytes = invocation(json!(sample("Fired").to_string())).to_string().into_bytes();
        let length = bytes.len();
        bytes[at.index(length)] = byte;
        if let Ok(read) = Invocation::parse(&bytes) {
            let _ = (read.shown(), read.message());
        }
    }
}
