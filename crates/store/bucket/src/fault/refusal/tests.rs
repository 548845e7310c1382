#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::{Stop, Verdict, judge};
use super::*;
use crate::{BucketConfig, Error, Provider, Role, Secret};

fn azure() -> BucketConfig {
    BucketConfig {
        provider: Provider::Azure {
            account: "primaryacct".to_owned(),
            key: Secret::new("aHVzaA=="),
            endpoint_base: None,
        },
        container: "logs".to_owned(),
        ..BucketConfig::local("/tmp", Secret::new("k"), Role::Own)
    }
}

/// What becomes of an answer, as text.
fn text(refusal: ServiceError) -> (&'static str, String) {
    let http = object_store::client::HttpError::new(
        object_store::client::HttpErrorKind::Unknown,
        refusal.clone(),
    );
    let error = object_store::Error::Generic {
        store: "test",
        source: Box::new(http),
    };
    match judge(&azure(), "p/x", error) {
        Verdict::Again(source) => ("again", source.to_string()),
        Verdict::Stop(Stop::Precondition(refusal)) => ("there", refusal.unwrap().to_string()),
        Verdict::Stop(Stop::Range) => ("range", String::new()),
        Verdict::Stop(Stop::Error(error)) => {
            let kind = match &error {
                Error::Denied { .. } => "denied",
                Error::Missing { .. } => "missing",
                Error::NoContainer { .. } => "no container",
                _ => "refused",
            };
            (kind, error.to_string())
        }
    }
}

fn xml(code: &str, message: &str, more: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}\nRequestId:3f1a\nTime:2026-11-30T05:00:00.0000000Z</Message>{more}</Error>"
    )
}

const SIGNATURE: &str = "YUo4shHIcNLnX3rVuNDsn3egE/YL2wGU6yWQ5YkC01Q=";

/// Answers as the services give them: status, code and detail are said, with what helps; no
/// signature and no signed text.
#[test]
fn an_answer_is_said_with_its_code_its_detail_and_what_helps() {
    let failed = "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.";
    let detail =
        |text: &str| format!("<AuthenticationErrorDetail>{text}</AuthenticationErrorDetail>");
    let late = detail("Request date header too old: &apos;Mon, 30 Nov 2026 04:00:00 GMT&apos;");
    let signed = detail(&format!(
        "The MAC signature found in the HTTP request '{SIGNATURE}' is not the same as any computed signature. Server used following string to sign: 'PUT\n\n\nx-ms-date:Sun'."
    ));
    let google = |code: u16, reason: &str, message: &str| {
        format!(
            "{{\"error\": {{\"code\": {code}, \"message\": \"{message}\", \"errors\": [{{\"message\": \"{message}\", \"domain\": \"global\", \"reason\": \"{reason}\"}}]}}}}"
        )
    };
    type Row = (u16, String, &'static str, &'static [&'static str]);
    let table: Vec<Row> = vec![
        (
            403,
            xml("AuthenticationFailed", failed, &late),
            "denied",
            &[
                "HTTP 403 AuthenticationFailed",
                "too old: 'Mon, 30 Nov 2026 04:00:00 GMT'",
                "clock",
            ],
        ),
        (
            403,
            xml("AuthenticationFailed", failed, &signed),
            "denied",
            &["The MAC signature found", "check AZURE_STORAGE_ACCOUNTKEY"],
        ),
        (
            403,
            xml(
                "AuthorizationFailure",
                "This request is not authorized to perform this operation.",
                "",
            ),
            "denied",
            &["AuthorizationFailure", "firewall"],
        ),
        (
            403,
            xml(
                "KeyBasedAuthenticationNotPermitted",
                "Key based authentication is not permitted on this storage account.",
                "",
            ),
            "denied",
            &[
                "KeyBasedAuthenticationNotPermitted",
                "allow storage account key access",
            ],
        ),
        (
            403,
            xml(
                "AccountIsDisabled",
                "The specified account is disabled.",
                "",
            ),
            "denied",
            &["AccountIsDisabled", "enable it"],
        ),
        (
            409,
            xml(
                "BlobArchived",
                "This operation is not permitted on an archived blob.",
                "",
            ),
            "refused",
            &["HTTP 409 BlobArchived", "archived blob", "rehydrate"],
        ),
        (
            409,
            xml(
                "BlobImmutableDueToPolicy",
                "This operation is not permitted as the blob is immutable due to a policy.",
                "",
            ),
            "refused",
            &["HTTP 409 BlobImmutableDueToPolicy", "legal hold"],
        ),
        (
            412,
            xml(
                "LeaseIdMissing",
                "There is currently a lease on the blob and no lease ID was specified in the request.",
                "",
            ),
            "refused",
            &["HTTP 412 LeaseIdMissing", "break the lease"],
        ),
        (
            409,
            xml(
                "BlobAlreadyExists",
                "The specified blob already exists.",
                "",
            ),
            "there",
            &["HTTP 409 BlobAlreadyExists"],
        ),
        // A code that is not known, or an answer that was cut, may mean that: whoever asked looks.
        (
            409,
            xml("SomethingNew", "Who knows.", ""),
            "there",
            &["SomethingNew"],
        ),
        (
            409,
            "<Error><Code>BlobAl".to_owned(),
            "there",
            &["HTTP 409"],
        ),
        (
            403,
            xml(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                "<RequestTime>20261130T040000Z</RequestTime><ServerTime>2026-11-30T05:00:00Z</ServerTime>",
            ),
            "denied",
            &[
                "RequestTimeTooSkewed",
                "20261130T040000Z",
                "2026-11-30T05:00:00Z",
                "clock",
            ],
        ),
        (
            403,
            xml(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
                &format!(
                    "<AWSAccessKeyId>AKIAIOSFODNN7</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n2026</StringToSign><SignatureProvided>{SIGNATURE}</SignatureProvided>"
                ),
            ),
            "denied",
            &["SignatureDoesNotMatch", "check AZURE_STORAGE_ACCOUNTKEY"],
        ),
        (
            403,
            xml(
                "InvalidObjectState",
                "The operation is not valid for the object's storage class",
                "",
            ),
            "denied",
            &["InvalidObjectState", "archive tier"],
        ),
        (
            403,
            google(
                403,
                "forbidden",
                "a@b.iam.gserviceaccount.com does not have storage.objects.create access",
            ),
            "denied",
            &[
                "HTTP 403 forbidden",
                "does not have storage.objects.create access",
            ],
        ),
        (
            403,
            google(
                403,
                "rateLimitExceeded",
                "The project exceeded the rate limit",
            ),
            "again",
            &["rateLimitExceeded"],
        ),
        (
            412,
            google(
                412,
                "conditionNotMet",
                "At least one of the pre-conditions you specified did not hold.",
            ),
            "there",
            &["conditionNotMet"],
        ),
        (
            404,
            google(404, "notFound", "The specified bucket does not exist."),
            "no container",
            &["container logs"],
        ),
    ];
    for (status, body, kind, parts) in table {
        let refusal = service_error(status, None, &body);
        let (found, text) = text(refusal.clone());
        assert_eq!(found, kind, "{text}");
        for part in parts {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        let all = format!("{text} {refusal:?}");
        for hidden in [
            SIGNATURE,
            "AWS4-HMAC",
            "x-ms-date",
            "RequestId",
            "aHVzaA",
            "AKIA",
        ] {
            assert!(!all.contains(hidden), "{hidden} is in: {all}");
        }
    }
}

#[test]
fn a_refusal_without_a_condition_says_what_the_store_said() {
    let refusal = service_error(409, None, &xml("Odd", "Something forbids it.", ""));
    let text = super::super::conflict(&azure(), "p/x", &refusal).to_string();
    for part in [
        "p/x",
        "HTTP 409 Odd: Something forbids it.",
        "container's settings",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn a_header_s_code_comes_without_a_body_and_before_one() {
    let head = service_error(404, Some("BlobNotFound".to_owned()), "");
    assert_eq!(head.to_string(), "HTTP 404 BlobNotFound");
    assert_eq!(service_error(502, None, "<html>").to_string(), "HTTP 502");
    let both = service_error(403, Some("A".to_owned()), &xml("B", "m", ""));
    assert_eq!(both.code, "A");
}

proptest::proptest! {
    #[test]
    fn no_answer_breaks_it(status in 100_u16..600, body: String, tag in "<(Message|Details|AuthenticationErrorDetail)>.{0,40}") {
        service_error(status, None, &body);
        service_error(status, None, &format!("{body}{tag}{body}</Message></Details></AuthenticationErrorDetail>"));
    }
}
